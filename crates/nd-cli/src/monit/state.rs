//! All that `monit` knows, and what news does to it.

use std::collections::{BTreeMap, VecDeque};

use nd_api::flat::SystemMetrics;
use nd_api::v1::{AppView, LogFrame, LogLevel, LogLine};
use nd_types::{AppName, Timestamp};

/// Samples that a sparkline can show: at one every 2 s, those of six minutes.
const SAMPLES: usize = 180;

/// Lines that are kept of the selected app, so that hours of `monit` cost no more than a few MiB.
pub(super) const LINES: usize = 2_000;

/// The last values of a figure, oldest first.
pub(super) type Samples = VecDeque<u64>;

/// All that is known.
#[derive(Debug, Default)]
pub(super) struct State {
    /// Where the daemon is, for the title.
    pub(super) host_name: String,
    /// By name.
    pub(super) apps: Vec<AppView>,
    pub(super) selected: Option<AppName>,
    pub(super) host: Option<SystemMetrics>,
    pub(super) history: History,
    pub(super) logs: Logs,
    pub(super) mode: Mode,
    /// What came of the last action.
    pub(super) notice: Option<Notice>,
    /// Why the daemon does not answer, while it does not.
    pub(super) lost: Option<String>,
    /// When figures last came.
    pub(super) at: Option<Timestamp>,
    /// Whether there is something that was not drawn yet.
    pub(super) is_dirty: bool,
}

/// Figures over time.
#[derive(Debug, Default)]
pub(super) struct History {
    pub(super) cpu: Samples,
    pub(super) memory: Samples,
    pub(super) apps: BTreeMap<AppName, AppHistory>,
}

/// Figures of one app over time.
#[derive(Debug, Default)]
pub(super) struct AppHistory {
    /// In percent of one core.
    pub(super) cpu: Samples,
    /// In bytes.
    pub(super) memory: Samples,
}

/// The lines of the selected app.
#[derive(Debug, Default)]
pub(super) struct Logs {
    pub(super) entries: VecDeque<Entry>,
    /// This level and worse; all where there is none.
    pub(super) level: Option<LogLevel>,
    /// What a line has to contain, whatever its case.
    pub(super) text: String,
    /// While paused, lines that came since.
    pub(super) paused: Option<usize>,
    /// Entries below the last one that is shown.
    pub(super) back: usize,
    /// The number of the last line, from which a broken stream goes on.
    pub(super) last: u64,
}

/// One entry among the lines.
#[derive(Clone, Debug)]
pub(super) enum Entry {
    Line(Box<LogLine>),
    /// Lines that the daemon left out, because this reader was too slow.
    Gap(u64),
}

/// What keys mean.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) enum Mode {
    #[default]
    Watch,
    /// The filter is being typed; before it was this.
    Filter { before: String },
    /// A number of instances is being typed.
    Scale { typed: String },
    /// A rollback waits for yes or no.
    Rollback,
    /// The keys are shown.
    Keys,
}

/// A sentence for the bottom line.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Notice {
    pub(super) text: String,
    pub(super) is_bad: bool,
}

impl State {
    /// Nothing is known but where to ask, and which app is meant to be selected.
    pub(super) fn new(host_name: String, selected: Option<AppName>) -> Self {
        Self { host_name, selected, is_dirty: true, ..Self::default() }
    }

    /// Figures came. True: another app is selected now.
    pub(super) fn figures(&mut self, apps: Vec<AppView>, host: SystemMetrics, at: Timestamp) -> bool {
        push(&mut self.history.cpu, percent(host.cpu));
        push(&mut self.history.memory, percent(host.memory));
        self.history.apps.retain(|name, _| apps.iter().any(|app| app.name == *name));
        for app in &apps {
            let history = self.history.apps.entry(app.name.clone()).or_default();
            push(&mut history.cpu, app.cpu.map_or(0, |cpu| percent(cpu.percent)));
            push(&mut history.memory, app.memory.map_or(0, |memory| memory.used_bytes));
        }
        (self.apps, self.host, self.at, self.lost) = (apps, Some(host), Some(at), None);
        self.is_dirty = true;
        if self.app().is_some() {
            return false;
        }
        let first = self.apps.first().map(|app| app.name.clone());
        self.select(first)
    }

    /// The daemon did not answer.
    pub(super) fn lost(&mut self, reason: String) {
        self.is_dirty |= self.lost.as_ref() != Some(&reason);
        self.lost = Some(reason);
    }

    /// A frame of the log stream came.
    pub(super) fn frame(&mut self, frame: LogFrame) {
        let entry = match frame {
            // Sent again after a broken stream.
            LogFrame::Log(line) if line.seq <= self.logs.last => return,
            LogFrame::Log(line) => {
                self.logs.last = line.seq;
                Entry::Line(Box::new(line))
            }
            LogFrame::Gap { dropped } => Entry::Gap(dropped),
        };
        self.logs.push(entry);
        self.is_dirty = true;
    }

    /// The selected app, while the daemon has it.
    pub(super) fn app(&self) -> Option<&AppView> {
        let selected = self.selected.as_ref()?;
        self.apps.iter().find(|app| app.name == *selected)
    }

    /// Its place among the apps.
    pub(super) fn place(&self) -> Option<usize> {
        let selected = self.selected.as_ref()?;
        self.apps.iter().position(|app| app.name == *selected)
    }

    /// Selects the app so many places further, and stops at the ends. True: another one is selected.
    pub(super) fn step(&mut self, by: isize) -> bool {
        let place = self.place().unwrap_or(0).saturating_add_signed(by);
        let app = self.apps.get(place.min(self.apps.len().saturating_sub(1)));
        let name = app.map(|app| app.name.clone());
        name.is_some() && self.select(name)
    }

    fn select(&mut self, app: Option<AppName>) -> bool {
        if self.selected == app {
            return false;
        }
        self.selected = app;
        self.logs.forget();
        true
    }

    pub(super) fn say(&mut self, text: impl Into<String>) {
        self.notice = Some(Notice { text: text.into(), is_bad: false });
        self.is_dirty = true;
    }

    pub(super) fn complain(&mut self, text: impl Into<String>) {
        self.notice = Some(Notice { text: text.into(), is_bad: true });
        self.is_dirty = true;
    }
}

impl Logs {
    /// Drops all lines, for the stream that begins anew.
    pub(super) fn forget(&mut self) {
        self.entries.clear();
        (self.last, self.back, self.paused) = (0, 0, None);
    }

    /// Whether a line passes the filters. The daemon filters too; this answers while a filter is being typed.
    pub(super) fn admits(&self, entry: &Entry) -> bool {
        let Entry::Line(line) = entry else { return true };
        let is_bad_enough = self.level.is_none_or(|least| line.level.is_some_and(|level| level >= least));
        is_bad_enough && (self.text.is_empty() || contains(&line.line, &self.text))
    }

    /// Goes so many entries back. Whoever looks back stops the flow.
    pub(super) fn scroll(&mut self, by: isize) {
        let most = self.entries.iter().filter(|entry| self.admits(entry)).count().saturating_sub(1);
        self.back = self.back.saturating_add_signed(by).min(most);
        if self.back > 0 {
            self.paused = self.paused.or(Some(0));
        }
    }

    /// Stops the flow, or lets it go on from the last line.
    pub(super) fn toggle_pause(&mut self) {
        (self.paused, self.back) = if self.paused.is_some() { (None, 0) } else { (Some(0), 0) };
    }

    fn push(&mut self, entry: Entry) {
        let is_shown = self.admits(&entry);
        if let (Some(since), true) = (&mut self.paused, is_shown) {
            // What is shown stays where it is.
            *since += 1;
            self.back += 1;
        }
        self.entries.push_back(entry);
        if self.entries.len() > LINES {
            self.entries.pop_front();
        }
    }
}

/// Whether a text contains another one, whatever its case.
pub(super) fn contains(text: &str, part: &str) -> bool {
    text.to_lowercase().contains(&part.to_lowercase())
}

fn push(samples: &mut Samples, value: u64) {
    samples.push_back(value);
    if samples.len() > SAMPLES {
        samples.pop_front();
    }
}

#[allow(
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    reason = "a float becomes the nearest number there is"
)]
fn percent(value: f64) -> u64 {
    value.round() as u64
}

#[cfg(test)]
pub(super) mod tests {
    use super::*;

    /// An app as the daemon describes it, with more keys over the usual ones.
    pub(in crate::monit) fn app(name: &str, more: &serde_json::Value) -> AppView {
        let mut app = serde_json::json!({"name": name, "phase": "running", "status": "running",
            "desired_state": "running", "policy": "always", "instances": {"ready": 2, "desired": 2},
            "release": "8f3k2a", "runtime": "process", "restarts": 1, "restarts_24h": 0, "crashes": 0,
            "updated_at": "2026-01-01T00:00:00Z"});
        app.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
        serde_json::from_value(app).unwrap()
    }

    pub(in crate::monit) fn line(seq: u64, level: Option<&str>, text: &str) -> LogFrame {
        let ts =
            Timestamp::from_millisecond(1_700_000_000_000 + i64::try_from(seq).unwrap() * 1_120).unwrap();
        let line = serde_json::json!({"type": "log", "seq": seq, "ts": ts.to_string(), "app": "shop",
            "instance": "shop-8f3k2a-1", "stream": "stdout", "level": level, "line": text});
        serde_json::from_value(line).unwrap()
    }

    pub(in crate::monit) fn host(cpu: f64) -> SystemMetrics {
        let host = serde_json::json!({"memory_total_bytes": 8_u64 << 30, "memory_used_bytes": 5_u64 << 30,
            "disk_total_bytes": 100_u64 << 30, "disk_used_bytes": 48_u64 << 30});
        SystemMetrics {
            cpu,
            memory: 62.5,
            disk: 48.0,
            uptime: "1h42m".to_owned(),
            host: Some(host),
            apps: Vec::new(),
        }
    }

    fn with_apps(names: &[&str]) -> State {
        let mut state = State::new("here".to_owned(), None);
        let apps = names.iter().map(|name| app(name, &serde_json::json!({}))).collect();
        state.figures(apps, host(10.0), Timestamp::UNIX_EPOCH);
        state
    }

    fn texts(logs: &Logs) -> Vec<String> {
        let shown = logs.entries.iter().filter(|entry| logs.admits(entry));
        shown
            .map(|entry| match entry {
                Entry::Line(line) => line.line.clone(),
                Entry::Gap(count) => format!("-{count}"),
            })
            .collect()
    }

    #[test]
    fn the_first_app_is_selected_until_another_one_is() {
        let mut state = with_apps(&["blog", "shop"]);
        assert_eq!(state.selected.as_ref().unwrap().as_str(), "blog");
        assert!(state.step(1) && !state.step(1));
        assert_eq!(state.selected.as_ref().unwrap().as_str(), "shop");
        assert!(state.step(-5));
    }

    #[test]
    fn an_app_that_is_destroyed_gives_its_place_to_the_first() {
        let mut state = with_apps(&["blog", "shop"]);
        state.step(1);
        let left = vec![app("blog", &serde_json::json!({}))];
        assert!(state.figures(left, host(1.0), Timestamp::UNIX_EPOCH));
        assert_eq!(state.place(), Some(0));
        assert_eq!(state.history.apps.len(), 1);
    }

    #[test]
    fn a_line_that_comes_twice_is_shown_once() {
        let mut state = with_apps(&["shop"]);
        for seq in [1, 2, 2, 1, 3] {
            state.frame(line(seq, None, &format!("line {seq}")));
        }
        state.frame(LogFrame::Gap { dropped: 7 });
        assert_eq!(texts(&state.logs), ["line 1", "line 2", "line 3", "-7"]);
    }

    #[test]
    fn a_pause_keeps_what_is_shown_and_counts_what_comes() {
        let mut state = with_apps(&["shop"]);
        state.frame(line(1, None, "a"));
        state.logs.toggle_pause();
        state.frame(line(2, None, "b"));
        state.frame(line(3, None, "c"));
        assert_eq!((state.logs.paused, state.logs.back), (Some(2), 2));
        state.logs.toggle_pause();
        assert_eq!((state.logs.paused, state.logs.back), (None, 0));
    }

    #[test]
    fn filters_work_on_what_is_there() {
        let mut state = with_apps(&["shop"]);
        state.frame(line(1, Some("info"), "GET /cart 200"));
        state.frame(line(2, Some("error"), "Timeout of redis"));
        state.frame(line(3, None, "timeout again"));
        state.logs.text = "TIMEOUT".to_owned();
        assert_eq!(texts(&state.logs), ["Timeout of redis", "timeout again"]);
        state.logs.level = Some(LogLevel::Warn);
        assert_eq!(texts(&state.logs), ["Timeout of redis"]);
    }

    #[test]
    fn no_more_is_kept_than_the_bounds() {
        let mut state = with_apps(&["shop"]);
        for seq in 1..=3_000 {
            state.frame(line(seq, None, "x"));
        }
        for _ in 0..300 {
            state.figures(vec![app("shop", &serde_json::json!({}))], host(1.0), Timestamp::UNIX_EPOCH);
        }
        assert_eq!((state.logs.entries.len(), state.history.cpu.len()), (LINES, SAMPLES));
    }
}
