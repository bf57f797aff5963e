//! Runs one container from the command line, for tests that need a process of their own: other users, other
//! limits, a terminal, a violent death. `driver STORE CONTAINER-AS-JSON [--plan]`

use std::process::ExitCode;

use provenv_compute::{Container, Streams, sandbox_main_if_asked};
use provenv_store::Store;

fn main() -> ExitCode {
    sandbox_main_if_asked();
    let arguments: Vec<String> = std::env::args().collect();
    let store = Store::open(&arguments[1]).expect("open the store");
    let container: Container = serde_json::from_str(&arguments[2]).expect("read the container");
    let code = if arguments.get(3).is_some_and(|argument| argument == "--plan") {
        container.plan(&store).map(|plan| {
            println!("{:?} {:?}", plan.isolation, plan.notes);
            0
        })
    } else {
        container.spawn(&store, Streams::inherit()).and_then(|mut running| {
            running.notes().iter().for_each(|note| eprintln!("note: {note}"));
            let exit = running.wait()?;
            if exit.out_of_memory {
                eprintln!("out of memory");
            }
            Ok(exit.code)
        })
    };
    let code = code.unwrap_or_else(|error| {
        eprintln!("error: {error}");
        if let Some(hint) = error.hint() {
            eprintln!("hint: {hint}");
        }
        error.exit_code()
    });
    ExitCode::from(u8::try_from(code).unwrap_or(255))
}
