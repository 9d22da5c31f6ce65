//! Counts what cargo's test programs report, while their output goes by.

use std::io::{self, BufRead, BufReader, Write};
use std::process::{Command, Stdio};

use crate::Result;

/// The sum over all `test result:` lines.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct Tally {
    pub(super) passed: u64,
    pub(super) failed: u64,
    ignored: u64,
}

impl Tally {
    /// Runs the tests, shows what they write and adds up their results.
    pub(super) fn run(&mut self, command: &mut Command) -> Result {
        let mut child = command.stdout(Stdio::piped()).spawn()?;
        if let Some(stdout) = child.stdout.take() {
            self.read(BufReader::new(stdout), &mut io::stdout().lock())?;
        }
        let status = child.wait()?;
        if !status.success() && self.failed == 0 {
            self.failed = 1;
            return Err("a test program was not built, or ended without its result".into());
        }
        match (self.failed, self.ignored) {
            (0, 0) => Ok(()),
            (0, ignored) => Err(format!("{ignored} tests were skipped, and none may be").into()),
            (1, _) => Err("a test failed".into()),
            (failed, _) => Err(format!("{failed} tests failed").into()),
        }
    }

    fn read(&mut self, mut from: impl BufRead, to: &mut impl Write) -> io::Result<()> {
        let mut line = Vec::new();
        while from.read_until(b'\n', &mut line)? > 0 {
            to.write_all(&line)?;
            self.add(&String::from_utf8_lossy(&line));
            line.clear();
        }
        Ok(())
    }

    /// Adds a line like `test result: ok. 3 passed; 0 failed; 0 ignored; …`; other lines change nothing.
    fn add(&mut self, line: &str) {
        let Some((_, counts)) = line.strip_prefix("test result: ").and_then(|rest| rest.split_once(". "))
        else {
            return;
        };
        for count in counts.split(';') {
            let mut words = count.split_whitespace();
            let number = words.next().and_then(|number| number.parse().ok()).unwrap_or(0_u64);
            match words.next() {
                Some("passed") => self.passed += number,
                Some("failed") => self.failed += number,
                Some("ignored") => self.ignored += number,
                _ => {}
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_results_of_all_test_programs_are_added_up() {
        let output = "running 2 tests\n\
            test a ... ok\n\
            test result: ok. 2 passed; 0 failed; 0 ignored; 0 measured; 0 filtered out; finished in 0.00s\n\
            test result: FAILED. 40 passed; 3 failed; 1 ignored; 0 measured; 0 filtered out; finished in 1.00s\n";
        let (mut tally, mut shown) = (Tally::default(), Vec::new());
        tally.read(output.as_bytes(), &mut shown).unwrap();
        assert_eq!(tally, Tally { passed: 42, failed: 3, ignored: 1 });
        assert_eq!(shown, output.as_bytes());
    }

    #[test]
    fn a_program_that_fails_without_a_result_counts_as_one_failure() {
        let mut tally = Tally::default();
        tally.run(Command::new("sh").args(["-c", "exit 101"])).unwrap_err();
        assert_eq!(tally, Tally { failed: 1, ..Tally::default() });
    }
}
