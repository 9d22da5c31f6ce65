//! Who wants to know that a directory has changed: one inotify(7) instance for all of them.

use std::collections::HashMap;
use std::io;
use std::mem::MaybeUninit;
use std::os::fd::OwnedFd;
use std::path::Path;
use std::sync::Arc;

use nd_supervise::TaskSet;
use parking_lot::Mutex;
use rustix::fs::inotify::{self, CreateFlags, ReadFlags, Reader, WatchFlags};
use rustix::io::Errno;
use tokio::io::unix::AsyncFd;
use tokio::sync::watch;

/// Directories that are watched. The system has few inotify instances and many watches, so all share one.
#[derive(Debug)]
pub(super) struct Changes {
    shared: Mutex<Option<Arc<Shared>>>,
    tasks: TaskSet,
}

#[derive(Debug)]
struct Shared {
    inotify: AsyncFd<OwnedFd>,
    watched: Mutex<HashMap<i32, watch::Sender<()>>>,
}

impl Changes {
    pub(super) fn new() -> Self {
        Self { shared: Mutex::new(None), tasks: TaskSet::new("unit output") }
    }

    /// Is marked as changed whenever files in `dir` are written or made; closed when `dir` is renamed or removed.
    ///
    /// # Errors
    /// When the directory does not exist, or the system has no more watches.
    pub(super) fn subscribe(&self, dir: &Path) -> io::Result<watch::Receiver<()>> {
        let shared = self.shared()?;
        let flags = WatchFlags::MODIFY | WatchFlags::CREATE | WatchFlags::MOVE_SELF | WatchFlags::ONLYDIR;
        // Held while the watch is added, so that its first event finds its sender.
        let mut watched = shared.watched.lock();
        let number = inotify::add_watch(shared.inotify.get_ref(), dir, flags)?;
        Ok(watched.entry(number).or_default().subscribe())
    }

    /// Made when first needed: only then is there a runtime to read from it.
    fn shared(&self) -> io::Result<Arc<Shared>> {
        let mut slot = self.shared.lock();
        if let Some(shared) = &*slot {
            return Ok(Arc::clone(shared));
        }
        let inotify = inotify::init(CreateFlags::NONBLOCK | CreateFlags::CLOEXEC)?;
        #[allow(
            deprecated,
            reason = "unsound only for types that may lose their descriptor; an `OwnedFd` keeps it"
        )]
        let inotify = AsyncFd::new(inotify)?;
        let shared = Arc::new(Shared { inotify, watched: Mutex::default() });
        let reader = Arc::clone(&shared);
        self.tasks.spawn("read changes", async move {
            if let Err(error) = reader.read().await {
                tracing::error!(%error, "changes of output are not seen any more");
                // Readers go on with what is there and end.
                reader.watched.lock().clear();
            }
        });
        Ok(Arc::clone(slot.insert(shared)))
    }
}

impl Shared {
    async fn read(&self) -> io::Result<()> {
        let mut buffer = [MaybeUninit::uninit(); 4096];
        loop {
            let mut ready = self.inotify.readable().await?;
            let mut reader = Reader::new(self.inotify.get_ref(), &mut buffer);
            loop {
                match reader.next() {
                    Ok(event) => self.tell(event.wd(), event.events()),
                    Err(Errno::INTR) => {}
                    Err(Errno::WOULDBLOCK) => break,
                    Err(error) => return Err(error.into()),
                }
            }
            ready.clear_ready();
        }
    }

    fn tell(&self, number: i32, events: ReadFlags) {
        let mut watched = self.watched.lock();
        if events.contains(ReadFlags::QUEUE_OVERFLOW) {
            watched.values().for_each(|sender| sender.send_replace(()));
        } else if events.contains(ReadFlags::IGNORED) {
            watched.remove(&number);
        } else if events.contains(ReadFlags::MOVE_SELF)
            || watched.get(&number).is_some_and(|all| all.send(()).is_err())
        {
            // Gone, or without a reader; the next one adds the watch again.
            watched.remove(&number);
            inotify::remove_watch(self.inotify.get_ref(), number).ok();
        }
    }
}
