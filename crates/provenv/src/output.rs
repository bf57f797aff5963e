//! Results on standard output: a table for people, JSON or YAML for programs.

use std::io::{self, Write};

use serde::Serialize;

use crate::cli::OutputFormat;

/// Writes `value` as asked; `table` makes the text for people.
pub fn print<T: Serialize>(
    format: OutputFormat,
    value: &T,
    table: impl FnOnce(&T) -> String,
) -> io::Result<()> {
    let text = match format {
        OutputFormat::Table => table(value),
        OutputFormat::Json => {
            let mut text = serde_json::to_string_pretty(value).map_err(io::Error::other)?;
            text.push('\n');
            text
        }
        OutputFormat::Yaml => serde_yaml_ng::to_string(value).map_err(io::Error::other)?,
    };
    write(text.as_bytes())
}

/// Writes bytes; a reader that went away (`| head`) is no error.
pub fn write(bytes: &[u8]) -> io::Result<()> {
    let mut stdout = io::stdout().lock();
    match stdout.write_all(bytes).and_then(|()| stdout.flush()) {
        Err(error) if error.kind() == io::ErrorKind::BrokenPipe => Ok(()),
        result => result,
    }
}

/// Writes to standard error. Where nobody can hear it (a closed pipe, a full disk), the work itself goes on.
pub fn say(text: &str) {
    let _ = io::stderr().write_all(text.as_bytes());
}

/// Columns that line up.
pub struct Table {
    rows: Vec<Vec<String>>,
}

impl Table {
    /// A table with these headings.
    pub fn new<const N: usize>(headings: [&str; N]) -> Self {
        Self { rows: vec![headings.iter().map(|&heading| heading.to_owned()).collect()] }
    }

    /// Adds a row.
    pub fn row<const N: usize>(&mut self, cells: [String; N]) {
        self.rows.push(cells.into());
    }
}

impl std::fmt::Display for Table {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let columns = self.rows[0].len();
        let widths: Vec<usize> = (0..columns)
            .map(|column| {
                self.rows.iter().map(|row| console::measure_text_width(&row[column])).max().unwrap_or(0)
            })
            .collect();
        for (number, row) in self.rows.iter().enumerate() {
            let mut line = String::new();
            for (cell, width) in row.iter().zip(&widths) {
                let padding = width - console::measure_text_width(cell);
                line.push_str(cell);
                line.push_str(&" ".repeat(padding + 2));
            }
            let line = line.trim_end();
            if number == 0 {
                writeln!(f, "{}", console::style(line).bold())?;
            } else {
                writeln!(f, "{line}")?;
            }
        }
        Ok(())
    }
}

/// Text of somebody else's making on one line, without what would steer the terminal.
pub fn one_line(text: &str) -> String {
    let mut shown = String::with_capacity(text.len());
    for c in text.chars() {
        if c.is_control() { shown.extend(c.escape_default()) } else { shown.push(c) }
    }
    shown
}

/// `1.5 MiB` and the like.
pub fn bytes(count: u64) -> String {
    indicatif::BinaryBytes(count).to_string()
}

/// How long something took, or takes until now.
pub fn took(from: jiff::Timestamp, to: Option<jiff::Timestamp>) -> String {
    let seconds = to.unwrap_or_else(jiff::Timestamp::now).duration_since(from).as_secs_f64();
    if seconds < 60.0 {
        format!("{seconds:.1} s")
    } else {
        format!("{:.0} min {:.0} s", (seconds / 60.0).floor(), seconds % 60.0)
    }
}

/// A time as people read it: local, to the second.
pub fn time(at: jiff::Timestamp) -> String {
    at.to_zoned_datetime(jiff::tz::TimeZone::system()).strftime("%Y-%m-%d %H:%M:%S").to_string()
}
