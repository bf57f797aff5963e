//! Virtual environments, and other Pythons that are told by their own account.

use std::path::{Path, PathBuf};

use super::distribution::installed_in;
use super::pip::{self, Seeds};
use super::{Capture, Extent, entries_of, small_file, whole};
use crate::secrets::shown;
use crate::{PythonRequest, codes};

/// A Python as it describes itself: `sys.prefix`, its version, and the folders that it imports packages from.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PythonInstallation {
    /// `sys.prefix`.
    pub prefix: PathBuf,
    /// E.g. `3.11.7`.
    pub version: String,
    /// Where its packages are, the first that counts first.
    pub site_packages: Vec<PathBuf>,
}

/// `pyvenv.cfg` (PEP 405), as `venv`, `virtualenv` and `uv` write it.
#[derive(Debug, Default)]
struct Settings {
    version: Option<String>,
    home: String,
    system_site_packages: bool,
    /// Made by Python's own `venv`, which installs its first packages as if somebody had asked for them.
    by_venv: bool,
}

impl Settings {
    fn parse(text: &str) -> Self {
        let mut settings = Self { by_venv: true, ..Self::default() };
        for (key, value) in text.lines().filter_map(|line| line.split_once('=')) {
            let value = value.trim();
            match &*key.trim().to_lowercase() {
                "version" => settings.version = Some(value.to_owned()),
                // `3.11.7.final.0`
                "version_info" if settings.version.is_none() => {
                    settings.version = Some(value.splitn(4, '.').take(3).collect::<Vec<_>>().join("."));
                }
                "home" => value.clone_into(&mut settings.home),
                "include-system-site-packages" => {
                    settings.system_site_packages = value.eq_ignore_ascii_case("true");
                }
                "virtualenv" | "uv" => settings.by_venv = false,
                _ => {}
            }
        }
        settings
    }
}

/// Reads the virtual environment at the capture's prefix.
pub(super) fn read(capture: &mut Capture<'_>) {
    let file = capture.prefix.join("pyvenv.cfg");
    let settings = Settings::parse(&small_file(&file).unwrap_or_default());
    let sites = site_packages(capture.prefix);
    // `lib/python3.11/site-packages`
    let of_folder = || {
        let folder = sites.first()?.parent()?.file_name()?.to_str()?;
        folder.strip_prefix("python").map(str::to_owned)
    };
    let version = settings.version.clone().or_else(of_folder);
    set_python(capture, version.as_deref(), &file);
    if settings.system_site_packages {
        let message = format!(
            "this environment sees the packages of the Python in `{}` too: those are left out",
            shown(&settings.home)
        );
        let hint = "add the ones that are used by hand";
        capture.remark_on(codes::NOT_REPRODUCIBLE, message, Some(hint), &file);
    }
    let before_3_12 =
        capture.read.environment.definition.python.as_ref().is_some_and(|python| python.minor < 12);
    let seeds = match (settings.by_venv, before_3_12) {
        (true, true) => Seeds { marked: &["pip", "setuptools"] },
        (true, false) => Seeds { marked: &["pip"] },
        (false, _) => Seeds::default(),
    };
    take_sites(capture, &sites, seeds);
}

/// Reads a Python that is in no environment of its own.
pub(super) fn read_installation(capture: &mut Capture<'_>, python: &PythonInstallation) {
    let prefix = python.prefix.clone();
    set_python(capture, Some(&python.version), &prefix);
    let (system, sites): (Vec<_>, Vec<_>) =
        python.site_packages.iter().cloned().partition(|site| is_of_the_system(site));
    for site in system.iter().filter(|site| site.is_dir()) {
        let message = "packages of the operating system are left out".to_owned();
        let hint = "list those that are used under `system_packages` or `pip`";
        capture.remark_on(codes::NOT_REPRODUCIBLE, message, Some(hint), site);
    }
    // What installed the interpreter may have installed these as if somebody had asked for them.
    take_sites(capture, &sites, Seeds { marked: &["pip", "setuptools"] });
}

/// Debian's own packages: not those that pip installs beside them.
fn is_of_the_system(site: &Path) -> bool {
    site.ends_with("dist-packages") && !site.starts_with("/usr/local")
}

fn take_sites(capture: &mut Capture<'_>, sites: &[PathBuf], seeds: Seeds) {
    let mut installed = Vec::new();
    for site in sites {
        installed.extend(packages_of(capture, site, &|_| false));
    }
    pip::take(capture, installed, seeds);
}

/// What is installed in `site`; metadata that cannot be read is said.
pub(super) fn packages_of(
    capture: &mut Capture<'_>,
    site: &Path,
    owned: &dyn Fn(&str) -> bool,
) -> Vec<super::distribution::Distribution> {
    let (installed, unreadable) = installed_in(site, owned);
    for path in unreadable {
        let message = "what is installed here has no name that can be read: it is left out".to_owned();
        capture.remark_on(codes::NOT_REPRODUCIBLE, message, None, &path);
    }
    installed
}

/// `site-packages` of a prefix; `lib64` is most often a link to `lib`.
pub(super) fn site_packages(prefix: &Path) -> Vec<PathBuf> {
    let mut sites: Vec<PathBuf> = Vec::new();
    let mut seen = Vec::new();
    for lib in ["lib", "lib64"] {
        for (name, path) in entries_of(&prefix.join(lib)) {
            let is_python = name
                .strip_prefix("python")
                .is_some_and(|rest| rest.starts_with(|c: char| c.is_ascii_digit()));
            let site = path.join("site-packages");
            if is_python && site.is_dir() {
                let identity = fs_err::canonicalize(&site).unwrap_or_else(|_| site.clone());
                if !seen.contains(&identity) {
                    seen.push(identity);
                    sites.push(site);
                }
            }
        }
    }
    sites
}

/// The minor version is what was asked for; the patch is what is there.
fn set_python(capture: &mut Capture<'_>, version: Option<&str>, file: &Path) {
    // `3.14.0rc1` is asked for as `3.14`.
    let digits = |part: &str| part.chars().take_while(char::is_ascii_digit).collect::<String>();
    let parts: Vec<String> = version.unwrap_or_default().splitn(3, '.').map(digits).collect();
    let is_release = version.is_some_and(|version| version.chars().all(|c| c.is_ascii_digit() || c == '.'));
    let wanted = if capture.extent == Extent::Exact && is_release { 3 } else { 2 };
    let text = parts.into_iter().take(wanted).collect::<Vec<_>>().join(".");
    match text.parse::<PythonRequest>() {
        Ok(python) if python.major == 3 => {
            capture.read.environment.definition.python = Some(python);
            capture.read.origins.python = Some(whole(file));
        }
        _ => {
            let message = "which Python this is cannot be read: none is asked for".to_owned();
            capture.remark_on(codes::NOT_ON_RECORD, message, Some("add `python` by hand"), file);
        }
    }
}
