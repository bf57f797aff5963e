//! Which catalogue in PostgreSQL a folder belongs to.
//!
//! What a store's garbage is, the catalogue says. With another one, or none, everything in it would be.

use std::io::{ErrorKind, Write as _};
use std::path::Path;

use super::{CatalogueError, Result};

/// The file in the folder that holds the catalogue's identifier.
const FILE: &str = "catalogue.id";

/// Whether a folder's catalogue may be the file in it.
pub(super) fn check_own(root: &Path, file: &Path) -> Result<()> {
    if root.join(FILE).exists() && !file.exists() {
        return Err(CatalogueError::Elsewhere { root: root.to_owned() });
    }
    Ok(())
}

/// Makes the folder belong to the catalogue with this identifier, unless it belongs to one.
pub(super) fn bind(root: &Path, id: &str) -> Result<()> {
    let told = |source| CatalogueError::Binding { root: root.to_owned(), source };
    let path = root.join(FILE);
    let known = match fs_err::read_to_string(&path) {
        Err(error) if error.kind() == ErrorKind::NotFound => {
            write(root, &path, id).map_err(told)?;
            fs_err::read_to_string(&path).map_err(told)?
        }
        known => known.map_err(told)?,
    };
    if known.trim_end() == id { Ok(()) } else { Err(CatalogueError::Foreign { root: root.to_owned() }) }
}

/// Whoever comes second leaves what is there.
fn write(root: &Path, path: &Path, id: &str) -> std::io::Result<()> {
    use std::os::unix::fs::PermissionsExt as _;
    let mut file =
        tempfile::Builder::new().permissions(std::fs::Permissions::from_mode(0o666)).tempfile_in(root)?;
    writeln!(file, "{id}")?;
    file.as_file().sync_all()?;
    match file.persist_noclobber(path) {
        Err(error) if error.error.kind() != ErrorKind::AlreadyExists => Err(error.error),
        _ => fs_err::File::open(root)?.sync_all(),
    }
}
