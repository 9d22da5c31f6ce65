//! Instances of an app, in a table.

use nd_api::v1::{AppView, InstanceState, InstanceView, MemoryView};

use super::table::{self, Column, Layouts, Text, Tone};
use super::time;
use crate::output::Output;

type Of = Column<InstanceView>;

const NAME: Of = Column { name: "instance", cell: |unit| Text::plain(unit.id.as_str()) };
const STATE: Of = Column { name: "state", cell: |unit| Text(unit.state.to_string(), tone(unit.state)) };
const UP: Of = Column { name: "up", cell: |unit| Text::or_dash(unit.uptime_ms.map(time::uptime)) };
const RESTARTS: Of = Column { name: "↺", cell: |unit| Text::plain(unit.restarts.to_string()) };
const CPU: Of =
    Column { name: "cpu", cell: |unit| Text::or_dash(unit.cpu.map(|cpu| format!("{:.0}%", cpu.percent))) };
const MEMORY: Of = Column { name: "mem", cell: |unit| Text::or_dash(unit.memory.map(memory)) };
const ADDRESS: Of = Column { name: "address", cell: |unit| Text::or_dash(unit.address.clone()) };
const PID: Of = Column { name: "pid", cell: |unit| Text::shown_or_dash(unit.pid.as_ref()) };
const WHY: Of = Column { name: "last end", cell: |unit| why(unit) };

const LAYOUTS: Layouts<InstanceView> = Layouts {
    columns: &[
        &[NAME, STATE, UP, RESTARTS, CPU, MEMORY, ADDRESS, PID],
        &[NAME, STATE, UP, RESTARTS, CPU, MEMORY],
        &[NAME, STATE, UP],
    ],
    last: WHY,
};

/// The table of instances in `width` columns of the terminal.
pub(crate) fn table(units: &[InstanceView], width: usize, output: &Output) -> String {
    LAYOUTS.table(units, width, output)
}

/// Those that serve or are to, and how many wait for nothing but a rollback.
pub(crate) fn current(app: &AppView) -> (Vec<InstanceView>, usize) {
    let is_kept = |unit: &InstanceView| {
        unit.state == InstanceState::Stopped
            && app.release.as_ref().is_some_and(|release| unit.release != *release)
    };
    let (kept, current): (Vec<_>, Vec<_>) = app.units.iter().cloned().partition(is_kept);
    (current, kept.len())
}

/// `310M/512M`, of what is used and the limit.
pub(crate) fn memory(used: MemoryView) -> String {
    match used.limit_bytes {
        Some(limit) => format!("{}/{}", table::size(used.used_bytes), table::size(limit)),
        None => table::size(used.used_bytes),
    }
}

/// How a state is coloured.
pub(crate) fn tone(state: InstanceState) -> Tone {
    match state {
        InstanceState::Ready => Tone::Good,
        InstanceState::Crashed | InstanceState::Unhealthy => Tone::Bad,
        InstanceState::Stopped | InstanceState::Gone => Tone::Dim,
        _ => Tone::Odd,
    }
}

/// Why it does not serve; else how it ended the last time that nobody had asked for it.
fn why(unit: &InstanceView) -> Text {
    match (&unit.reason, &unit.last_exit, &unit.exit) {
        (Some(reason), _, _) => Text(reason.clone(), Tone::Odd),
        (None, Some(last), _) => Text(format!("{}, {} ago", last.reason, time::ago(last.at)), Tone::Dim),
        (None, None, exit) => Text::shown_or_dash(exit.as_ref()),
    }
}
