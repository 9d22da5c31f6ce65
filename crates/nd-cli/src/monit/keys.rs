//! What keys do.

use crossterm::event::{KeyCode, KeyEvent, KeyEventKind, KeyModifiers};
use nd_api::manifest::Instances;
use nd_api::v1::LogLevel;
use nd_types::AppName;

use super::state::{Mode, State};

/// Each key, and what it does, as `?` shows them.
pub(super) const KEYS: &[(&str, &str)] = &[
    ("j k ↓ ↑", "next and previous app"),
    ("/", "show only lines that contain a text"),
    ("l", "least level: all, info, warn, error"),
    ("space", "pause the lines, and go on"),
    ("PgUp PgDn", "look back; End goes on"),
    ("r", "restart the app"),
    ("s", "scale the app"),
    ("R", "roll the app back to its release before"),
    ("Esc", "no filters"),
    ("?", "these keys"),
    ("q", "quit; the apps go on"),
];

/// Entries that a page has.
const PAGE: isize = 20;

/// What is to be done because of a key.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Effect {
    /// The lines are to be asked for anew: another app, or other filters.
    Follow,
    Restart(AppName),
    Scale(AppName, Instances),
    Rollback(AppName),
    /// The shell wants the terminal for a while.
    Suspend,
    Quit,
    /// Ctrl-C.
    Interrupt,
}

/// A key was pressed.
pub(super) fn pressed(state: &mut State, key: KeyEvent) -> Option<Effect> {
    if key.kind == KeyEventKind::Release {
        return None;
    }
    state.is_dirty = true;
    // It was read by now.
    state.notice = None;
    if key.modifiers.contains(KeyModifiers::CONTROL) {
        return match key.code {
            KeyCode::Char('c' | 'd') => Some(Effect::Interrupt),
            KeyCode::Char('z') => Some(Effect::Suspend),
            _ => None,
        };
    }
    match state.mode.clone() {
        Mode::Watch => watching(state, key.code),
        Mode::Filter { before } => filtering(state, before, key.code),
        Mode::Scale { typed } => scaling(state, typed, key.code),
        Mode::Rollback => confirming(state, key.code),
        Mode::Keys => {
            state.mode = Mode::Watch;
            (key.code == KeyCode::Char('q')).then_some(Effect::Quit)
        }
    }
}

fn watching(state: &mut State, key: KeyCode) -> Option<Effect> {
    let step = |state: &mut State, by| state.step(by).then_some(Effect::Follow);
    match key {
        KeyCode::Char('q') => return Some(Effect::Quit),
        KeyCode::Char('j') | KeyCode::Down | KeyCode::Tab => return step(state, 1),
        KeyCode::Char('k') | KeyCode::Up | KeyCode::BackTab => return step(state, -1),
        KeyCode::Home => return step(state, isize::MIN),
        KeyCode::Char(' ') => state.logs.toggle_pause(),
        KeyCode::PageUp => state.logs.scroll(PAGE),
        KeyCode::PageDown => state.logs.scroll(-PAGE),
        KeyCode::End if state.logs.paused.is_some() => state.logs.toggle_pause(),
        KeyCode::Char('?' | 'h') => state.mode = Mode::Keys,
        KeyCode::Char('/') => state.mode = Mode::Filter { before: state.logs.text.clone() },
        KeyCode::Char('l') => {
            state.logs.level = next(state.logs.level);
            state.logs.forget();
            return Some(Effect::Follow);
        }
        KeyCode::Esc if state.logs.level.is_some() || !state.logs.text.is_empty() => {
            (state.logs.level, state.logs.text) = (None, String::new());
            state.logs.forget();
            return Some(Effect::Follow);
        }
        KeyCode::Char('r') => return state.app().map(|app| Effect::Restart(app.name.clone())),
        KeyCode::Char('s') if state.app().is_some() => state.mode = Mode::Scale { typed: String::new() },
        KeyCode::Char('R') if state.app().is_some() => state.mode = Mode::Rollback,
        _ => {}
    }
    None
}

fn filtering(state: &mut State, before: String, key: KeyCode) -> Option<Effect> {
    match key {
        KeyCode::Char(typed) => state.logs.text.push(typed),
        KeyCode::Backspace => drop(state.logs.text.pop()),
        KeyCode::Esc => {
            state.logs.text = before;
            state.mode = Mode::Watch;
        }
        KeyCode::Enter => {
            state.mode = Mode::Watch;
            if state.logs.text != before {
                state.logs.forget();
                return Some(Effect::Follow);
            }
        }
        _ => {}
    }
    state.logs.back = 0;
    None
}

fn scaling(state: &mut State, mut typed: String, key: KeyCode) -> Option<Effect> {
    match key {
        KeyCode::Char(digit)
            if digit.is_ascii_digit() || (typed.is_empty() && matches!(digit, '+' | '-')) =>
        {
            typed.push(digit);
        }
        KeyCode::Backspace => drop(typed.pop()),
        KeyCode::Enter => {
            state.mode = Mode::Watch;
            let app = state.app()?;
            let (name, now) = (app.name.clone(), app.instances.desired);
            return match wanted(&typed, now) {
                Ok(instances) => Some(Effect::Scale(name, instances)),
                Err(reason) => {
                    state.complain(reason);
                    None
                }
            };
        }
        KeyCode::Esc | KeyCode::Char('q') => {
            state.mode = Mode::Watch;
            return None;
        }
        _ => {}
    }
    state.mode = Mode::Scale { typed };
    None
}

fn confirming(state: &mut State, key: KeyCode) -> Option<Effect> {
    match key {
        KeyCode::Char('y' | 'Y') => {
            state.mode = Mode::Watch;
            state.app().map(|app| Effect::Rollback(app.name.clone()))
        }
        KeyCode::Char('n' | 'N' | 'q') | KeyCode::Esc => {
            state.mode = Mode::Watch;
            None
        }
        _ => None,
    }
}

/// `3`, or `+1` and `-1` from what is wanted now.
fn wanted(typed: &str, now: u32) -> Result<Instances, String> {
    let count = match typed.parse::<i64>() {
        Ok(by) if typed.starts_with(['+', '-']) => i64::from(now) + by,
        Ok(count) => count,
        Err(_) => return Err("no number was typed".to_owned()),
    };
    count.to_string().parse::<Instances>().map_err(|error| error.to_string())
}

fn next(level: Option<LogLevel>) -> Option<LogLevel> {
    match level {
        None => Some(LogLevel::Info),
        Some(LogLevel::Info) => Some(LogLevel::Warn),
        Some(LogLevel::Warn) => Some(LogLevel::Error),
        Some(_) => None,
    }
}

#[cfg(test)]
mod tests {
    use nd_types::Timestamp;

    use super::super::state::tests::{app, host};
    use super::*;

    fn state() -> State {
        let mut state = State::new("here".to_owned(), None);
        let apps = ["blog", "shop"].map(|name| app(name, &serde_json::json!({})));
        state.figures(apps.to_vec(), host(1.0), Timestamp::UNIX_EPOCH);
        state
    }

    /// Types keys one after the other; gives what the last one brought about.
    fn typed(state: &mut State, keys: &str) -> Option<Effect> {
        let code = |key| match key {
            '\n' => KeyCode::Enter,
            '\u{1b}' => KeyCode::Esc,
            key => KeyCode::Char(key),
        };
        keys.chars().map(|key| pressed(state, KeyEvent::new(code(key), KeyModifiers::NONE))).last().flatten()
    }

    fn name(app: &str) -> AppName {
        app.parse().unwrap()
    }

    #[test]
    fn j_and_k_select_an_app_and_its_lines() {
        let mut state = state();
        assert_eq!(typed(&mut state, "j"), Some(Effect::Follow));
        assert_eq!(typed(&mut state, "r"), Some(Effect::Restart(name("shop"))));
        assert_eq!(typed(&mut state, "k"), Some(Effect::Follow));
        assert_eq!(typed(&mut state, "k"), None);
    }

    #[test]
    fn a_rollback_is_asked_about_before() {
        let mut state = state();
        assert_eq!(typed(&mut state, "R"), None);
        assert_eq!(typed(&mut state, "n"), None);
        assert_eq!(state.mode, Mode::Watch);
        assert_eq!(typed(&mut state, "Ry"), Some(Effect::Rollback(name("blog"))));
    }

    #[test]
    fn a_number_of_instances_is_typed_whole_or_relative() {
        for (keys, count) in [("s3\n", "3"), ("s+1\n", "3"), ("s-1\n", "1")] {
            let expected = Effect::Scale(name("blog"), count.parse().unwrap());
            assert_eq!(typed(&mut state(), keys), Some(expected), "{keys}");
        }
        let mut state = state();
        assert_eq!(typed(&mut state, "s-9\n"), None);
        assert!(state.notice.as_ref().unwrap().is_bad);
        assert_eq!(typed(&mut state, "s3\u{1b}"), None);
        assert_eq!(state.mode, Mode::Watch);
    }

    #[test]
    fn a_filter_counts_while_it_is_typed_and_is_asked_for_at_its_end() {
        let mut state = state();
        assert_eq!(typed(&mut state, "/time"), None);
        assert_eq!(state.logs.text, "time");
        assert_eq!(typed(&mut state, "\n"), Some(Effect::Follow));
        assert_eq!(typed(&mut state, "/out\u{1b}"), None);
        assert_eq!(state.logs.text, "time");
        assert_eq!(typed(&mut state, "\u{1b}"), Some(Effect::Follow));
        assert_eq!(state.logs.text, "");
    }

    #[test]
    fn the_level_goes_round() {
        let mut state = state();
        let levels: Vec<_> = (0..4)
            .map(|_| {
                typed(&mut state, "l");
                state.logs.level
            })
            .collect();
        assert_eq!(levels, [Some(LogLevel::Info), Some(LogLevel::Warn), Some(LogLevel::Error), None]);
    }

    #[test]
    fn q_ends_it_and_is_a_letter_in_a_filter() {
        let mut state = state();
        assert_eq!(typed(&mut state, "/q"), None);
        assert_eq!(typed(&mut state, "\n"), Some(Effect::Follow));
        assert_eq!(typed(&mut state, "?"), None);
        assert_eq!(typed(&mut state, "q"), Some(Effect::Quit));
    }
}
