//! What containers use.

mod cgroup;
mod remote;

use std::sync::Arc;

use nd_core::ports::{PortResult, UnitStats};
use nd_types::UnitId;

use crate::failure::port_error;
use crate::find;
use crate::runtime::Shared;

/// A container's first process, as this machine counts processes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct MainProcess {
    pub(crate) container: String,
    pub(crate) pid: u32,
}

/// What the unit uses; nothing while it does not run. Where the engine is local the kernel is asked, which costs far
/// less than the engine's own statistics.
pub(crate) async fn stats(shared: &Arc<Shared>, unit: &UnitId) -> PortResult<UnitStats> {
    let tried = format!("read what unit {unit} uses");
    let session = shared.engine.session().await.map_err(|error| port_error(&tried, error))?;
    if session.local
        && let Some(process) = main_process(shared, unit).await?
    {
        let read = nd_supervise::blocking("read cgroup", move || cgroup::read(&process)).await;
        if let Ok(Some(stats)) = read {
            return Ok(stats);
        }
    }
    let found = find::unit(shared, unit).await?;
    if !found.runs() {
        return Ok(UnitStats::default());
    }
    remote::read(shared, &found.id).await.map_err(|error| port_error(&tried, error))
}

/// The unit's main process, if it runs. The engine is only asked when the process that was seen last is gone.
pub(crate) async fn main_process(shared: &Arc<Shared>, unit: &UnitId) -> PortResult<Option<MainProcess>> {
    let known = shared.main_processes.lock().get(unit).cloned();
    if let Some(known) = known {
        let process = known.clone();
        let alive = nd_supervise::blocking("check process", move || {
            process_belongs_to(process.pid, &process.container)
        });
        if alive.await == Ok(true) {
            return Ok(Some(known));
        }
        shared.main_processes.lock().remove(unit);
    }
    let found = find::unit(shared, unit).await?;
    let pid = found.inspected.state.as_ref().filter(|_| found.runs()).and_then(|state| state.pid);
    let Some(pid) = pid.and_then(|pid| u32::try_from(pid).ok()).filter(|pid| *pid > 0) else {
        return Ok(None);
    };
    let process = MainProcess { container: found.id, pid };
    shared.main_processes.lock().insert(unit.clone(), process.clone());
    Ok(Some(process))
}

/// Whether a process of this machine is one of the container's. Blocks for a read of `/proc`.
pub(crate) fn process_belongs_to(pid: u32, container: &str) -> bool {
    std::fs::read_to_string(format!("/proc/{pid}/cgroup")).is_ok_and(|groups| groups.contains(container))
}
