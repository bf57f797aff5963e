//! What is done with a workspace in a folder alone, and why: one table, by which every such command refuses a server's.

use provenv_workspace::Error;

use crate::cli::{Command, ImageCommand};

/// A command, and why it is not for a workspace on a server.
struct OnlyHere {
    command: &'static str,
    why: &'static str,
    hint: &'static str,
}

const FOLDER: &str = "name a folder with --workspace";

const TABLE: &[OnlyHere] = &[
    OnlyHere {
        command: "store",
        why: "the store of a server is its own to look after",
        hint: "run it on the server's machine, with --workspace ROOT/workspaces/NAME",
    },
    OnlyHere {
        command: "registry serve",
        why: "a server is a registry already, at /v2/",
        hint: "pull HOST/WORKSPACE/NAME:VERSION with a token as the password",
    },
    OnlyHere { command: "key", why: "keys that sign stay on the machine of whoever signs", hint: FOLDER },
    OnlyHere {
        command: "bundle",
        why: "a bundle is made of a store, and the server's is not here",
        hint: "run it on the server's machine, with --workspace ROOT/workspaces/NAME; `build --to oci:DIR` takes an image \
               along without its record",
    },
    OnlyHere {
        command: "image sign",
        why: "the signature would stay in the copy on this machine",
        hint: "push the image to a registry, and sign it there from a folder",
    },
];

/// Refuses what is not for a server.
pub fn refuse(command: &Command) -> Result<(), Error> {
    let name = match command {
        Command::Store(_) => "store",
        Command::Registry(_) => "registry serve",
        Command::Key(_) => "key",
        Command::Bundle(_) => "bundle",
        Command::Image(ImageCommand::Sign(_)) => "image sign",
        _ => return Ok(()),
    };
    let found = TABLE.iter().find(|one| one.command == name);
    found.map_or(Ok(()), |OnlyHere { command, why, hint }| {
        Err(Error::Arguments {
            message: format!("`{command}` is not for a workspace on a server: {why}"),
            hint: (*hint).to_owned(),
        })
    })
}
