//! One connection of the daemon: requests in, answers out, several at a time.

use std::io;
use std::sync::Arc;
use std::time::Duration;

use futures_util::stream::{SplitSink, SplitStream};
use futures_util::{SinkExt, StreamExt};
use nd_proxy::{ApplyError, Delivery, Proxy, Records};
use nd_supervise::{CancellationToken, TaskSet};
use nd_types::EdgeState;
use tokio::net::UnixStream;
use tokio::sync::mpsc;
use tokio_util::bytes::Bytes;

use super::super::message::{Answer, Fault, Greeting, RECORDS, Reply, Request, VERSION, Wish};
use super::super::wire::{self, Frames};
use super::upkeep::Upkeep;

/// Answers that may wait for the daemon to read.
const QUEUE: usize = 64;

/// The daemon asks again after it.
const LISTEN: Duration = Duration::from_secs(60);

/// Serves the connection until the daemon closes it.
pub(super) async fn serve(stream: UnixStream, proxy: Proxy, upkeep: Arc<Upkeep>, tasks: TaskSet) {
    let ours = stream
        .peer_cred()
        .is_ok_and(|peer| peer.uid() == 0 || peer.uid() == rustix::process::geteuid().as_raw());
    if !ours {
        return tracing::warn!("a control connection of another user was refused");
    }
    let (mut sink, mut source): (SplitSink<Frames, Bytes>, _) = wire::frames(stream).split();
    let (answers, mut waiting) = mpsc::channel::<Reply>(QUEUE);
    let mut announced = upkeep.announcements();
    let (records, wanted) = (proxy.records(), CancellationToken::new());
    let write = async {
        loop {
            let reply = tokio::select! {
                reply = waiting.recv() => reply,
                Ok(what) = announced.recv() => Some(Reply { id: None, what }),
                delivery = next_records(&records, &wanted) => {
                    let mut message = vec![RECORDS];
                    message.extend_from_slice(delivery.lines());
                    if sink.send(Bytes::from(message)).await.is_err() {
                        return;
                    }
                    drop(delivery.done());
                    continue;
                }
            };
            let Some(reply) = reply else { return };
            let Ok(bytes) = serde_json::to_vec(&reply) else { continue };
            if sink.send(Bytes::from(bytes)).await.is_err() {
                return;
            }
        }
    };
    let read = async {
        while let Some(Request { id, what }) = next(&mut source).await {
            if matches!(what, Wish::Records) {
                wanted.cancel();
            }
            let (proxy, upkeep, answers) = (proxy.clone(), Arc::clone(&upkeep), answers.clone());
            tasks.spawn("control request", async move {
                let what = answer(&proxy, &upkeep, what).await;
                answers.send(Reply { id: Some(id), what }).await.ok(); // the daemon has gone
            });
        }
    };
    tokio::select! {
        () = write => {}
        () = read => {}
    }
}

/// The next access records, once they are wanted here.
async fn next_records(records: &Records, wanted: &CancellationToken) -> Delivery {
    wanted.cancelled().await;
    match records.next().await {
        Some(delivery) => delivery,
        None => std::future::pending().await,
    }
}

async fn next(source: &mut SplitStream<Frames>) -> Option<Request> {
    loop {
        let frame = source.next().await?.ok()?;
        match serde_json::from_slice(&frame) {
            Ok(request) => return Some(request),
            // A newer daemon asks for what this version does not know; it sees its deadline.
            Err(error) => tracing::warn!(%error, "a control request is not understood"),
        }
    }
}

async fn answer(proxy: &Proxy, upkeep: &Upkeep, wish: Wish) -> Answer {
    match wish {
        Wish::Hello { .. } => Answer::Hello(Greeting {
            version: VERSION,
            pid: std::process::id(),
            http: proxy.http_addr(),
            serving: proxy.serving(),
            settings: upkeep.settings(),
        }),
        Wish::Apply { state } => apply(proxy, upkeep, *state).await,
        Wish::Drain { units, patience } => {
            let report = proxy.drain(&units, patience).await;
            Answer::Drained {
                finished: report.finished,
                cut: report.cut,
                websockets_closed: report.websockets_closed,
                websockets_cut: report.websockets_cut,
            }
        }
        Wish::Pause { app, max } => {
            proxy.pause(&app, max).await;
            Answer::Done
        }
        Wish::Resume { app } => {
            proxy.resume(&app).await;
            Answer::Done
        }
        Wish::Records => Answer::Done,
        Wish::State => Answer::State(Box::new(proxy.state().as_ref().clone())),
        Wish::Wanted { known } => {
            let heard = tokio::time::timeout(LISTEN, proxy.wanted(&known)).await;
            Answer::Wanted { apps: heard.unwrap_or(known) }
        }
        Wish::Stats => Answer::Stats(Box::new(proxy.stats())),
        Wish::Replace { program, settings, grace_ms } => {
            match upkeep.replace(program, settings, grace_ms).await {
                Ok(()) => Answer::Done,
                Err(error) => Answer::Failed { error },
            }
        }
        Wish::Stop { grace_ms } => {
            upkeep.stop(Duration::from_millis(grace_ms)).await;
            Answer::Done
        }
    }
}

/// What is answered is with the holder already: the next worker serves nothing older.
async fn apply(proxy: &Proxy, upkeep: &Upkeep, state: EdgeState) -> Answer {
    let kept = serde_json::to_value(&state);
    let applied = match proxy.apply(Arc::new(state)).await {
        Ok(applied) => applied,
        Err(ApplyError::Outdated { refused, serving }) => return Answer::Outdated { refused, serving },
        Err(error) => return Answer::Failed { error: error.to_string() },
    };
    let kept_all = async {
        upkeep.keep_ports(proxy.host_ports().await?).await?;
        upkeep.keep(kept?).await;
        io::Result::Ok(())
    };
    if let Err(error) = kept_all.await {
        return Answer::Failed { error: format!("keep the state for the next worker: {error}") };
    }
    let faults = applied.faults.into_iter();
    let faults = faults.map(|fault| Fault { bind: fault.bind, app: fault.app, error: fault.error });
    Answer::Applied { generation: applied.generation, faults: faults.collect() }
}
