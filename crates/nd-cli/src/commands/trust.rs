//! `certs trust` and `certs untrust`: the root of the daemon's own authority, and this machine's store of authorities.

use std::path::{Path, PathBuf};

use nd_api::v1::RootView;
use nd_client::Host;
use serde::Serialize;

use super::{Context, Outcome};
use crate::args::{CertTrustArgs, CertUntrustArgs};
use crate::failure::{Exit, Failure};
use crate::render::time;
use crate::trust::{TrustError, TrustStore, put};

/// The authority whose roots nobody knows who was not told.
const INTERNAL: &str = "internal";

/// What was done with a root.
#[derive(Serialize)]
struct Trusted {
    file: PathBuf,
    #[serde(flatten)]
    root: RootView,
}

pub(super) async fn trust(args: &CertTrustArgs, context: &Context<'_>) -> Outcome {
    let root = context.client.root(INTERNAL).await?;
    if let Some(file) = &args.output {
        return write(file, root, context);
    }
    let store = TrustStore::find(args.dir.as_deref())?;
    let placed = store.trust(&root.fingerprint, &root.pem).await;
    let file =
        placed.map_err(|error| refused(error, &store, "trust", args.dir.as_deref(), Some(&root), context))?;
    if context.output.json {
        context.output.object(&Trusted { file, root });
        return Ok(Exit::Ok);
    }
    let until = time::date_clock(root.not_after);
    context.output.result(&format!("this machine trusts {} until {until}: {}", root.name, file.display()));
    context.output.warning(
        "browsers, Node.js and Python may have stores of their own; `nextdeploy certs trust --output root.crt` \
         writes a file for them",
    );
    Ok(Exit::Ok)
}

pub(super) async fn untrust(args: &CertUntrustArgs, context: &Context<'_>) -> Outcome {
    let store = TrustStore::find(args.dir.as_deref())?;
    let dir = args.dir.as_deref();
    let refused = |error| refused(error, &store, "untrust", dir, None, context);
    let files = if args.all {
        store.ours().map_err(refused)?
    } else {
        vec![store.place(&context.client.root(INTERNAL).await?.fingerprint)]
    };
    let gone = store.distrust(&files).await.map_err(refused)?;
    if context.output.json {
        context.output.list(&gone);
    } else if gone.is_empty() {
        context.output.note(
            "this machine does not trust it, as far as that was done here: nothing is to be taken away",
        );
    } else {
        let lines =
            gone.iter().map(|file| format!("{} is gone: this machine no longer trusts it", file.display()));
        context.output.result(&lines.collect::<Vec<_>>().join("\n"));
    }
    Ok(Exit::Ok)
}

/// Writes the root where somebody else can read it; `-` is standard output.
fn write(file: &Path, root: RootView, context: &Context<'_>) -> Outcome {
    if file == Path::new("-") {
        context.output.result(root.pem.trim_end());
        return Ok(Exit::Ok);
    }
    put(file, &root.pem).map_err(|error| Failure::failed(format!("write {}: {error}", file.display())))?;
    if context.output.json {
        context.output.object(&Trusted { file: file.to_owned(), root });
    } else {
        context.output.result(&file.display().to_string());
    }
    Ok(Exit::Ok)
}

/// Root may what this user may not: with the same words, or by hand where only this user can ask the daemon.
fn refused(
    error: TrustError,
    store: &TrustStore,
    verb: &str,
    dir: Option<&Path>,
    root: Option<&RootView>,
    context: &Context<'_>,
) -> Failure {
    let failure = Failure::failed(error.why);
    if !error.denied {
        return failure;
    }
    let program = std::env::current_exe().unwrap_or_else(|_| context.typed.program().into());
    let dir = dir.map(|dir| format!(" --dir {}", dir.display())).unwrap_or_default();
    match (context.client.host(), root) {
        (Host::Unix(_), _) | (_, None) => {
            let host = context.client.host();
            failure.fix(format!("sudo {} certs {verb}{dir} --host {host}", program.display()))
        }
        (Host::Tcp(_), Some(root)) => failure
            .fix("nextdeploy certs trust --output nextdeploy-root.crt")
            .fix(store.by_hand(Path::new("nextdeploy-root.crt"), &root.fingerprint)),
    }
}
