//! The line that was typed, for answers that say how to type it instead.

/// A command line.
#[derive(Clone, Debug)]
pub(crate) struct Typed {
    program: &'static str,
    words: Vec<String>,
}

impl Typed {
    /// The line of this process. Words that are not UTF-8 are shown with replacements.
    pub(crate) fn new(program: &'static str) -> Self {
        let words = std::env::args_os().skip(1).map(|word| word.to_string_lossy().into_owned());
        Self { program, words: words.collect() }
    }

    /// The name the program was called by.
    pub(crate) fn program(&self) -> &'static str {
        self.program
    }

    /// Whether `--json` stands among the flags, for a line that could not be read otherwise.
    pub(crate) fn asks_for_json(&self) -> bool {
        let flags = self.words.iter().take_while(|word| *word != "--");
        flags.into_iter().any(|word| word == "--json" || word.starts_with("--json="))
    }

    /// The whole line with more words behind it, as a shell takes it. A token is left out.
    pub(crate) fn with(&self, more: &str) -> String {
        let mut line = self.program.to_owned();
        let mut hidden = false;
        for word in &self.words {
            let shown = match word.as_str() {
                _ if hidden => "…",
                word if word.starts_with("--token=") => "--token=…",
                word => word,
            };
            hidden = !hidden && word == "--token";
            line.push(' ');
            line.push_str(&quoted(shown));
        }
        format!("{line} {more}")
    }
}

/// A word as a POSIX shell reads it back (XCU, section 2.2).
fn quoted(word: &str) -> String {
    let plain = |c: char| c.is_alphanumeric() || "_./:=@%+,-…".contains(c);
    if !word.is_empty() && word.chars().all(plain) {
        return word.to_owned();
    }
    format!("'{}'", word.replace('\'', r"'\''"))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn typed(words: &[&str]) -> Typed {
        Typed { program: "nextdeploy", words: words.iter().map(ToString::to_string).collect() }
    }

    #[test]
    fn a_line_is_shown_as_it_can_be_typed_again() {
        let line = typed(&["start", "--name=shop", "-e", "GREETING=it's me", "--restart=always"]);
        assert_eq!(
            line.with("--image=IMAGE"),
            r"nextdeploy start --name=shop -e 'GREETING=it'\''s me' --restart=always --image=IMAGE"
        );
    }

    #[test]
    fn a_token_is_never_shown() {
        assert_eq!(typed(&["ls", "--token", "ndt_1", "-q"]).with("x"), "nextdeploy ls --token … -q x");
        assert_eq!(typed(&["ls", "--token=ndt_1"]).with("x"), "nextdeploy ls --token=… x");
    }

    #[test]
    fn json_is_asked_for_before_the_command_of_an_app() {
        assert!(typed(&["ls", "--json=name"]).asks_for_json());
        assert!(!typed(&["deploy", "--", "tool", "--json"]).asks_for_json());
    }
}
