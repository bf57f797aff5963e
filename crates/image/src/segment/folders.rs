//! The folders that an archive's files lie in, which may be many more, and take much more memory, than the files.

use std::collections::HashMap;

use super::error::{Fault, Problem};
use super::{MOST_FOLDERS, NAMES};
use crate::path;

/// Every folder above `paths`, each with the first path that lies in it. Refuses more than a package has.
pub(crate) fn above<'p>(paths: impl Iterator<Item = &'p str>) -> Result<HashMap<&'p str, &'p str>, Fault> {
    let mut folders = HashMap::new();
    let mut bytes = 0;
    for path in paths {
        bytes += path.len();
        // What lies above a folder that was seen was seen with it.
        for folder in path::parents(path).rev() {
            if folders.contains_key(folder) {
                break;
            }
            folders.insert(folder, path);
            bytes += folder.len();
            if folders.len() > MOST_FOLDERS {
                return Err(Fault::Refused(None, Problem::Folders(MOST_FOLDERS)));
            }
        }
        if bytes > NAMES {
            return Err(Fault::Refused(None, Problem::Names(NAMES)));
        }
    }
    Ok(folders)
}
