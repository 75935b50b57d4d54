//! What was measured, put together: `RESULTS.md` and its charts.

mod machine;

use std::{
    fmt::{self, Write as _},
    fs,
    path::Path,
};

use crate::{
    BoxError, Measure,
    chart::Chart,
    variants::{Entry, Family, NOT_COMPARED},
};

const INTRODUCTION: &str = include_str!("report/introduction.md");
/// Beside `RESULTS.md`.
const CHARTS: &str = "charts";

/// A part of `RESULTS.md`.
#[derive(Debug, Default)]
pub(crate) struct Section {
    pub(crate) title: String,
    /// Markdown, without the title and without the charts, which come first.
    pub(crate) text: String,
    pub(crate) charts: Vec<Chart>,
}

/// A table in Markdown: the first column names things, the others are numbers.
#[derive(Debug)]
pub(crate) struct Table {
    rows: Vec<Vec<String>>,
}

/// Measures all sections, and writes them to `RESULTS.md` and their charts beside it, when all are there.
///
/// # Errors
///
/// When something cannot be measured, or the files cannot be written.
pub(crate) fn write(sections: &[(&str, Measure)]) -> Result<(), BoxError> {
    let mut text = INTRODUCTION.replace("MACHINE", &machine::machine());
    text.push_str(&variants());
    let mut charts = Vec::new();
    for (name, section) in sections {
        eprintln!("measuring: {name}");
        let section = section().map_err(|error| format!("{name}: {error}"))?;
        section.append_to(&mut text);
        charts.extend(section.charts);
    }
    let folder = Path::new(env!("CARGO_MANIFEST_DIR"));
    fs::create_dir_all(folder.join(CHARTS))?;
    for chart in charts {
        fs::write(folder.join(CHARTS).join(format!("{}.svg", chart.name)), chart.svg)?;
    }
    fs::write(folder.join("RESULTS.md"), text)?;
    eprintln!("written: RESULTS.md of the crate bench, and its charts");
    Ok(())
}

/// How each variant is set up.
fn variants() -> String {
    let mut text = "\n## Variants\n\n".to_owned();
    for entry in Entry::all() {
        let retries = match (entry.family, entry.retries) {
            (Family::Ours | Family::Peer, false) => " Does not retry.",
            _ => "",
        };
        let _ = writeln!(text, "- {}: {}{retries}", entry.title(), entry.setup);
    }
    if !NOT_COMPARED.is_empty() {
        text.push_str("\nNot among them:\n\n");
    }
    for (what, why) in NOT_COMPARED {
        let _ = writeln!(text, "- {what}: {why}");
    }
    text
}

impl Section {
    fn append_to(&self, text: &mut String) {
        let _ = writeln!(text, "\n## {}\n", self.title);
        for chart in &self.charts {
            let _ = writeln!(text, "![{}]({CHARTS}/{}.svg)\n", chart.title, chart.name);
        }
        text.push_str(self.text.trim_end());
        text.push('\n');
    }
}

impl Table {
    pub(crate) fn new(columns: &[&str]) -> Self {
        Self { rows: vec![columns.iter().copied().map(str::to_owned).collect()] }
    }

    pub(crate) fn row(&mut self, cells: impl IntoIterator<Item = String>) {
        self.rows.push(cells.into_iter().collect());
    }
}

impl fmt::Display for Table {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (number, row) in self.rows.iter().enumerate() {
            writeln!(f, "| {} |", row.join(" | "))?;
            if number == 0 {
                writeln!(f, "|---|{}", "--:|".repeat(row.len().saturating_sub(1)))?;
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_table_is_markdown() {
        let mut table = Table::new(&["", "a", "b"]);
        table.row(["x".to_owned(), "1".to_owned(), "2".to_owned()]);
        assert_eq!(table.to_string(), "|  | a | b |\n|---|--:|--:|\n| x | 1 | 2 |\n");
    }

    #[test]
    fn a_section_has_its_title_then_its_charts_then_its_text() {
        let section = Section {
            title: "Time".to_owned(),
            text: "Fast.\n\n".to_owned(),
            charts: vec![Chart::bars("time", "How long", &[])],
        };
        let mut text = "before\n".to_owned();
        section.append_to(&mut text);
        assert_eq!(text, "before\n\n## Time\n\n![How long](charts/time.svg)\n\nFast.\n");
    }

    #[test]
    fn the_machine_has_its_place() {
        assert_eq!(INTRODUCTION.matches("MACHINE").count(), 1);
    }
}
