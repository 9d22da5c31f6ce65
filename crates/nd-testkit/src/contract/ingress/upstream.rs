//! An app that answers with its name, when the test lets it.

use std::sync::Arc;

use nd_supervise::TaskSet;
use nd_types::{AppName, Backend, UnitId};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::watch;

use super::{Result, release};

/// A server behind the ingress. It ends when it is dropped.
pub(super) struct Upstream {
    pub(super) backend: Backend,
    open: watch::Sender<bool>,
    asked: watch::Receiver<u64>,
    _tasks: TaskSet,
}

impl Upstream {
    /// Starts the unit in `slot` of the app, which answers with the slot's number.
    pub(super) async fn start(app: &AppName, slot: u16) -> Result<Self> {
        let listener = TcpListener::bind("127.0.0.1:0").await?;
        let backend = Backend {
            unit: UnitId::new(app, &release()?, slot),
            address: listener.local_addr()?,
            started: None,
            protocol: nd_types::AppProtocol::default(),
        };
        let (open, gate) = watch::channel(true);
        let (count, asked) = watch::channel(0);
        let (tasks, count) = (TaskSet::new("upstream"), Arc::new(count));
        let connections = tasks.clone();
        tasks.spawn("accept", async move {
            while let Ok((stream, _)) = listener.accept().await {
                let serve = serve(stream, slot, gate.clone(), Arc::clone(&count));
                connections.spawn("connection", async move {
                    // The ingress may drop its connections whenever it likes.
                    serve.await.ok();
                });
            }
        });
        Ok(Self { backend, open, asked, _tasks: tasks })
    }

    /// From now on it keeps requests waiting.
    pub(super) fn hold(&self) {
        self.open.send_replace(false);
    }

    /// Answers what waits.
    pub(super) fn release(&self) {
        self.open.send_replace(true);
    }

    /// Waits until so many requests have arrived.
    pub(super) async fn asked(&self, requests: u64) -> Result<()> {
        self.asked.clone().wait_for(|asked| *asked >= requests).await?;
        Ok(())
    }
}

async fn serve(
    mut stream: TcpStream,
    slot: u16,
    mut gate: watch::Receiver<bool>,
    count: Arc<watch::Sender<u64>>,
) -> Result<(), std::io::Error> {
    loop {
        let mut head = Vec::new();
        while !head.ends_with(b"\r\n\r\n") {
            head.push(stream.read_u8().await?);
        }
        count.send_modify(|count| *count += 1);
        gate.wait_for(|open| *open).await.map_err(std::io::Error::other)?;
        let body = slot.to_string();
        let head = String::from_utf8_lossy(&head);
        let path = head.split(' ').nth(1).unwrap_or_default();
        let length = body.len();
        let answer = format!("HTTP/1.1 200 OK\r\nX-Asked: {path}\r\nContent-Length: {length}\r\n\r\n{body}");
        stream.write_all(answer.as_bytes()).await?;
    }
}
