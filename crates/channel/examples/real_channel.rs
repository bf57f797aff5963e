//! `cargo run -p provenv-channel --release --example real_channel -- FOLDER PINS…`: a channel `FOLDER/real` of Debian's Python
//! and of the wheels that the files list, one `name==version` a line; each file holds one version of a project.

use std::path::PathBuf;

use provenv_channel::RealChannel;

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let mut arguments = std::env::args_os().skip(1).map(PathBuf::from);
    let folder = arguments.next().ok_or("where to?")?;
    let mut groups = Vec::new();
    for file in arguments {
        let text = fs_err::read_to_string(file)?;
        let pins = text.lines().map(str::trim).filter(|line| !line.is_empty() && !line.starts_with('#'));
        groups.push(pins.map(str::to_owned).collect());
    }
    println!("{}", RealChannel::make(folder, &groups)?.folder().display());
    Ok(())
}
