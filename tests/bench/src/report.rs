//! Figures, and how they are told: JSON by the line for programs, a table for people.
//! What a figure means and what it is held against is said where it is measured.

use std::io::{self, Write};

use anyhow::Result;
use serde::Serialize;

use crate::samples::Samples;

/// One measured figure.
#[derive(Clone, Debug)]
pub(crate) struct Figure {
    name: &'static str,
    unit: &'static str,
    samples: Samples,
    baseline: &'static str,
    baseline_samples: Samples,
    target: Option<Target>,
}

/// What a figure is to reach.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Target {
    /// The value itself, at most.
    AtMost(f64),
    /// The value itself, at least.
    AtLeast(f64),
    /// The ratio to the baseline, at most.
    RatioAtMost(f64),
    /// The ratio to the baseline, at least.
    RatioAtLeast(f64),
}

/// The line of `--json`.
#[derive(Serialize)]
struct Line {
    name: &'static str,
    value: f64,
    unit: &'static str,
    baseline: &'static str,
    baseline_value: f64,
    ratio: f64,
}

impl Figure {
    /// The median of `samples`, beside the median of what `baseline` names, in the same unit.
    pub(crate) fn new(name: &'static str, unit: &'static str, samples: Samples, baseline: &'static str, baseline_samples: Samples) -> Self {
        Self { name, unit, samples, baseline, baseline_samples, target: None }
    }

    /// The same, with what it is to reach.
    #[must_use]
    pub(crate) fn target(self, target: Target) -> Self {
        Self { target: Some(target), ..self }
    }

    fn ratio(&self) -> f64 {
        self.samples.median() / self.baseline_samples.median()
    }

    /// How much of what is allowed is used; above 1 the target is missed.
    fn used(&self) -> Option<f64> {
        Some(match self.target? {
            Target::AtMost(most) => self.samples.median() / most,
            Target::AtLeast(least) => least / self.samples.median(),
            Target::RatioAtMost(most) => self.ratio() / most,
            Target::RatioAtLeast(least) => least / self.ratio(),
        })
    }

    fn target_text(&self) -> String {
        match self.target {
            None => String::new(),
            Some(Target::AtMost(most)) => format!("≤ {}", number(most)),
            Some(Target::AtLeast(least)) => format!("≥ {}", number(least)),
            Some(Target::RatioAtMost(most)) => format!("≤ {most} ×"),
            Some(Target::RatioAtLeast(least)) => format!("≥ {least} ×"),
        }
    }

    fn row(&self) -> [String; 8] {
        let spread = format!("{}–{}", number(self.samples.quantile(0.1)), number(self.samples.quantile(0.9)));
        let bar = self.used().map_or_else(String::new, bar);
        let baseline = format!("{} {}", number(self.baseline_samples.median()), self.baseline);
        let value = number(self.samples.median());
        [self.name.to_owned(), value, self.unit.to_owned(), spread, format!("{:.2} ×", self.ratio()), self.target_text(), bar, baseline]
    }
}

/// Writes a figure as one line of JSON on standard output.
///
/// # Errors
/// If standard output takes nothing.
pub(crate) fn print_json(figure: &Figure) -> Result<()> {
    let line = Line {
        name: figure.name,
        value: rounded(figure.samples.median()),
        unit: figure.unit,
        baseline: figure.baseline,
        baseline_value: rounded(figure.baseline_samples.median()),
        ratio: rounded(figure.ratio()),
    };
    let mut out = io::stdout().lock();
    writeln!(out, "{}", serde_json::to_string(&line)?)?;
    Ok(out.flush()?)
}

/// Prints the figures as a table on standard output.
pub(crate) fn print_table(figures: &[Figure]) {
    let head = ["figure", "median", "unit", "p10–p90", "ratio", "target", "of target", "baseline"].map(str::to_owned);
    let rows: Vec<[String; 8]> = std::iter::once(head).chain(figures.iter().map(Figure::row)).collect();
    let width = |column: usize| rows.iter().map(|row| row[column].chars().count()).max().unwrap_or(0);
    let widths: [usize; 8] = std::array::from_fn(width);
    for (place, row) in rows.iter().enumerate() {
        let cells: Vec<String> = row.iter().zip(widths).enumerate().map(|(column, (cell, width))| aligned(cell, width, column)).collect();
        println!("{}", cells.join("  ").trim_end());
        if place == 0 {
            println!("{}", widths.map(|width| "─".repeat(width)).join("  "));
        }
    }
}

/// Numbers stand to the right, words to the left.
fn aligned(cell: &str, width: usize, column: usize) -> String {
    const NUMBERS: [usize; 4] = [1, 3, 4, 5];
    let blanks = " ".repeat(width - cell.chars().count());
    if NUMBERS.contains(&column) { format!("{blanks}{cell}") } else { format!("{cell}{blanks}") }
}

/// Ten cells are what the target allows; what is beyond them is too much.
fn bar(used: f64) -> String {
    const CELLS: usize = 10;
    const MOST: usize = 15;
    #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, clippy::cast_precision_loss, reason = "bounded on the next line")]
    let filled = ((used * CELLS as f64).round() as usize).clamp(1, MOST);
    let (within, beyond) = (filled.min(CELLS), filled.saturating_sub(CELLS));
    let verdict = if used <= 1.0 { "met" } else { "missed" };
    format!("{}{}{} {verdict}", "█".repeat(within), "░".repeat(CELLS - within), "▓".repeat(beyond))
}

/// Three digits or more, thousands set apart.
fn number(value: f64) -> String {
    let digits = match value.abs() {
        small if small < 10.0 => 2,
        medium if medium < 100.0 => 1,
        _ => 0,
    };
    let text = format!("{:.digits$}", value.abs());
    let (whole, rest) = text.split_at(text.find('.').unwrap_or(text.len()));
    let mut grouped = String::from(if value < 0.0 { "-" } else { "" });
    for (place, digit) in whole.chars().enumerate() {
        if place > 0 && (whole.len() - place).is_multiple_of(3) {
            grouped.push(',');
        }
        grouped.push(digit);
    }
    grouped + rest
}

/// Four digits behind the point are more than any of this is worth.
fn rounded(value: f64) -> f64 {
    (value * 1e4).round() / 1e4
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_are_set_for_reading() {
        assert_eq!([0.256, 12.34, 456.7, 123_456.7, -456.7].map(number), ["0.26", "12.3", "457", "123,457", "-457"]);
    }

    #[test]
    fn a_bar_says_how_much_of_the_target_is_used() {
        assert_eq!(bar(0.5), "█████░░░░░ met");
        assert_eq!(bar(1.2), "██████████▓▓ missed");
    }

    #[test]
    fn a_ratio_is_of_the_medians() {
        let mut samples = Samples::default();
        [1.0, 9.0, 2.0].into_iter().for_each(|sample| samples.push(sample));
        let figure = Figure::new("x", "ns", samples.clone(), "half of it", samples.map(|sample| sample / 2.0));
        assert!((figure.ratio() - 2.0).abs() < 1e-9);
        assert_eq!(figure.clone().target(Target::RatioAtMost(4.0)).used(), Some(0.5));
        assert_eq!(figure.target(Target::RatioAtLeast(3.0)).used(), Some(1.5));
    }
}
