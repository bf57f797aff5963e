//! Bars on standard error while work goes on; nothing where nobody watches.

use std::collections::BTreeMap;
use std::sync::Mutex;
use std::time::Duration;

use indicatif::{MultiProgress, ProgressBar, ProgressStyle};
use provenv_workspace::{Phase, Reporter};

/// One bar a phase, shown from its first report to the end.
pub struct Bars {
    group: MultiProgress,
    bars: Mutex<BTreeMap<Phase, Bar>>,
}

struct Bar {
    shown: ProgressBar,
    items: u64,
    done: u64,
    /// What is being worked on, the newest last.
    current: Vec<String>,
}

impl Bars {
    /// Bars on standard error.
    pub fn new() -> Self {
        Self { group: MultiProgress::new(), bars: Mutex::new(BTreeMap::new()) }
    }

    /// Takes the bars away.
    pub fn clear(&self) {
        // A bar that still ticks would draw over what a command writes.
        let mut bars = self.bars.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
        for bar in std::mem::take(&mut *bars).into_values() {
            bar.shown.finish_and_clear();
        }
        let _ = self.group.clear();
    }

    fn with(&self, phase: Phase, change: impl FnOnce(&mut Bar)) {
        let mut bars = self.bars.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
        let bar = bars.entry(phase).or_insert_with(|| {
            let bar = self.group.add(ProgressBar::no_length());
            bar.set_style(spinner());
            bar.set_prefix(verb(phase));
            bar.enable_steady_tick(Duration::from_millis(120));
            Bar { shown: bar, items: 0, done: 0, current: Vec::new() }
        });
        change(bar);
        let count = if bar.items > 0 { format!("{}/{} ", bar.done, bar.items) } else { String::new() };
        bar.shown.set_message(format!("{count}{}", bar.current.last().map_or("", String::as_str)));
    }
}

impl Reporter for Bars {
    fn expect(&self, phase: Phase, items: u64, bytes: u64) {
        self.with(phase, |bar| {
            bar.items += items;
            if bytes > 0 {
                if bar.shown.length().is_none() {
                    bar.shown.set_length(0);
                    bar.shown.set_style(with_bytes());
                }
                bar.shown.inc_length(bytes);
            }
        });
    }

    fn begin(&self, phase: Phase, item: &str) {
        self.with(phase, |bar| bar.current.push(item.to_owned()));
    }

    fn advance(&self, phase: Phase, bytes: u64) {
        self.with(phase, |bar| bar.shown.inc(bytes));
    }

    fn end(&self, phase: Phase, item: &str) {
        self.with(phase, |bar| {
            bar.done += 1;
            bar.current.retain(|name| name != item);
        });
    }

    fn note(&self, message: &str) {
        let _ = self.group.println(format!("{} {message}", console::style("note:").cyan().bold()));
    }
}

/// Notes only: for logs and pipes.
pub struct NotesOnly;

impl Reporter for NotesOnly {
    fn expect(&self, _: Phase, _: u64, _: u64) {}
    fn begin(&self, _: Phase, _: &str) {}
    fn advance(&self, _: Phase, _: u64) {}
    fn end(&self, _: Phase, _: &str) {}
    fn note(&self, message: &str) {
        eprintln!("note: {message}");
    }
}

fn verb(phase: Phase) -> &'static str {
    match phase {
        Phase::Resolving => "resolving",
        Phase::Fetching => "fetching",
        Phase::Assembling => "assembling",
        Phase::Unpacking => "unpacking",
        Phase::Publishing => "publishing",
    }
}

fn spinner() -> ProgressStyle {
    style("{spinner:.cyan} {prefix:<11} {msg}")
}

fn with_bytes() -> ProgressStyle {
    style(
        "{spinner:.cyan} {prefix:<11} {bar:24.cyan/dim} {binary_bytes:>10}/{binary_total_bytes:<10} {binary_bytes_per_sec:>12}  {wide_msg}",
    )
}

fn style(template: &str) -> ProgressStyle {
    ProgressStyle::with_template(template)
        .unwrap_or_else(|_| ProgressStyle::default_bar())
        .progress_chars("━╸─")
}
