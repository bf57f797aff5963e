//! How long each format takes over texts of a megabyte that mean harm, and which of them take more than a second:
//! `cargo run --release -p provenv-definition --example reading_time [FILE NAME]`.

#[path = "../tests/support/nasty.rs"]
mod nasty;
#[path = "../tests/support/processor_time.rs"]
mod processor_time;

use std::path::Path;
use std::process::ExitCode;
use std::time::Duration;

use processor_time::processor_time;
use provenv_definition::{definition_digest, read_str, write_native};

fn main() -> ExitCode {
    let only: Vec<String> = std::env::args().skip(1).collect();
    let mut slow = 0;
    for file in nasty::FILES {
        if !only.is_empty() && !only.iter().any(|wanted| wanted == file) {
            continue;
        }
        for (name, text) in nasty::texts(file) {
            let path = Path::new("/nowhere").join(file);
            let start = processor_time();
            let result = read_str(&text, &path);
            let read = processor_time().saturating_sub(start);
            let outcome = match &result {
                Ok(found) => {
                    found.check();
                    definition_digest(&found.environment.definition);
                    write_native(&found.environment);
                    format!("read, {} remarks", found.warnings.len())
                }
                Err(error) => format!("refused, {} remarks: {}", error.0.len(), error.0[0].code),
            };
            let all = processor_time().saturating_sub(start);
            let late = if all > Duration::from_secs(1) { "  OVER A SECOND" } else { "" };
            slow += u32::from(!late.is_empty());
            println!("{file:26}{name:34}{read:>10.1?}{all:>10.1?}  {outcome}{late}");
        }
    }
    println!("{slow} took more than a second");
    if slow == 0 { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}
