//! After a command has failed: the shared libraries that its image lacks, and what to add.

use std::collections::BTreeSet;
use std::io::{Read as _, Seek as _, SeekFrom};
use std::path::Path;

use provenv_definition::{Format, Platform};
use provenv_image::form::Form;
use provenv_image::linking;
use provenv_lock::PlatformLock;

use crate::environments::Given;
use crate::{Result, Workspace};

/// The end of a log that is looked at.
const TAIL: u64 = 64 << 10;
/// What the dynamic linker says, behind the name of the library.
const COMPLAINT: &str = ": cannot open shared object file";

impl Workspace {
    /// Says again what the build found to be missing, where a command failed and what it wrote was not seen here.
    pub(crate) fn note_missing(
        &self,
        given: &Given,
        lock: &PlatformLock,
        form: Form,
        code: i32,
    ) -> Result<()> {
        // Python's exit code for an exception, and the dynamic linker's own.
        if matches!(code, 1 | 127) {
            let missing = provenv_image::missing(&self.store, lock, Platform::host(), form)?;
            for note in linking::notes(&missing) {
                self.reporter.note(&note);
            }
            self.note_where(given, missing.iter().map(|one| one.library.as_str()));
        }
        Ok(())
    }

    /// Says where system packages are named, to whom has a file in which they cannot be.
    pub(crate) fn note_where<'l>(&self, given: &Given, libraries: impl Iterator<Item = &'l str>) {
        let packages: BTreeSet<String> = libraries.filter_map(linking::debian_package).collect();
        let is_requirements = given.format == Some(Format::Requirements);
        let Some(file) = given.file.as_deref().filter(|_| is_requirements && !packages.is_empty()) else {
            return;
        };
        let name = file.file_name().unwrap_or_default().to_string_lossy();
        let packages = packages.into_iter().collect::<Vec<_>>().join(", ");
        self.reporter.note(&format!(
            "{name} cannot name system packages: write an environment.yaml beside it, with the lines \
             `pip: {name}` and `system_packages: [{packages}]`"
        ));
    }

    /// Says what to add where the log of a failed run ends with a library that could not be opened.
    pub(crate) fn note_missing_in(&self, given: &Given, log: &Path) {
        let read = || {
            let mut file = fs_err::File::open(log)?;
            let length = file.metadata()?.len();
            file.seek(SeekFrom::Start(length.saturating_sub(TAIL)))?;
            let mut text = Vec::new();
            file.take(TAIL).read_to_end(&mut text)?;
            std::io::Result::Ok(text)
        };
        // A log that cannot be read is the worry of whoever reads it.
        let Ok(text) = read() else { return };
        if let Some(library) = missing_library(&String::from_utf8_lossy(&text)) {
            let advice = linking::advice(std::iter::once(library));
            self.reporter.note(&format!("nothing in the image provides {library}: {advice}"));
            self.note_where(given, std::iter::once(library));
        }
    }
}

/// The last library that the dynamic linker complained of.
fn missing_library(log: &str) -> Option<&str> {
    let before = &log[..log.rfind(COMPLAINT)?];
    let word = before.rsplit(|c: char| c.is_whitespace() || "'\"`:(".contains(c)).next()?;
    let name = word.rsplit('/').next()?;
    name.contains(".so").then_some(name)
}

#[cfg(test)]
mod tests {
    use super::missing_library;

    #[test]
    fn the_linkers_complaints_are_understood() {
        for (log, library) in [
            (
                "ImportError: libGL.so.1: cannot open shared object file: No such file or directory\n",
                "libGL.so.1",
            ),
            ("OSError: libgomp.so.1: cannot open shared object file: No such file\nbye\n", "libgomp.so.1"),
            (
                "x: error while loading shared libraries: libtbb.so.12: cannot open shared object file: No such file",
                "libtbb.so.12",
            ),
            ("OSError: /opt/x/libfoo.so: cannot open shared object file", "libfoo.so"),
        ] {
            assert_eq!(missing_library(log), Some(library), "{log}");
        }
        assert_eq!(missing_library("it: cannot open shared object file"), None);
        assert_eq!(missing_library("fine"), None);
    }
}
