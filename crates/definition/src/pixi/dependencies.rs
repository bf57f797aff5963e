//! Dependencies in a pixi manifest: which count on which platform, and what each asks for.

use std::collections::HashMap;

use indexmap::IndexMap;

use super::manifest::Reader;
use crate::document::{Fields, Kind, Node};
use crate::lock_reader::is_conda_package;
use crate::python::poetry::{relative, repository};
use crate::python::uv_sources::add_index;
use crate::recognise::value_of;
use crate::requirement::is_name;
use crate::secrets::shown;
use crate::{CondaRequirement, CondaSpec, Digest, Platform, Remarks, codes, conda};

/// Tables of conda packages, the one that counts most last: all of them are in the environment.
pub(super) const CONDA: &[&str] = &["build-dependencies", "host-dependencies", "dependencies"];

/// A dependency and the platforms that it counts on.
pub(super) struct Kept<'n> {
    pub name: &'n str,
    pub node: &'n Node,
    pub platforms: Vec<Platform>,
}

/// The tables `target.…` of `part` that count on all of `platforms`, the most special one last.
pub(super) fn targets<'n>(part: &'n Node, platforms: &[Platform]) -> Vec<&'n Node> {
    let mut names = vec!["unix", "linux"];
    if let [platform] = platforms {
        names.push(subdir(*platform));
    }
    let all = value_of(part, "target");
    names.into_iter().filter_map(|name| value_of(all?, name)).collect()
}

fn subdir(platform: Platform) -> &'static str {
    match platform {
        Platform::LinuxAmd64 => "linux-64",
        Platform::LinuxArm64 => "linux-aarch64",
    }
}

/// The dependencies of `part` in `tables`.
pub(super) fn of<'n>(reader: &mut Reader<'_>, part: &'n Node, tables: &[&str]) -> Vec<Kept<'n>> {
    let mut kept: IndexMap<*const Node, Kept<'n>> = IndexMap::new();
    for platform in reader.platforms.clone() {
        let parts = [part].into_iter().chain(targets(part, &[platform]));
        let mut chosen: IndexMap<String, (&'n str, &'n Node)> = IndexMap::new();
        for part in parts {
            for table in tables.iter().filter_map(|key| value_of(part, key)) {
                let Kind::Mapping(pairs) = &table.kind else {
                    if platform == reader.platforms[0] {
                        let message = format!("dependencies must be a mapping, not {}", table.kind_name());
                        reader.report(codes::WRONG_TYPE, table.span, message);
                    }
                    continue;
                };
                for (name, value) in pairs {
                    let name = name.text().unwrap_or_default();
                    chosen.insert(name.to_lowercase(), (name, value));
                }
            }
        }
        for (name, node) in chosen.into_values() {
            let entry = kept.entry(std::ptr::from_ref(node));
            entry.or_insert_with(|| Kept { name, node, platforms: Vec::new() }).platforms.push(platform);
        }
    }
    kept.into_values().collect()
}

/// A conda package; `None` where it cannot be had, which is reported.
pub(super) fn conda(reader: &mut Reader<'_>, kept: &Kept<'_>) -> Option<CondaRequirement> {
    let everywhere = kept.platforms.len() == reader.platforms.len();
    let platforms = if everywhere { Vec::new() } else { kept.platforms.clone() };
    let spec = match kept.node.text() {
        Some(version) => versioned(reader, kept, version)?,
        None => table(reader, kept)?,
    };
    Some(CondaRequirement { spec: spec.to_string(), platforms })
}

fn versioned(reader: &mut Reader<'_>, kept: &Kept<'_>, version: &str) -> Option<CondaSpec> {
    let is_word = |c: char| c.is_ascii_alphanumeric() || "_.-".contains(c);
    if kept.name.is_empty() || !kept.name.chars().all(is_word) {
        let message = format!("`{}` is not the name of a conda package", shown(kept.name));
        reader.report(codes::INVALID_CONDA_SPEC, kept.node.span, message);
        return None;
    }
    let text = match version.trim() {
        "" | "*" => kept.name.to_owned(),
        // A version alone means what `==` means here, as for conda.
        version => format!("{} {version}", kept.name),
    };
    match conda::spec_of(&text, &reader.folder) {
        Ok(spec) => Some(spec),
        Err(error) => {
            reader.refuse(kept.node.span, error);
            None
        }
    }
}

/// `{ version = …, build = …, channel = … }`.
fn table(reader: &mut Reader<'_>, kept: &Kept<'_>) -> Option<CondaSpec> {
    let mut diagnostics = Remarks::default();
    let what = format!("`{}`", shown(kept.name));
    let Some(mut fields) = Fields::new(reader.source, kept.node, &what, &mut diagnostics) else {
        reader.diagnostics.extend(diagnostics);
        return None;
    };
    let mut given: HashMap<&str, (String, crate::Span)> = HashMap::new();
    for key in [
        "version",
        "build",
        "build-number",
        "channel",
        "subdir",
        "md5",
        "sha256",
        "file-name",
        "license",
        "url",
        "git",
        "path",
        "branch",
        "tag",
        "rev",
        "subdirectory",
    ] {
        if let Some((text, span)) = fields.text(key, &mut diagnostics) {
            given.insert(key, (text.to_owned(), span));
        }
    }
    fields.finish(&mut diagnostics);
    reader.diagnostics.extend(diagnostics);
    let source = ["git", "path"].into_iter().find_map(|key| given.get(key));
    let local = given.get("path").map(|(text, _)| text.as_str());
    let file =
        given.get("url").map(|(text, _)| text.as_str()).or(local).filter(|text| is_conda_package(text));
    let mut spec = match (file, source, given.get("url")) {
        (Some(file), ..) => match conda::spec_of_package(file, &reader.folder) {
            Ok(spec) => spec,
            Err(error) => {
                reader.refuse(kept.node.span, error);
                return None;
            }
        },
        (None, Some((_, span)), _) | (None, None, Some((_, span))) => {
            let message = format!("`{}` is built from source, which is not supported", shown(kept.name));
            reader.report(codes::NOT_SUPPORTED, *span, message);
            return None;
        }
        _ => {
            let version = given.get("version").map_or("*", |(text, _)| text.as_str());
            versioned(reader, kept, version)?
        }
    };
    let mut take = |key| given.remove(key).map(|(text, _)| text);
    spec.build = take("build").or(spec.build);
    spec.build_number = take("build-number").map(|number| {
        if number.starts_with(|c: char| c.is_ascii_digit()) { format!("=={number}") } else { number }
    });
    spec.subdir = take("subdir").or(spec.subdir);
    spec.file_name = take("file-name").or(spec.file_name);
    spec.license = take("license").or(spec.license);
    spec.md5 = take("md5").or(spec.md5);
    if let Some((text, span)) = given.remove("sha256") {
        if let Ok(digest) = Digest::from_hex(&text) {
            spec.sha256 = Some(digest);
        } else {
            let remark =
                crate::Diagnostic::new(codes::INVALID_HASH, "a sha256 hash has 64 hexadecimal digits")
                    .with_hint("`sha256sum FILE` prints it");
            reader.diagnostics.push(remark.at(reader.source.place(span)));
        }
    }
    if let Some((text, span)) = given.remove("channel") {
        match conda::channel_of(&text, &reader.folder) {
            Ok(channel) => spec.channel = channel,
            Err(error) => reader.refuse(span, error),
        }
    }
    // What was put together must be what the text says.
    match spec.to_string().parse::<CondaSpec>() {
        Ok(spec) => Some(spec),
        Err(error) => {
            reader.refuse(kept.node.span, error);
            None
        }
    }
}

/// A Python package, handed to the reader of requirements.
pub(super) fn pypi(reader: &mut Reader<'_>, kept: &Kept<'_>) {
    if !is_name(kept.name) || kept.name.is_empty() {
        let message = format!("`{}` is not the name of a package", shown(kept.name));
        return reader.report(codes::INVALID_REQUIREMENT, kept.node.span, message);
    }
    let mut markers = Vec::new();
    if kept.platforms.len() < reader.platforms.len() {
        let machines =
            kept.platforms.iter().map(|platform| format!("platform_machine == '{}'", platform.machine()));
        markers.push(machines.collect::<Vec<_>>().join(" or "));
    }
    let mut editable = false;
    let target = match kept.node.text() {
        Some(version) => Some(bounds(version)),
        None => pypi_table(reader, kept, &mut markers, &mut editable),
    };
    let Some(target) = target else { return };
    let marker = match &markers[..] {
        [] => String::new(),
        markers => format!(" ; ({})", markers.join(") and (")),
    };
    let text = format!("{}{target}{marker}", kept.name);
    reader.pip.read_requirement(reader.source, &text, kept.node.span, editable);
}

/// `*` is any version.
fn bounds(text: &str) -> String {
    let text = text.trim();
    if text == "*" {
        String::new()
    } else if text.starts_with(|c: char| c.is_ascii_digit()) {
        format!("=={text}")
    } else {
        text.to_owned()
    }
}

fn pypi_table(
    reader: &mut Reader<'_>,
    kept: &Kept<'_>,
    markers: &mut Vec<String>,
    editable: &mut bool,
) -> Option<String> {
    let mut diagnostics = Remarks::default();
    let what = format!("`{}`", shown(kept.name));
    let read = Fields::new(reader.source, kept.node, &what, &mut diagnostics).map(|mut fields| {
        let mut extras = Vec::new();
        for extra in fields.list("extras", &mut diagnostics).unwrap_or_default() {
            extras.push(extra.text().unwrap_or_default());
        }
        let extras = if extras.is_empty() { String::new() } else { format!("[{}]", extras.join(",")) };
        let mut given = |key| fields.text(key, &mut diagnostics).map(|(text, _)| text.to_owned());
        markers.extend(given("env-markers").or_else(|| given("markers")));
        let reference = given("rev").or_else(|| given("tag")).or_else(|| given("branch"));
        let reference = reference.map_or(String::new(), |text| format!("@{text}"));
        let fragment =
            given("subdirectory").map_or(String::new(), |folder| format!("#subdirectory={folder}"));
        let (git, url, path, version) = (given("git"), given("url"), given("path"), given("version"));
        *editable = path.is_some() && fields.node("editable").and_then(Node::as_bool) == Some(true);
        let index = fields.text("index", &mut diagnostics);
        let _ = fields.entry("editable");
        fields.finish(&mut diagnostics);
        let target = match (git, url, path) {
            (Some(git), ..) => format!(" @ {}{reference}{fragment}", repository(&git)),
            (_, Some(url), _) => format!(" @ {url}{fragment}"),
            (_, _, Some(path)) => format!(" @ {}{fragment}", relative(&path)),
            _ => version.map_or(String::new(), |version| bounds(&version)),
        };
        (format!("{extras}{target}"), index)
    });
    reader.diagnostics.extend(diagnostics);
    let (target, index) = read?;
    if let Some((url, span)) = index {
        add_index(reader.source, (url, span), false, &mut reader.pip, &mut reader.diagnostics);
        let message = format!("`{}` is taken from any index that has it", shown(kept.name));
        reader.report(codes::NOT_HONOURED, span, message);
    }
    Some(target)
}
