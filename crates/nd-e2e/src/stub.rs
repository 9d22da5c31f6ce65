//! A server that gives prepared answers.

use std::io::{BufRead, BufReader, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::{self, JoinHandle};
use std::time::Duration;

use crate::Result;

/// A server that gives prepared answers, one a connection.
#[derive(Debug)]
pub struct Stub {
    /// Where it listens.
    pub address: SocketAddr,
    stop: Arc<AtomicBool>,
    thread: Option<JoinHandle<()>>,
}

impl Stub {
    /// Answers each path with a status (`404 Not Found`) and a body of JSON.
    ///
    /// # Errors
    /// When there is no free port.
    pub fn start(answer: impl Fn(&str) -> (&'static str, String) + Send + 'static) -> Result<Self> {
        let listener = TcpListener::bind("127.0.0.1:0")?;
        let (address, stop) = (listener.local_addr()?, Arc::new(AtomicBool::new(false)));
        let until = Arc::clone(&stop);
        let serve = move || {
            for client in listener.incoming().flatten() {
                if until.load(Ordering::SeqCst) {
                    return;
                }
                // Whoever hung up wants no answer.
                serve(client, &answer).ok();
            }
        };
        let thread = thread::Builder::new().name("stub".to_owned()).spawn(serve)?;
        Ok(Self { address, stop, thread: Some(thread) })
    }
}

impl Drop for Stub {
    fn drop(&mut self) {
        self.stop.store(true, Ordering::SeqCst);
        // Wakes it.
        TcpStream::connect(self.address).ok();
        if let Some(thread) = self.thread.take() {
            thread.join().ok();
        }
    }
}

fn serve(client: TcpStream, answer: &impl Fn(&str) -> (&'static str, String)) -> std::io::Result<()> {
    client.set_read_timeout(Some(Duration::from_secs(5)))?;
    let mut reader = BufReader::new(client);
    let mut first = String::new();
    reader.read_line(&mut first)?;
    let mut line = String::new();
    while reader.read_line(&mut line)? > 2 {
        line.clear();
    }
    let (status, body) = answer(first.split(' ').nth(1).unwrap_or_default());
    let head = "content-type: application/json\r\ndocker-distribution-api-version: registry/2.0\r\nconnection: close";
    let answer = format!("HTTP/1.1 {status}\r\n{head}\r\ncontent-length: {}\r\n\r\n{body}", body.len());
    reader.get_mut().write_all(answer.as_bytes())
}
