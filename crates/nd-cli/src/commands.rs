//! The commands, one file each.

mod check;
mod deploy;
mod deployments;
mod destroy;
mod events;
mod follow;
mod list;
mod logs;
mod plan;
mod rollback;
mod scale;
mod start;
mod status;
mod verbs;
mod version;
mod workers;

use nd_client::Client;

use crate::args::{self, Command, Global};
use crate::failure::{Exit, Failure};
use crate::output::Output;
use crate::session;

/// How a command ended.
pub(crate) type Outcome = Result<Exit, Failure>;

/// What every command that speaks to the daemon is given.
pub(crate) struct Context<'c> {
    pub(crate) client: Client,
    pub(crate) global: &'c Global,
    pub(crate) output: &'c Output,
}

pub(crate) async fn dispatch(
    program: &'static str,
    command: &Command,
    global: &Global,
    output: &Output,
) -> Outcome {
    match command {
        Command::Check(args) => return check::run(args, global, output),
        Command::Completion(args) => return Ok(completion(program, args.shell)),
        _ => {}
    }
    let client = session::client(global, output)?;
    let context = Context { client, global, output };
    match command {
        Command::Deploy(args) if args.dry_run => plan::run(args, &context, Exit::Ok).await,
        Command::Deploy(args) => deploy::run(args, &context).await,
        Command::Plan(args) => plan::run(args, &context, Exit::Found).await,
        Command::List => list::run(&context).await,
        Command::Status(args) => status::run(args, &context).await,
        Command::Logs(args) => logs::run(args, &context).await,
        Command::Start(args) => start::run(program, args, &context).await,
        Command::Stop(args) => verbs::stop(args, &context).await,
        Command::Restart(args) => verbs::restart(args, &context).await,
        Command::Scale(args) => scale::run(args, &context).await,
        Command::Rollback(args) => rollback::run(args, &context).await,
        Command::Destroy(args) => destroy::run(args, &context).await,
        Command::Deployments(args) => deployments::run(args, &context).await,
        Command::Cancel { deployment } => deployments::cancel(deployment, &context).await,
        Command::Events(args) => events::run(args, &context).await,
        Command::Workers => workers::run(&context).await,
        Command::Version => version::run(program, &context).await,
        Command::Check(_) | Command::Completion(_) => Ok(Exit::Ok),
    }
}

fn completion(program: &'static str, shell: clap_complete::Shell) -> Exit {
    clap_complete::generate(shell, &mut args::command(program), program, &mut std::io::stdout());
    Exit::Ok
}
