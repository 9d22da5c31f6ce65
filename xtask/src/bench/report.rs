//! The figures: each told when it is known, all of them in a table or as JSON at the end.

use serde_json::json;

use crate::Result;

/// One figure beside what it is compared with.
#[derive(Debug)]
pub(super) struct Figure {
    name: String,
    value: f64,
    unit: &'static str,
    /// What it is compared with, and what that came to.
    reference: Option<(String, f64)>,
    /// The most that [`Figure::value`] may be.
    bar: Option<f64>,
}

impl Figure {
    pub(super) fn new(name: impl Into<String>, value: f64, unit: &'static str) -> Self {
        Self { name: name.into(), value, unit, reference: None, bar: None }
    }

    pub(super) fn beside(mut self, reference: impl Into<String>, value: f64) -> Self {
        self.reference = Some((reference.into(), value));
        self
    }

    pub(super) fn at_most(mut self, bar: f64) -> Self {
        self.bar = Some(bar);
        self
    }

    fn holds(&self) -> bool {
        self.bar.is_none_or(|bar| self.value <= bar)
    }

    fn ratio(&self) -> Option<f64> {
        self.reference.as_ref().filter(|(_, value)| *value > 0.0).map(|(_, value)| self.value / value)
    }

    fn row(&self) -> String {
        let reference = self.reference.as_ref().map(|(name, value)| format!("{name} {value:.2}"));
        let ratio = self.ratio().map(|ratio| format!("{ratio:.2}"));
        let bar = self.bar.map(|bar| format!("≤ {bar:.1}{}", if self.holds() { "" } else { " ✗" }));
        format!(
            "{:<50} {:>10.2} {:<8} {:>32} {:>7} {:>9}",
            self.name,
            self.value,
            self.unit,
            reference.unwrap_or_default(),
            ratio.unwrap_or_default(),
            bar.unwrap_or_default()
        )
    }
}

/// All figures so far, and the parts that came to none.
#[derive(Debug, Default)]
pub(super) struct Report {
    figures: Vec<Figure>,
    failed: Vec<String>,
}

impl Report {
    /// Keeps a figure, and tells it at once: on stderr, as stdout is for the whole.
    pub(super) fn add(&mut self, figure: Figure) {
        eprintln!("    {}", figure.row().trim_end());
        self.figures.push(figure);
    }

    /// A part failed; its figures so far stay.
    pub(super) fn failed(&mut self, part: &str, why: &str) {
        let failed = format!("{part}: {why}");
        super::step(&format!("failed: {failed}"));
        self.failed.push(failed);
    }

    pub(super) fn table(&self) -> String {
        let mut table = format!(
            "\n{:<50} {:>10} {:<8} {:>32} {:>7} {:>9}\n",
            "", "ours", "", "reference", "ratio", "bar"
        );
        for figure in &self.figures {
            table.push_str(&figure.row());
            table.push('\n');
        }
        table
    }

    pub(super) fn as_json(&self) -> serde_json::Value {
        let figures = self.figures.iter().map(|figure| {
            let reference =
                figure.reference.as_ref().map(|(name, value)| json!({"name": name, "value": value}));
            json!({
                "name": figure.name,
                "value": figure.value,
                "unit": figure.unit,
                "reference": reference,
                "ratio": figure.ratio(),
                "bar": figure.bar,
                "holds": figure.holds(),
            })
        });
        json!({ "v": 1, "figures": figures.collect::<Vec<_>>(), "failed": self.failed })
    }

    /// An error where a part failed or a figure is over its bar.
    pub(super) fn verdict(&self) -> Result {
        let missed = self.figures.iter().filter(|figure| !figure.holds());
        let missed = missed.map(|one| format!("over the bar: {}", one.name));
        let problems: Vec<String> = self.failed.iter().cloned().chain(missed).collect();
        if problems.is_empty() { Ok(()) } else { Err(problems.join("\n       ").into()) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_table_marks_what_is_over_its_bar() {
        let mut report = Report::default();
        report.add(Figure::new("good", 10.0, "ms").beside("bare", 9.0).at_most(11.7));
        assert!(report.verdict().is_ok());
        report.add(Figure::new("bad", 12.0, "ms").beside("bare", 9.0).at_most(11.7));
        let table = report.table();
        assert_eq!(table.matches('✗').count(), 1, "{table}");
        assert_eq!(report.as_json().pointer("/figures/1/holds"), Some(&json!(false)));
        assert_eq!(report.verdict().unwrap_err().to_string(), "over the bar: bad");
    }

    #[test]
    fn a_part_that_failed_takes_no_figure_with_it() {
        let mut report = Report::default();
        report.add(Figure::new("good", 10.0, "ms"));
        report.failed("idle", "the daemon is gone");
        assert!(report.table().contains("good"));
        assert_eq!(report.verdict().unwrap_err().to_string(), "idle: the daemon is gone");
    }
}
