//! What GitHub Actions understands: workflow commands in the output of a step, and the summary of a job.
//!
//! Commands go to standard error, which the runner reads too, so that `URL=$(nextdeploy deploy)` holds the URL alone.

use std::fmt::Write as _;
use std::io::Write as _;
use std::path::Path;

/// Whether this is a step of a GitHub workflow.
pub(crate) fn is_here() -> bool {
    std::env::var_os("GITHUB_ACTIONS").is_some_and(|value| value == "true")
}

/// How grave an annotation is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Grade {
    Error,
    Warning,
    Notice,
}

/// A message beside a line of a file, or of the job alone.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Annotation<'a> {
    pub(crate) grade: Grade,
    pub(crate) title: Option<&'a str>,
    /// The file as it was named, line and column, both from 1.
    pub(crate) place: Option<(&'a str, u32, u32)>,
    pub(crate) message: &'a str,
}

impl Annotation<'_> {
    /// `::error file=nextdeploy.yml,line=3,col=5,title=ND0110::unknown key …`.
    pub(crate) fn command(&self) -> String {
        let grade = match self.grade {
            Grade::Error => "error",
            Grade::Warning => "warning",
            Grade::Notice => "notice",
        };
        let mut properties = Vec::new();
        if let Some((file, line, column)) = self.place {
            properties.push(format!("file={}", property(&in_repository(file))));
            properties.push(format!("line={line}"));
            properties.push(format!("col={column}"));
        }
        if let Some(title) = self.title {
            properties.push(format!("title={}", property(title)));
        }
        let space = if properties.is_empty() { "" } else { " " };
        format!("::{grade}{space}{}::{}", properties.join(","), data(self.message))
    }
}

/// Begins lines that are folded away under a title.
pub(crate) fn group(title: &str) -> String {
    format!("::group::{}", data(title))
}

/// Ends them.
pub(crate) const END_GROUP: &str = "::endgroup::";

/// Writes Markdown into the job's summary, where there is one.
pub(crate) fn summarise(markdown: &str) -> std::io::Result<()> {
    let Some(path) = std::env::var_os("GITHUB_STEP_SUMMARY").filter(|path| !path.is_empty()) else {
        return Ok(());
    };
    let mut file = std::fs::OpenOptions::new().append(true).create(true).open(path)?;
    file.write_all(format!("{}\n", markdown.trim_end()).as_bytes())
}

/// A text for one cell of a Markdown table.
pub(crate) fn cell(text: &str) -> String {
    text.replace('\\', "\\\\").replace('|', "\\|").replace(['\r', '\n'], " ").replace('<', "&lt;")
}

/// Lines as a fenced block that none of them can end.
pub(crate) fn fenced(lines: &[String]) -> String {
    let longest = lines.iter().map(|line| line.chars().take_while(|c| *c == '`').count()).max();
    let fence = "`".repeat(longest.unwrap_or(0).max(2) + 1);
    let mut block = format!("{fence}text\n");
    for line in lines {
        // Writing to a String does not fail.
        writeln!(block, "{line}").ok();
    }
    block + &fence
}

/// Paths of annotations start at the top of the repository.
fn in_repository(file: &str) -> String {
    let inside = || {
        let root = std::env::var_os("GITHUB_WORKSPACE")?;
        let whole = std::path::absolute(file).ok()?;
        Some(whole.strip_prefix(Path::new(&root)).ok()?.to_str()?.to_owned())
    };
    inside().unwrap_or_else(|| file.to_owned())
}

fn data(text: &str) -> String {
    text.replace('%', "%25").replace('\r', "%0D").replace('\n', "%0A")
}

fn property(text: &str) -> String {
    data(text).replace(':', "%3A").replace(',', "%2C")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_annotation_names_its_place_and_cannot_be_broken_out_of() {
        let annotation = Annotation {
            grade: Grade::Error,
            title: Some("ND0110: a, b"),
            place: Some(("nextdeploy.yml", 3, 5)),
            message: "100% wrong\n::warning::no",
        };
        assert_eq!(
            annotation.command(),
            "::error file=nextdeploy.yml,line=3,col=5,title=ND0110%3A a%2C b::100%25 wrong%0A::warning::no"
        );
        let bare = Annotation { grade: Grade::Notice, title: None, place: None, message: "hello" };
        assert_eq!(bare.command(), "::notice::hello");
    }

    #[test]
    fn what_an_app_writes_stays_inside_its_block_and_cell() {
        assert_eq!(cell("a|b\n<b>"), "a\\|b &lt;b>");
        let block = fenced(&["```".to_owned(), "# no title".to_owned()]);
        assert_eq!(block, "````text\n```\n# no title\n````");
    }
}
