//! Mending a file: fixes are made round by round, and a round that makes a file worse is not kept.

use std::io::Write as _;
use std::os::unix::fs::{MetadataExt as _, PermissionsExt as _};
use std::path::{Path, PathBuf};
use std::time::Duration;

use provenv_definition::{Linted, Severity, Source, apply, lint_str, mask_secrets};
use similar::TextDiff;

use crate::commands::{Failure, Result};

/// One fix may uncover the next; a handful of rounds is more than any file needs.
const ROUNDS: usize = 10;

/// Byte order mark of UTF-8.
const MARK: &[u8] = b"\xef\xbb\xbf";

/// A file with all fixes made, not yet written.
pub struct Mended {
    /// What is left to say.
    pub linted: Linted,
    /// How many fixes were made.
    pub fixed: usize,
    /// The change as a unified diff, secrets masked.
    pub diff: String,
    /// The text it was made from.
    before: Option<Source>,
}

/// Makes the fixes of `linted`; `chosen` leaves out what is not to be looked at.
pub fn mend(linted: Linted, chosen: impl Fn(Linted) -> Linted) -> Mended {
    let before = linted.source.clone();
    let mut mended = Mended { linted, fixed: 0, diff: String::new(), before };
    for _ in 0..ROUNDS {
        let Some(source) = &mended.linted.source else { break };
        let fixes = mended.linted.remarks.iter().filter_map(|remark| remark.fix.as_ref());
        let (text, made) = apply(source, fixes);
        if made == 0 || text == source.text() {
            break;
        }
        let after = chosen(lint_str(&text, source.path()));
        if badness(&after) > badness(&mended.linted) {
            break;
        }
        mended.linted = after;
        mended.fixed += made;
    }
    if let (Some(before), Some(after)) = (&mended.before, &mended.linted.source)
        && mended.fixed > 0
    {
        mended.diff = diff(before.path(), before.text(), after.text());
    }
    mended
}

/// Smaller is better: whether it can be parsed at all counts most, since what can be says more.
fn badness(linted: &Linted) -> (bool, usize, usize) {
    let count = |severity| linted.remarks.iter().filter(|remark| remark.severity == severity).count();
    let unparsed = linted.remarks.iter().any(|remark| matches!(remark.code, "PV003" | "PV024"));
    (unparsed, count(Severity::Error), count(Severity::Warning))
}

fn diff(path: &Path, before: &str, after: &str) -> String {
    let mask = |text: &str| text.split_inclusive('\n').map(mask_secrets).collect::<String>();
    let (before, after) = (mask(before), mask(after));
    let mut config = TextDiff::configure();
    // A hostile file gets a coarser diff instead of a slow one.
    config.timeout(Duration::from_secs(2));
    let diff = config.diff_lines(&before, &after);
    let name = path.display().to_string();
    diff.unified_diff().header(&name, &name).to_string()
}

impl Mended {
    /// Whether the mended text could be put in the file's place: it is written as UTF-8, so the file must be.
    pub fn is_writable(&self) -> Result<()> {
        self.ground().map(|_| ())
    }

    /// The file that is changed, and its byte order mark.
    fn ground(&self) -> Result<Option<(PathBuf, &'static [u8])>> {
        let Some(before) = &self.before else { return Ok(None) };
        let path = fs_err::canonicalize(before.path())?;
        let bytes = fs_err::read(&path)?;
        let (mark, text) = bytes.strip_prefix(MARK).map_or((&[][..], &bytes[..]), |text| (MARK, text));
        if text == before.text().as_bytes() { Ok(Some((path, mark))) } else { Err(refusal(&path)) }
    }

    /// Puts the mended text in the file's place, whole or not at all, with its mode, owner and byte order mark.
    pub fn write(&self) -> Result<()> {
        let (Some((path, mark)), Some(after)) = (self.ground()?, &self.linted.source) else { return Ok(()) };
        let metadata = fs_err::metadata(&path)?;
        let folder = path.parent().unwrap_or(Path::new("/"));
        let mut staged = tempfile::Builder::new().prefix(".provenv-").tempfile_in(folder)?;
        staged.write_all(mark)?;
        staged.write_all(after.text().as_bytes())?;
        // Only root may give a file away; another user's file that is ours to write keeps no owner.
        let _ = std::os::unix::fs::fchown(staged.as_file(), Some(metadata.uid()), Some(metadata.gid()));
        staged.as_file().set_permissions(std::fs::Permissions::from_mode(metadata.permissions().mode()))?;
        staged.as_file().sync_all()?;
        staged.persist(&path).map_err(|error| error.error)?;
        Ok(())
    }
}

fn refusal(path: &Path) -> Failure {
    let message = format!("`{}` is not mended: it is no UTF-8, or has changed meanwhile", path.display());
    Failure::Other(message.into(), Some("save it as UTF-8 and check it again".to_owned()))
}
