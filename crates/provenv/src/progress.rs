//! Progress on standard error while work goes on: bars on a terminal, lines elsewhere.

use std::collections::BTreeMap;
use std::sync::Mutex;
use std::time::{Duration, Instant};

use indicatif::{MultiProgress, ProgressBar, ProgressStyle};
use provenv_workspace::{Phase, Reporter};

use crate::output;

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

    fn output(&self, line: &str) {
        let _ = self.group.println(console::style(format!("| {line}")).dim().to_string());
    }
}

/// Plain lines for logs and pipes: when a phase begins, how far it is now and then, and what it came to.
pub struct Lines {
    phases: Mutex<BTreeMap<Phase, Count>>,
}

/// How far a phase is.
struct Count {
    items: u64,
    done: u64,
    bytes: u64,
    begun: Instant,
    /// When it was last spoken of.
    said: Instant,
}

/// How long nothing is said of a phase that goes on.
const SILENCE: Duration = Duration::from_secs(10);

impl Lines {
    pub fn new() -> Self {
        Self { phases: Mutex::new(BTreeMap::new()) }
    }

    /// Says what each phase came to, once.
    pub fn finish(&self) {
        self.close(|count, seconds| format!("done {}in {seconds:.1} s", count.amount()));
    }

    /// Says how far each phase was when the work failed, once.
    pub fn stop(&self) {
        self.close(|count, seconds| match count.amount().trim_end() {
            "" => format!("stopped after {seconds:.1} s"),
            amount => format!("stopped after {seconds:.1} s and {amount}"),
        });
    }

    fn close(&self, words: impl Fn(&Count, f64) -> String) {
        let mut phases = self.phases.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
        for (phase, count) in std::mem::take(&mut *phases) {
            output::say(&format!(
                "{}: {}\n",
                verb(phase),
                words(&count, count.begun.elapsed().as_secs_f64())
            ));
        }
    }

    fn with(&self, phase: Phase, change: impl FnOnce(&mut Count)) {
        let mut phases = self.phases.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
        let now = Instant::now();
        let count = phases.entry(phase).or_insert_with(|| {
            output::say(&format!("{}\n", verb(phase)));
            Count { items: 0, done: 0, bytes: 0, begun: now, said: now }
        });
        change(count);
        if now.duration_since(count.said) >= SILENCE {
            count.said = now;
            output::say(&format!("{}: {} so far\n", verb(phase), count.so_far(now)));
        }
    }
}

impl Count {
    /// How far it is: `3 (1.5 MiB) of 7`, or what of it is known.
    fn so_far(&self, now: Instant) -> String {
        let (amount, items) = (self.amount(), self.items.max(self.done));
        match (amount.is_empty(), items) {
            (true, 0) => format!("{:.0} s", now.duration_since(self.begun).as_secs_f64()),
            (true, items) => format!("0 of {items}"),
            (false, 0) => amount.trim_end().to_owned(),
            (false, items) => format!("{amount}of {items}"),
        }
    }

    /// `3 (1.5 MiB) `, as far as it is known.
    fn amount(&self) -> String {
        match (self.done, self.bytes) {
            (0, 0) => String::new(),
            (0, bytes) => format!("{} ", output::bytes(bytes)),
            (done, 0) => format!("{done} "),
            (done, bytes) => format!("{done} ({}) ", output::bytes(bytes)),
        }
    }
}

impl Reporter for Lines {
    fn expect(&self, phase: Phase, items: u64, _: u64) {
        // What is expected and then found to be there already is not worth a line.
        if items > 0 {
            self.with(phase, |count| count.items += items);
        }
    }

    fn begin(&self, phase: Phase, _: &str) {
        self.with(phase, |_| ());
    }

    fn advance(&self, phase: Phase, bytes: u64) {
        self.with(phase, |count| count.bytes += bytes);
    }

    fn end(&self, phase: Phase, _: &str) {
        self.with(phase, |count| count.done += 1);
    }

    fn note(&self, message: &str) {
        output::say(&format!("note: {message}\n"));
    }

    fn output(&self, line: &str) {
        output::say(&format!("| {line}\n"));
    }
}

fn verb(phase: Phase) -> &'static str {
    match phase {
        Phase::Resolving => "resolving",
        Phase::Fetching => "fetching",
        Phase::Assembling => "assembling",
        Phase::Unpacking => "unpacking",
        Phase::Publishing => "publishing",
        Phase::Checking => "checking",
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
