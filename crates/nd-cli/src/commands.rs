//! The commands, one file each.

mod certs;
mod check;
mod completion;
mod conclusion;
mod config;
mod deploy;
mod deployments;
mod describe;
mod destroy;
mod domains;
mod ecosystem;
mod eternal;
mod events;
mod explain;
mod flush;
mod follow;
mod gate;
mod import;
mod list;
mod logs;
mod man;
mod metrics;
mod plan;
mod proxy;
mod requests;
mod rollback;
mod scale;
mod several;
mod start;
mod status;
mod trust;
mod unneeded;
mod upgrade;
mod verbs;
mod version;
mod why;
mod workers;

use nd_client::Client;

use crate::args::{Command, EcosystemArgs, Global};
use crate::failure::{Exit, Failure};
use crate::monit;
use crate::output::Output;
use crate::session;
use crate::typed::Typed;

/// How a command ended.
pub(crate) type Outcome = Result<Exit, Failure>;

/// What every command that speaks to the daemon is given.
pub(crate) struct Context<'c> {
    pub(crate) client: Client,
    pub(crate) global: &'c Global,
    pub(crate) output: &'c Output,
    pub(crate) typed: &'c Typed,
}

/// Does what was typed.
pub(crate) async fn dispatch(typed: &Typed, command: &Command, global: &Global, output: &Output) -> Outcome {
    if let Some(outcome) = without_daemon(typed.program(), command, global, output).await {
        return outcome;
    }
    let client = session::client(global, output)?;
    let context = Context { client, global, output, typed };
    match command {
        Command::Deploy(args) if args.dry_run => plan::run(args, &context, Exit::Ok).await,
        Command::Deploy(args) => deploy::run(args, &context).await,
        Command::Plan(args) => plan::run(args, &context, Exit::Found).await,
        Command::List(args) => list::run(args, &context).await,
        Command::Status(args) => status::run(args, &context).await,
        Command::Describe(args) => describe::run(args, &context).await,
        Command::Why(args) => why::run(args, &context).await,
        Command::Metrics(args) => metrics::run(args, &context).await,
        Command::Ecosystem(args) => ecosystem::run(args, &context).await,
        Command::Logs(args) => logs::run(args, &context).await,
        Command::Requests(args) => requests::run(args, &context).await,
        Command::Flush(args) => flush::run(args, &context).await,
        Command::Start(args) => start::run(args, &context).await,
        Command::Stop(_) | Command::Restart(_) | Command::Reload(_) => verbs::run(command, &context).await,
        Command::Scale(args) => scale::run(args, &context).await,
        Command::Gate(verb) => gate::run(verb, &context).await,
        Command::Rollback(args) => rollback::run(args, &context).await,
        Command::Destroy(args) => destroy::run(args, &context).await,
        Command::Deployments(args) => deployments::run(args, &context).await,
        Command::Cancel { deployment } => deployments::cancel(deployment, &context).await,
        Command::Promote { deployment } => deployments::promote(deployment, &context).await,
        Command::Events(args) => events::run(args, &context).await,
        Command::Monit(args) => monit::run(args, &context).await,
        Command::Proxy(verb) => proxy::run(verb, &context).await,
        Command::Domains(verb) => domains::run(verb, &context).await,
        Command::Certs(verb) => certs::run(verb, &context).await,
        Command::Workers => workers::run(&context).await,
        Command::Version => version::run(&context).await,
        Command::Upgrade => upgrade::run(&context).await,
        Command::Check(_)
        | Command::Config(_)
        | Command::Explain(_)
        | Command::Import(_)
        | Command::Save(_)
        | Command::Resurrect(_)
        | Command::Startup(_)
        | Command::Completion(_)
        | Command::Man(_)
        | Command::Eternal(_)
        | Command::Daemon(_) => Ok(Exit::Ok),
    }
}

/// What needs no daemon.
async fn without_daemon(
    program: &'static str,
    command: &Command,
    global: &Global,
    output: &Output,
) -> Option<Outcome> {
    Some(match command {
        Command::Check(args) => check::run(program, args, global, output).await,
        Command::Config(verb) => config::run(verb, global, output),
        Command::Explain(args) => explain::run(args, output),
        Command::Import(verb) => import::run(verb, output).await,
        Command::Ecosystem(EcosystemArgs { file: Some(file), output: to, force, .. }) => {
            import::pm2(file, to.as_deref(), *force, output).await
        }
        Command::Save(_) | Command::Resurrect(_) | Command::Startup(_) => unneeded::run(command, output),
        Command::Completion(args) => completion::run(program, args.shell),
        Command::Man(args) => man::run(program, args, output),
        Command::Eternal(args) => eternal::run(args, program, output),
        Command::Daemon(verb) => eternal::daemon(verb, program, output),
        _ => return None,
    })
}
