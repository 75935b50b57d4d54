//! Steps and tables, printed plainly.

use std::fmt::Display;

/// Numbers what a program does, and prints it.
#[derive(Debug, Default)]
pub struct Steps {
    count: u32,
}

impl Steps {
    /// The next step: what is about to be done.
    pub fn begin(&mut self, what: impl Display) {
        self.count += 1;
        println!("\n{}. {what}", self.count);
    }

    /// What came of it.
    pub fn note(&self, what: impl Display) {
        println!("   {what}");
    }
}

/// Prints rows in columns as wide as they need to be, the first row underlined.
pub fn table<const N: usize>(rows: &[[&str; N]]) {
    let width = |column: usize| rows.iter().map(|row| row[column].chars().count()).max().unwrap_or_default();
    let widths: [usize; N] = std::array::from_fn(width);
    let line = |cells: [&str; N]| {
        let padded: Vec<String> = cells.iter().zip(widths).map(|(cell, width)| format!("{cell:width$}")).collect();
        println!("{}", padded.join("  ").trim_end());
    };
    for (index, row) in rows.iter().enumerate() {
        line(*row);
        if index == 0 {
            let rules = widths.map(|width| "-".repeat(width));
            line(std::array::from_fn(|column| rules[column].as_str()));
        }
    }
}
