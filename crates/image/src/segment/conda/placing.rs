//! Where the files of a package go.

use super::super::error::{Fault, Problem};
use super::super::scripts::{self, Script};
use super::metadata::Info;

/// Where the files of a package go.
pub(super) struct Placing {
    /// Set where the package is `noarch: python`: the folder of its modules.
    site: Option<String>,
    scripts: Vec<Script>,
}

impl Placing {
    pub fn new(info: &Info, python: Option<(u32, u32)>) -> Result<Self, Fault> {
        if !info.is_noarch_python {
            return Ok(Self { site: None, scripts: Vec::new() });
        }
        let Some((major, minor)) = python else {
            return Err(Fault::Refused(None, Problem::AnyPython));
        };
        let scripts = info.entry_points.iter().map(|line| scripts::conda_entry_point(line, (major, minor)));
        Ok(Self {
            site: Some(format!("lib/python{major}.{minor}/site-packages")),
            scripts: scripts.collect::<Result<_, _>>()?,
        })
    }

    /// The path under the prefix of the member `name`; `None` where it is not laid down.
    pub fn place(&self, name: &str) -> Option<String> {
        let path = match (&self.site, name.split_once('/')) {
            (Some(site), Some(("site-packages", rest))) => format!("{site}/{rest}"),
            (Some(_), Some(("python-scripts", rest))) => format!("bin/{rest}"),
            _ => name.to_owned(),
        };
        // Windows' and a desktop's business.
        if path.starts_with("Menu/") {
            return None;
        }
        (!is_bytecode(&path)).then_some(path)
    }

    /// Commands made from entry points.
    pub fn scripts(&self) -> &[Script] {
        &self.scripts
    }
}

/// Bytecode of Python's modules beside their source: made anew.
fn is_bytecode(path: &str) -> bool {
    let (folder, name) = path.rsplit_once('/').unwrap_or(("", path));
    path.starts_with("lib/python")
        && folder.ends_with("/__pycache__")
        && name.contains(".cpython-")
        && name.strip_suffix(".pyc").is_some()
}
