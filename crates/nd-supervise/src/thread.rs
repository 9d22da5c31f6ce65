//! Named threads of the operating system.

use std::io;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::thread::{Builder, JoinHandle};
use std::time::Duration;

use crate::TaskEnd;
use crate::task::panic_message;

/// Starts a thread named `name`; a panic of `f` is caught and logged with that name.
///
/// Dropping the handle leaves the thread running.
///
/// # Errors
/// When the system refuses another thread, or `name` contains a NUL byte.
pub fn thread(name: &str, f: impl FnOnce() + Send + 'static) -> io::Result<ThreadHandle> {
    if name.contains('\0') {
        let message = format!("start thread {name:?}: a thread's name cannot contain a NUL byte");
        return Err(io::Error::new(io::ErrorKind::InvalidInput, message));
    }
    let label = name.to_owned();
    let inner = Builder::new().name(name.to_owned()).spawn(move || run(&label, f))?;
    Ok(ThreadHandle { inner })
}

/// Starts a thread named `name` that calls `f` until it returns: after a panic, which is caught and logged with that name,
/// it is called again, a moment later.
///
/// # Errors
/// As for [`thread`].
pub fn thread_restarting(name: &str, mut f: impl FnMut() + Send + 'static) -> io::Result<ThreadHandle> {
    let label = name.to_owned();
    thread(name, move || {
        while run(&label, &mut f) != TaskEnd::Done {
            std::thread::sleep(BREATH);
        }
    })
}

/// How long a thread that panicked rests before it goes on.
const BREATH: Duration = Duration::from_millis(100);

/// A thread that was started with [`thread`].
#[derive(Debug)]
pub struct ThreadHandle {
    inner: JoinHandle<TaskEnd>,
}

impl ThreadHandle {
    /// Waits for the thread's end. Blocks, so never call it on the runtime.
    #[must_use = "says whether the thread panicked"]
    pub fn join(self) -> TaskEnd {
        self.inner.join().unwrap_or_else(|payload| TaskEnd::Panicked(panic_message(&*payload)))
    }

    /// Whether the thread has ended.
    #[must_use]
    pub fn is_finished(&self) -> bool {
        self.inner.is_finished()
    }
}

fn run(name: &str, f: impl FnOnce()) -> TaskEnd {
    match catch_unwind(AssertUnwindSafe(f)) {
        Ok(()) => TaskEnd::Done,
        Err(payload) => {
            let message = panic_message(&*payload);
            tracing::error!(thread = name, panic = message, "thread panicked");
            TaskEnd::Panicked(message)
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_thread_carries_its_name() {
        let (names, name) = std::sync::mpsc::channel();
        let handle = thread("nd-test", move || {
            names.send(std::thread::current().name().map(str::to_owned)).unwrap();
        })
        .unwrap();
        assert_eq!(name.recv().unwrap().as_deref(), Some("nd-test"));
        assert_eq!(handle.join(), TaskEnd::Done);
    }

    #[test]
    fn a_panic_of_a_thread_is_its_end() {
        let handle = thread("nd-broken", || panic!("out of luck")).unwrap();
        assert_eq!(handle.join(), TaskEnd::Panicked("out of luck".to_owned()));
    }

    #[test]
    fn a_thread_that_panics_goes_on_until_it_returns() {
        let calls = std::sync::Arc::new(std::sync::atomic::AtomicU32::new(0));
        let counted = std::sync::Arc::clone(&calls);
        let handle = thread_restarting("nd-flaky", move || {
            assert!(counted.fetch_add(1, std::sync::atomic::Ordering::Relaxed) >= 2, "out of luck");
        })
        .unwrap();
        assert_eq!(handle.join(), TaskEnd::Done);
        assert_eq!(calls.load(std::sync::atomic::Ordering::Relaxed), 3);
    }

    #[test]
    fn a_name_with_a_nul_byte_is_refused() {
        let error = thread("a\0b", || ()).unwrap_err();
        assert_eq!(error.kind(), io::ErrorKind::InvalidInput);
    }
}
