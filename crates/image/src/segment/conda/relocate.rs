//! The files of a package that name their prefix, for another prefix than that of images.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::io::{BufWriter, Read, Write as _};
use std::path::Path;

use fs_err::File;
use provenv_store::Store;
use tar::EntryType;

use super::super::error::{Error, Fault, Problem};
use super::metadata::Info;
use super::placing::Placing;
use super::prefix::{self, Mode, Replacement};
use super::{IMAGE_PREFIX, TEXT_LIMIT, archive};

/// The kernel of older systems reads no more of a script's first line.
const SHEBANG: usize = 127;

/// Writes over those files of `folder` that the package in `artifact`, called `name`, has in `own`, for `prefix`. The files are
/// there, with what they have in an image; `own` are paths under the prefix.
pub(crate) fn relocate(
    store: &Store,
    artifact: &Path,
    name: &str,
    python: Option<(u32, u32)>,
    prefix: &str,
    folder: &Path,
    own: &BTreeSet<String>,
) -> Result<(), Error> {
    let file = super::super::open(artifact, name)?;
    let work = || {
        let mut archive = archive::Package::open(store, file, name)?;
        let info = Info::read(&archive.info()?)?;
        let placing = Placing::new(&info, python)?;
        let listed = info.listed();
        let placeholder_of = |member: &str| match &listed {
            Some(listed) => listed.get(member).and_then(|listed| listed.placeholder.clone()),
            None => info.placeholder_of(member),
        };
        let lay = |entry: &mut dyn Read, member: &str, target: &str| {
            let Some((placeholder, mode)) = placeholder_of(member) else { return Ok(()) };
            let out = write_over(&folder.join(target)).map(BufWriter::new).map_err(writing)?;
            match mode {
                Mode::Text => text(entry, member, &placeholder, prefix, out),
                Mode::Binary => binary(entry, member, &placeholder, prefix, out),
            }
        };

        // Names of one file, by the first of them.
        let mut first: HashMap<String, String> = HashMap::new();
        let mut links: BTreeMap<String, Vec<String>> = BTreeMap::new();
        archive.members(|mut entry| {
            let Some(member) = plain(&entry.path_bytes()) else { return Ok(()) };
            let target = placing.place(&member).filter(|target| own.contains(target));
            match (entry.header().entry_type(), target) {
                (EntryType::Regular | EntryType::Continuous, Some(target)) => {
                    lay(&mut entry, &member, &target)
                }
                (EntryType::Link, target) => {
                    let Some(to) = entry.link_name_bytes().and_then(|to| plain(&to)) else { return Ok(()) };
                    let to = first.get(&to).cloned().unwrap_or(to);
                    links.entry(to.clone()).or_default().extend(target);
                    first.insert(member, to);
                    Ok(())
                }
                _ => Ok(()),
            }
        })?;
        // In a prefix each name is a file of its own, and another package may have taken the first one over.
        if links.values().any(|names| !names.is_empty()) {
            archive.members(|mut entry| {
                let Some(member) = plain(&entry.path_bytes()) else { return Ok(()) };
                let Some((one, others)) = links.get(&member).and_then(|names| names.split_first()) else {
                    return Ok(());
                };
                lay(&mut entry, &member, one)?;
                for other in others {
                    let mut out = write_over(&folder.join(other)).map_err(writing)?;
                    let mut laid = File::open(folder.join(one)).map_err(writing)?;
                    std::io::copy(&mut laid, &mut out).map_err(writing)?;
                }
                Ok(())
            })?;
        }
        for script in placing.scripts() {
            let target = format!("bin/{}", script.name);
            if own.contains(&target) {
                let text = prefix::text(script.text.as_bytes(), IMAGE_PREFIX, prefix);
                let mut out = write_over(&folder.join(target)).map_err(writing)?;
                out.write_all(&fit_shebang(text, prefix)).map_err(writing)?;
            }
        }
        Ok(())
    };
    work().map_err(|fault: Fault| fault.of(name))
}

/// A member's name as text.
fn plain(bytes: &[u8]) -> Option<String> {
    let name = str::from_utf8(bytes).ok()?;
    Some(name.strip_prefix("./").unwrap_or(name).to_owned())
}

fn writing(error: std::io::Error) -> Fault {
    Fault::Other(Error::Write(error))
}

/// An empty file in the place of the one at `path`, with its mode. A new one, because that may be read-only.
pub(crate) fn write_over(path: &Path) -> std::io::Result<File> {
    let permissions = fs_err::symlink_metadata(path)?.permissions();
    fs_err::remove_file(path)?;
    let file = File::create_new(path)?;
    file.set_permissions(permissions)?;
    Ok(file)
}

fn text(
    entry: &mut dyn Read,
    member: &str,
    placeholder: &str,
    prefix: &str,
    mut out: BufWriter<File>,
) -> Result<(), Fault> {
    let mut bytes = Vec::new();
    entry.take(TEXT_LIMIT + 1).read_to_end(&mut bytes).map_err(|error| archive::damaged(&error))?;
    if bytes.len() as u64 > TEXT_LIMIT {
        return Err(Fault::Refused(Some(member.to_owned()), Problem::Bomb(TEXT_LIMIT)));
    }
    let bytes = fit_shebang(prefix::text(&bytes, placeholder, prefix), prefix);
    out.write_all(&bytes).and_then(|()| out.flush()).map_err(writing)
}

fn binary(
    entry: &mut dyn Read,
    member: &str,
    placeholder: &str,
    prefix: &str,
    mut out: BufWriter<File>,
) -> Result<(), Fault> {
    let mut replacement = Replacement::new(placeholder, prefix).ok_or_else(|| {
        let problem = Problem::NoRoom { room: placeholder.len(), prefix: prefix.len() };
        Fault::member(member, problem)
    })?;
    let (mut buffer, mut replaced) = (vec![0; 64 << 10], Vec::new());
    loop {
        let length = entry.read(&mut buffer).map_err(|error| archive::damaged(&error))?;
        replaced.clear();
        replacement.feed(&buffer[..length], length == 0, &mut replaced);
        out.write_all(&replaced).map_err(writing)?;
        if length == 0 {
            return out.flush().map_err(writing);
        }
    }
}

/// A script whose first line is too long for a kernel, or has a space in its path, is a shell's that starts the Python of `prefix`,
/// or, where it is no Python's, one that finds its interpreter by `PATH`: as rattler and conda write it. For Python the shell's line
/// is a text that does nothing.
pub(crate) fn fit_shebang(bytes: Vec<u8>, prefix: &str) -> Vec<u8> {
    let end = bytes.iter().position(|byte| *byte == b'\n').unwrap_or(bytes.len());
    let Some(line) = bytes.get(2..end).filter(|_| bytes.starts_with(b"#!")) else { return bytes };
    let Ok(line) = str::from_utf8(line) else { return bytes };
    let inside = line.trim_start().strip_prefix(prefix).filter(|inside| inside.starts_with('/'));
    let Some(inside) = inside.filter(|_| end > SHEBANG || prefix.contains(' ')) else { return bytes };
    let (path, options) = inside.split_at(inside.find([' ', '\t']).unwrap_or(inside.len()));
    let name = path.rsplit('/').next().unwrap_or(path);
    let first = if is_python(name) {
        format!("#!/bin/sh\n'''exec' \"{prefix}{path}\"{options} \"$0\" \"$@\" #'''")
    } else {
        format!("#!/usr/bin/env {name}{options}")
    };
    [first.as_bytes(), &bytes[end..]].concat()
}

/// `python`, `python3`, `python3.11`, `python3.13t`.
pub(crate) fn is_python(name: &str) -> bool {
    name.strip_prefix("python").is_some_and(|version| {
        version.strip_suffix('t').unwrap_or(version).chars().all(|c| c.is_ascii_digit() || c == '.')
    })
}

/// Whether the line that [`fit_shebang`] writes for a shell and for Python can name `prefix`.
pub(crate) fn can_be_named(prefix: &str) -> bool {
    !prefix.contains(['"', '$', '`', '\\']) && !prefix.contains("'''")
}

#[cfg(test)]
mod tests {
    use super::fit_shebang;

    #[test]
    fn only_first_lines_that_no_kernel_takes_are_changed() {
        let fit = |text: &str, prefix: &str| String::from_utf8(fit_shebang(text.into(), prefix)).unwrap();
        for same in ["#!/opt/x/bin/python\nx\n", "#!/bin/sh", "no script /bin/x\n", "", "#!"] {
            assert_eq!(fit(same, "/opt/x"), same);
        }
        let long = format!("/{}/bin/b", "a".repeat(120));
        assert_eq!(
            fit(&format!("#!{long}/bin/python3.11 -E\nx\n"), &long),
            format!("#!/bin/sh\n'''exec' \"{long}/bin/python3.11\" -E \"$0\" \"$@\" #'''\nx\n")
        );
        assert_eq!(
            fit("#!/a b/bin/python\n", "/a b"),
            "#!/bin/sh\n'''exec' \"/a b/bin/python\" \"$0\" \"$@\" #'''\n"
        );
        assert_eq!(fit("#!/a b/bin/perl -w\n", "/a b"), "#!/usr/bin/env perl -w\n");
        assert_eq!(fit("#!/bin/sh\n", "/a b"), "#!/bin/sh\n");
    }
}
