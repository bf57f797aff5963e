//! Wheels from the Python package index as conda-forge's packages of the same projects.

use std::collections::{BTreeMap, BTreeSet};
use std::io::Read as _;
use std::path::{Path, PathBuf};
use std::process::Command;

use pep440_rs::{Operator, VersionSpecifier};
use provenv_definition::{MarkerEnvironment, Platform, Requirement, normalise_name};
use sha2::{Digest as _, Sha256};

use super::debs::Node;
use super::elf::Relocator;
use super::python::MINOR;
use super::system::{self, Providers};
use crate::Package;
use crate::python;
use crate::tools::run;

/// All with their dependencies, so that nothing moves when the index does.
pub(super) const PINNED: [&str; 22] = [
    "certifi==2026.10.19.post1",
    "charset-normalizer==3.5.3",
    "click==8.5.1",
    "cloudpickle==3.1.3",
    "idna==3.20",
    "joblib==1.6.0",
    "narwhals==2.29.0",
    "numpy==2.4.6",
    "packaging==26.4",
    "pandas==3.1.1",
    "pip==26.3",
    "python-dateutil==4.0.0",
    "pyyaml==6.0.4",
    "requests==2.34.2",
    "scikit-learn==1.9.1",
    "scipy==1.17.1",
    "setuptools==84.2.1",
    "six==1.17.0",
    "threadpoolctl==3.8.0",
    "tzdata==2026.6",
    "urllib3==2.8.0",
    "wheel==0.48.0",
];

/// Older versions of some, so that there is something to upgrade.
pub(super) const OLDER: [&str; 2] = ["joblib==1.4.2", "requests==2.31.0"];

/// What conda-forge's packages need that wheels do not say.
const BESIDES: [(&str, &[&str]); 1] = [("pip", &["setuptools", "wheel"])];

/// Before it, a file's time says nothing: zip archives begin in 1980, and many builds leave it at that.
const FIRST_YEAR: u16 = 2000;

/// Downloads wheels into `folder`: each of `groups` holds one version of a project at the most.
pub(super) fn download(
    python: &Path,
    platform: Platform,
    folder: &Path,
    groups: &[Vec<String>],
) -> Result<Vec<PathBuf>, String> {
    let machine = platform.machine();
    for pins in groups {
        let mut command = Command::new(python);
        command.args(["-m", "pip", "download", "--quiet", "--disable-pip-version-check", "--no-deps"]);
        command.args(["--only-binary", ":all:", "--implementation", "cp", "--python-version", MINOR]);
        for tag in ["manylinux_2_28", "manylinux_2_27", "manylinux_2_17", "manylinux2014"] {
            command.args(["--platform", &format!("{tag}_{machine}")]);
        }
        run(command.arg("--dest").arg(folder).args(pins))?;
    }
    let text = |error: std::io::Error| error.to_string();
    let files = fs_err::read_dir(folder).map_err(text)?;
    let mut files: Vec<PathBuf> =
        files.map(|file| Ok(file?.path())).collect::<Result<_, std::io::Error>>().map_err(text)?;
    files.sort();
    Ok(files)
}

/// A wheel as it is read.
struct Wheel {
    /// By their paths in the archive.
    files: BTreeMap<String, Node>,
    /// The folder `NAME-VERSION.dist-info`.
    info: String,
    sha256: String,
    /// The time of its newest file, in milliseconds of Unix time.
    built: Option<u64>,
}

impl Wheel {
    fn read(path: &Path) -> Result<Self, String> {
        let bytes = fs_err::read(path).map_err(|error| error.to_string())?;
        let mut archive =
            zip::ZipArchive::new(std::io::Cursor::new(&bytes)).map_err(|error| error.to_string())?;
        let mut files = BTreeMap::new();
        let mut built = None;
        for index in 0..archive.len() {
            let mut file = archive.by_index(index).map_err(|error| error.to_string())?;
            if file.is_dir() {
                continue;
            }
            let time = file.last_modified().filter(|time| time.year() >= FIRST_YEAR);
            built = built.max(time.and_then(milliseconds));
            let mut bytes = Vec::new();
            file.read_to_end(&mut bytes).map_err(|error| error.to_string())?;
            let executable = file.unix_mode().is_some_and(|mode| mode & 0o111 != 0);
            let name = file.name().map_err(|error| error.to_string())?.into_owned();
            files.insert(name, Node::File { bytes, executable });
        }
        let info = files
            .keys()
            .find_map(|path| path.strip_suffix(".dist-info/METADATA").filter(|stem| !stem.contains('/')))
            .map(|stem| format!("{stem}.dist-info"))
            .ok_or("has no METADATA")?;
        Ok(Self { files, info, sha256: hex::encode(Sha256::digest(&bytes)), built })
    }

    fn text(&self, name: &str) -> Option<String> {
        match self.files.get(&format!("{}/{name}", self.info))? {
            Node::File { bytes, .. } => Some(String::from_utf8_lossy(bytes).into_owned()),
            Node::Link(_) => None,
        }
    }

    /// The values of a header of METADATA.
    fn headers(metadata: &str, name: &str) -> Vec<String> {
        let lines = metadata.lines().take_while(|line| !line.is_empty());
        let values = lines.filter_map(|line| line.split_once(':'));
        values.filter(|(header, _)| *header == name).map(|(_, value)| value.trim().to_owned()).collect()
    }

    fn is_pure(&self) -> bool {
        let wheel = self.text("WHEEL").unwrap_or_default();
        Self::headers(&wheel, "Root-Is-Purelib").iter().any(|value| value.eq_ignore_ascii_case("true"))
            && Self::headers(&wheel, "Tag").iter().all(|tag| tag.ends_with("-none-any"))
    }

    /// `name = module:function` of every console script.
    fn console_scripts(&self) -> Vec<String> {
        let text = self.text("entry_points.txt").unwrap_or_default();
        let mut here = false;
        let mut scripts = Vec::new();
        for line in text.lines().map(str::trim) {
            if line.starts_with('[') {
                here = line == "[console_scripts]";
            } else if here && let Some((name, target)) = line.split_once('=') {
                let target = target.split('[').next().unwrap_or(target);
                scripts.push(format!("{} = {}", name.trim(), target.trim()));
            }
        }
        scripts
    }
}

fn milliseconds(time: zip::DateTime) -> Option<u64> {
    let date = jiff::civil::date(
        i16::try_from(time.year()).ok()?,
        i8::try_from(time.month()).ok()?,
        i8::try_from(time.day()).ok()?,
    );
    let midnight = date.to_datetime(jiff::civil::Time::midnight());
    let timestamp = jiff::tz::TimeZone::UTC.to_timestamp(midnight).ok()?;
    u64::try_from(timestamp.as_millisecond()).ok()
}

/// The package of a wheel, for Python in its full version.
pub(super) fn package(
    path: &Path,
    version: &str,
    platform: Platform,
    providers: &Providers,
    relocator: &Relocator,
) -> Result<Package, String> {
    let file = path.file_name().unwrap_or_default().to_string_lossy().into_owned();
    turn(path, version, platform, providers, relocator).map_err(|error| format!("{file}: {error}"))
}

fn turn(
    path: &Path,
    python: &str,
    platform: Platform,
    providers: &Providers,
    relocator: &Relocator,
) -> Result<Package, String> {
    let wheel = Wheel::read(path)?;
    let metadata = wheel.text("METADATA").unwrap_or_default();
    let first = |header: &str| Wheel::headers(&metadata, header).into_iter().next();
    let name = conda_name(&first("Name").ok_or("has no name")?);
    let mut package = Package::new(&name, &first("Version").ok_or("has no version")?);
    if let Some(built) = wheel.built {
        package = package.timestamp(built);
    }
    let hash = &wheel.sha256[..7];
    let pure = wheel.is_pure();
    if pure {
        let bounds = first("Requires-Python").map(|bounds| conda_version(&bounds)).transpose()?;
        let spec = format!("python {}", bounds.unwrap_or_default());
        package = package.build(&format!("pyh{hash}_0"), 0).noarch_python().depends(spec.trim_end());
    } else {
        package = package
            .build(&format!("py311h{hash}_0"), 0)
            .subdir(system::subdir(platform))
            .depends(&format!("python >={MINOR},<3.12.0a0"))
            .depends("python_abi 3.11.* *_cp311")
            .depends("__glibc >=2.28,<3.0.a0");
    }
    for spec in requirements(&Wheel::headers(&metadata, "Requires-Dist"), python, platform)? {
        package = package.depends(&spec);
    }
    for spec in BESIDES.iter().filter(|(of, _)| *of == name).flat_map(|(_, specs)| *specs) {
        package = package.depends(spec);
    }
    for entry_point in wheel.console_scripts() {
        package = package.entry_point(&entry_point);
    }
    let (files, libraries) = system::relocated(laid_out(&wheel, pure), providers, relocator)?;
    for spec in libraries {
        package = package.depends(&spec);
    }
    Ok(install(package, files, &wheel.info, pure))
}

/// conda-forge's name of a project.
fn conda_name(project: &str) -> String {
    match normalise_name(project).as_str() {
        // `tzdata` is the system's there.
        "tzdata" => "python-tzdata".to_owned(),
        name => name.to_owned(),
    }
}

/// What `Requires-Dist` asks for here, in conda's terms.
fn requirements(texts: &[String], python: &str, platform: Platform) -> Result<BTreeSet<String>, String> {
    let environment = MarkerEnvironment::new(python, platform);
    let mut specs = BTreeSet::new();
    for text in texts {
        let requirement = Requirement::parse(text, Path::new("/")).map_err(|error| error.to_string())?;
        if requirement.marker.as_ref().is_some_and(|marker| !marker.holds(&environment)) {
            continue;
        }
        let name = conda_name(&requirement.name.unwrap_or_default());
        let bounds: Vec<String> = requirement.specifiers.iter().map(conda_bound).collect();
        specs.insert(format!("{name} {}", bounds.join(",")).trim_end().to_owned());
    }
    Ok(specs)
}

fn conda_version(bounds: &str) -> Result<String, String> {
    let bounds: pep440_rs::VersionSpecifiers =
        bounds.parse().map_err(|error| format!("Requires-Python: {error}"))?;
    Ok(bounds.iter().map(conda_bound).collect::<Vec<_>>().join(","))
}

/// The two agree but for `==1.*`.
fn conda_bound(bound: &VersionSpecifier) -> String {
    match bound.operator() {
        Operator::EqualStar => format!("{}.*", bound.version()),
        _ => bound.to_string(),
    }
}

/// The files of a wheel where they go in the package.
fn laid_out(wheel: &Wheel, pure: bool) -> BTreeMap<String, Node> {
    let site = site(pure);
    let data = wheel.info.replace(".dist-info", ".data/");
    let place = |path: &str| match path.strip_prefix(&data).and_then(|rest| rest.split_once('/')) {
        None => format!("{site}/{path}"),
        Some(("purelib" | "platlib", rest)) => format!("{site}/{rest}"),
        Some(("scripts", rest)) if pure => format!("python-scripts/{rest}"),
        Some(("scripts", rest)) => format!("bin/{rest}"),
        Some(("headers", rest)) => format!("include/python{MINOR}/{rest}"),
        Some((_, rest)) => rest.to_owned(),
    };
    wheel.files.iter().map(|(path, node)| (place(path), node.clone())).collect()
}

fn site(pure: bool) -> String {
    if pure { "site-packages".to_owned() } else { format!("lib/python{MINOR}/site-packages") }
}

/// Adds the files as pip leaves them in a build of conda's: with an installer and a record of what is there.
fn install(mut package: Package, files: BTreeMap<String, Node>, info: &str, pure: bool) -> Package {
    let site = site(pure);
    let own = |name: &str| format!("{site}/{info}/{name}");
    let written = [own("RECORD"), own("INSTALLER"), own("REQUESTED")];
    let mut plain = BTreeMap::new();
    for (path, node) in files {
        match &node {
            _ if written.contains(&path) => {}
            // The wheel's word for "whatever interpreter it is installed for".
            Node::File { bytes, .. } if bytes.starts_with(b"#!python") => {
                let script = String::from_utf8_lossy(bytes);
                package =
                    package.prefixed_text(&path, &script.replacen("#!python", "#!{PREFIX}/bin/python", 1));
            }
            _ => {
                plain.insert(path, node);
            }
        }
    }
    package = system::add(package, plain).file(&own("INSTALLER"), "conda\n").file(&own("REQUESTED"), "");
    let record = python::record(&site, info, &package.contents());
    package.file(&own("RECORD"), record)
}
