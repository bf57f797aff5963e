//! Wheels of a few hundred bytes, right in every respect that installers look at.

use std::fmt::Write as _;
use std::io::Write as _;

use base64::Engine as _;
use sha2::{Digest as _, Sha256};
use zip::write::SimpleFileOptions;

use super::project::Project;

/// A wheel to be made: pure and without a dependency unless told otherwise. The same calls give the same bytes.
#[derive(Clone, Debug)]
pub struct Wheel {
    project: Project,
    build: Option<String>,
    tags: String,
    extras: Vec<String>,
    entry_points: Vec<(String, String, String)>,
    files: Vec<(String, Vec<u8>, u32)>,
    plain: bool,
}

impl Wheel {
    /// `name` as the author writes it, `version` in normal form.
    pub fn new(name: &str, version: &str) -> Self {
        Self {
            project: Project::new(name, version),
            build: None,
            tags: "py3-none-any".to_owned(),
            extras: Vec::new(),
            entry_points: Vec::new(),
            files: Vec::new(),
            plain: true,
        }
    }

    /// Tags, e.g. `cp311-cp311-manylinux_2_17_x86_64`, dots for several.
    #[must_use]
    pub fn tag(mut self, tags: &str) -> Self {
        tags.clone_into(&mut self.tags);
        self
    }

    /// Build tag, e.g. `1`.
    #[must_use]
    pub fn build_tag(mut self, build: &str) -> Self {
        self.build = Some(build.to_owned());
        self
    }

    /// `Requires-Python`.
    #[must_use]
    pub fn requires_python(mut self, specifier: &str) -> Self {
        self.project.requires_python = Some(specifier.to_owned());
        self
    }

    /// When it was uploaded, as an index says it (RFC 3339); the beginning of 2024 otherwise.
    #[must_use]
    pub fn uploaded(mut self, time: &str) -> Self {
        time.clone_into(&mut self.project.uploaded);
        self
    }

    /// One `Requires-Dist` (PEP 508).
    #[must_use]
    pub fn requires(mut self, requirement: &str) -> Self {
        self.project.requires.push(requirement.to_owned());
        self
    }

    /// One more line of `METADATA`, e.g. `License-Expression` and `MIT`.
    #[must_use]
    pub fn field(mut self, name: &str, value: &str) -> Self {
        self.project.fields.push((name.to_owned(), value.to_owned()));
        self
    }

    /// What the extra `extra` brings along.
    #[must_use]
    pub fn extra(mut self, extra: &str, requirement: &str) -> Self {
        if !self.extras.iter().any(|known| known == extra) {
            self.extras.push(extra.to_owned());
        }
        self.requires(&format!("{requirement} ; extra == '{extra}'"))
    }

    /// An entry point, e.g. in the group `console_scripts`, the name `pad`, the target `left_pad.cli:main`.
    #[must_use]
    pub fn entry_point(mut self, group: &str, name: &str, target: &str) -> Self {
        self.entry_points.push((group.to_owned(), name.to_owned(), target.to_owned()));
        self
    }

    /// A file at this path in site-packages.
    #[must_use]
    pub fn file(mut self, path: &str, bytes: impl Into<Vec<u8>>) -> Self {
        self.files.push((path.to_owned(), bytes.into(), 0o644));
        self
    }

    /// A file in `*.data/`, e.g. in the scheme `data` at `share/x`, or in `scripts` at `run.py`.
    #[must_use]
    pub fn data(mut self, scheme: &str, path: &str, bytes: impl Into<Vec<u8>>) -> Self {
        let mode = if scheme == "scripts" { 0o755 } else { 0o644 };
        self.files.push((format!("{}.data/{scheme}/{path}", self.stem()), bytes.into(), mode));
        self
    }

    /// Installed into platlib rather than purelib.
    #[must_use]
    pub fn platform_library(mut self) -> Self {
        self.plain = false;
        self
    }

    pub(super) fn project(&self) -> &Project {
        &self.project
    }

    /// `name-version[-build]-python-abi-platform.whl`.
    pub fn file_name(&self) -> String {
        let build = self.build.as_ref().map(|build| format!("-{build}")).unwrap_or_default();
        format!("{}{build}-{}.whl", self.stem(), self.tags)
    }

    /// The name of the module that every wheel holds.
    pub fn module(&self) -> String {
        self.project.module()
    }

    fn stem(&self) -> String {
        self.project.stem()
    }

    /// The text of `METADATA`.
    pub fn metadata(&self) -> String {
        self.project.metadata("2.1", &self.extras)
    }

    /// The bytes of the file.
    pub fn build(&self) -> Vec<u8> {
        let info = format!("{}.dist-info", self.stem());
        let module = format!("VERSION = \"{}\"\n", self.project.version);
        let mut files = vec![(format!("{}/__init__.py", self.module()), module.into_bytes(), 0o644)];
        // The module is the caller's to give, too.
        files.retain(|(path, _, _)| self.files.iter().all(|(given, _, _)| given != path));
        files.extend(self.files.iter().cloned());
        files.push((format!("{info}/METADATA"), self.metadata().into_bytes(), 0o644));
        files.push((format!("{info}/WHEEL"), self.wheel().into_bytes(), 0o644));
        if !self.entry_points.is_empty() {
            files.push((format!("{info}/entry_points.txt"), self.entry_points().into_bytes(), 0o644));
        }
        let mut record = String::new();
        for (path, bytes, _) in &files {
            let digest = base64::engine::general_purpose::URL_SAFE_NO_PAD.encode(Sha256::digest(bytes));
            let _ = writeln!(record, "{path},sha256={digest},{}", bytes.len());
        }
        let _ = writeln!(record, "{info}/RECORD,,");
        files.push((format!("{info}/RECORD"), record.into_bytes(), 0o644));

        let mut archive = zip::ZipWriter::new(std::io::Cursor::new(Vec::new()));
        for (path, bytes, mode) in files {
            let options = SimpleFileOptions::default()
                .compression_method(zip::CompressionMethod::Deflated)
                .last_modified_time(zip::DateTime::default())
                .unix_permissions(mode);
            archive.start_file(path, options).expect("a fresh name");
            archive.write_all(&bytes).expect("memory takes all");
        }
        archive.finish().expect("memory takes all").into_inner()
    }

    fn wheel(&self) -> String {
        let mut text =
            format!("Wheel-Version: 1.0\nGenerator: provenv-testing\nRoot-Is-Purelib: {}\n", self.plain);
        let mut tags = self.tags.split('-').map(|part| part.split('.').collect::<Vec<_>>());
        let (Some(pythons), Some(abis), Some(platforms)) = (tags.next(), tags.next(), tags.next()) else {
            panic!("`{}` is not python-abi-platform", self.tags);
        };
        for python in pythons {
            for abi in &abis {
                for platform in &platforms {
                    let _ = writeln!(text, "Tag: {python}-{abi}-{platform}");
                }
            }
        }
        if let Some(build) = &self.build {
            let _ = writeln!(text, "Build: {build}");
        }
        text
    }

    fn entry_points(&self) -> String {
        let mut groups: Vec<&str> = self.entry_points.iter().map(|(group, _, _)| group.as_str()).collect();
        groups.dedup();
        let mut text = String::new();
        for group in groups {
            let _ = writeln!(text, "[{group}]");
            for (_, name, target) in self.entry_points.iter().filter(|(other, _, _)| other == group) {
                let _ = writeln!(text, "{name} = {target}");
            }
        }
        text
    }
}
