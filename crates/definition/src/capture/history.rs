//! `conda-meta/history`: what was asked of conda, in its order.
//!
//! conda and micromamba write a comment for each change: `# cmd: conda install -c conda-forge numpy`, and
//! `# update specs: ['numpy']` or `# remove specs: ['numpy']`. The last word on a package counts (conda's
//! `History.get_requested_specs_map`).

use indexmap::IndexMap;

use crate::{Place, Source, Span};

/// What a history says.
#[derive(Debug, Default)]
pub(super) struct History {
    /// The spec that was asked for of each package, by the package's name, in the order of first asking.
    pub specs: IndexMap<String, (String, Place)>,
    /// Channels that commands named, the first of the last command first.
    pub channels: Vec<String>,
}

impl History {
    pub(super) fn parse(source: &Source) -> Self {
        let mut history = Self::default();
        let mut commands: Vec<Vec<String>> = Vec::new();
        for (index, line) in source.lines().enumerate() {
            let Some(comment) = line.strip_prefix('#').map(str::trim) else { continue };
            let Some((key, value)) = comment.split_once(':') else { continue };
            let value = value.trim();
            match key.trim() {
                "cmd" => commands.push(channels_of(value)),
                "update specs" | "install specs" | "create specs" | "neutered specs" => {
                    let column = line.len() - value.len();
                    let span = Span {
                        line: index + 1,
                        column: line[..column].chars().count() + 1,
                        length: value.chars().count().max(1),
                    };
                    for spec in specs(value) {
                        if let Some(name) = name_of(&spec) {
                            history
                                .specs
                                .insert(name, (spec, Place { line_text: None, ..source.place(span) }));
                        }
                    }
                }
                "remove specs" | "uninstall specs" => {
                    for name in specs(value).iter().filter_map(|spec| name_of(spec)) {
                        history.specs.shift_remove(&name);
                    }
                }
                _ => {}
            }
        }
        for channel in commands.into_iter().rev().flatten() {
            if !history.channels.contains(&channel) {
                history.channels.push(channel);
            }
        }
        history
    }
}

/// `-c NAME`, `-cNAME`, `--channel NAME`, `--channel=NAME` of a command line.
fn channels_of(command: &str) -> Vec<String> {
    let mut words = command.split_whitespace();
    let mut channels = Vec::new();
    while let Some(word) = words.next() {
        let channel = match word {
            "-c" | "--channel" => words.next(),
            _ => word.strip_prefix("--channel=").or_else(|| word.strip_prefix("-c")),
        };
        channels.extend(channel.filter(|channel| !channel.is_empty()).map(str::to_owned));
    }
    channels
}

/// A list as Python or JSON writes it; older conda wrote specs with commas between them.
fn specs(value: &str) -> Vec<String> {
    match value.strip_prefix('[') {
        Some(list) => quoted(list),
        None => separated(value),
    }
}

/// The texts in quotes of `'a', "b"]`.
fn quoted(list: &str) -> Vec<String> {
    let mut texts = Vec::new();
    let mut characters = list.chars();
    while let Some(quote) = characters.by_ref().find(|c| matches!(c, '\'' | '"')) {
        let mut text = String::new();
        while let Some(c) = characters.next().filter(|c| *c != quote) {
            let c = if c == '\\' { characters.next().unwrap_or(c) } else { c };
            text.push(c);
        }
        texts.push(text);
    }
    texts
}

/// `numpy >=1.2,<2,scipy`: what begins as a bound goes on with the spec before.
fn separated(value: &str) -> Vec<String> {
    let mut specs: Vec<String> = Vec::new();
    for part in value.split(',').map(str::trim).filter(|part| !part.is_empty()) {
        let goes_on = part.starts_with(|c: char| c.is_ascii_digit() || "<>=!~*".contains(c));
        match specs.last_mut().filter(|_| goes_on) {
            Some(last) => {
                last.push(',');
                last.push_str(part);
            }
            None => specs.push(part.to_owned()),
        }
    }
    specs
}

/// The package that a spec is about.
pub(super) fn name_of(spec: &str) -> Option<String> {
    let bare = spec.split('[').next().unwrap_or_default();
    let name = if bare.contains("://") {
        // `name-version-build.conda`
        let file = bare.rsplit('/').next()?.split('#').next()?;
        file.rsplitn(3, '-').nth(2)?
    } else {
        let rest = bare.rsplit_once("::").map_or(bare, |(_, rest)| rest).trim();
        &rest[..rest.find(|c: char| c.is_whitespace() || "=<>!~,|".contains(c)).unwrap_or(rest.len())]
    };
    let valid = !name.is_empty() && name.chars().all(|c| c.is_ascii_alphanumeric() || "._-".contains(c));
    valid.then(|| name.to_ascii_lowercase())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_last_word_on_a_package_counts() {
        let history = History::parse(&Source::new(
            "history",
            "==> 2024-01-01 10:00:00 <==\n\
             # cmd: /opt/conda/bin/conda create -n x -c pytorch -cnvidia python=3.9 numpy\n\
             # conda version: 23.1.0\n\
             +defaults/linux-64::numpy-1.2-0\n\
             # update specs: ['numpy', 'python=3.9', \"scipy[version='>=1']\"]\n\
             ==> 2024-01-02 10:00:00 <==\n\
             # cmd: conda install --channel=conda-forge --channel pytorch numpy>1.20\n\
             # update specs: [\"numpy[version='>1.20,<2']\"]\n\
             # cmd: conda remove scipy\n\
             # remove specs: ['scipy']\n\
             # install specs: pandas >=1,<2,Pillow\n",
        ));
        let specs: Vec<_> = history.specs.values().map(|(spec, place)| (&**spec, place.span.line)).collect();
        assert_eq!(
            specs,
            [("numpy[version='>1.20,<2']", 8), ("python=3.9", 5), ("pandas >=1,<2", 11), ("Pillow", 11)]
        );
        assert_eq!(history.channels, ["conda-forge", "pytorch", "nvidia"]);
    }

    #[test]
    fn names_are_found_in_every_spelling() {
        for (spec, name) in [
            ("numpy", Some("numpy")),
            ("NumPy>=1", Some("numpy")),
            ("conda-forge/linux-64::numpy==1.2=py_0[md5=aa]", Some("numpy")),
            ("https://host.test/c/linux-64/left-pad-1.2-py_0.conda#aa", Some("left-pad")),
            ("numpy 1.2.*", Some("numpy")),
            ("*", None),
            ("", None),
        ] {
            assert_eq!(name_of(spec).as_deref(), name, "{spec}");
        }
    }
}
