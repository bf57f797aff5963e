//! Which wheels fit, and which fits best: the tags of CPython on glibc Linux.
//!
//! PEP 425 and PEP 600 as the `packaging` library reads them; its order is the order of preference.

use std::collections::HashMap;

use provenv_definition::{Platform, normalise_name};

/// The tags that an interpreter takes, each with its rank: 0 is the best.
#[derive(Clone)]
pub(super) struct Tags {
    ranks: HashMap<String, usize>,
    /// `cp311`, `2.36`, `x86_64` …, for messages.
    description: String,
}

/// The parts of a wheel's file name: `name-version[-build]-python-abi-platform.whl`.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct WheelName<'a> {
    /// Normalised.
    pub name: String,
    /// As it is written, which is PEP 440's normal form or near it.
    pub version: &'a str,
    /// The number and the text of the build tag; both empty where there is none.
    pub build: (u64, &'a str),
    /// `py2.py3-none-any` and the like, still compressed.
    tags: [&'a str; 3],
}

impl<'a> WheelName<'a> {
    /// Reads a file name; `None` where it is not one of a wheel.
    pub(crate) fn parse(file: &'a str) -> Option<Self> {
        let parts: Vec<&str> = file.strip_suffix(".whl")?.split('-').collect();
        let (name, version, build, tags) = match parts[..] {
            [name, version, python, abi, platform] => (name, version, "", [python, abi, platform]),
            [name, version, build, python, abi, platform] => (name, version, build, [python, abi, platform]),
            _ => return None,
        };
        let digits = build.len() - build.trim_start_matches(|c: char| c.is_ascii_digit()).len();
        let build = (build[..digits].parse().unwrap_or(0), &build[digits..]);
        Some(Self { name: normalise_name(name), version, build, tags })
    }
}

impl Tags {
    /// The tags of CPython `python` (e.g. `(3, 11)`) on `glibc` (e.g. `2.36`).
    pub(super) fn new(python: (u32, u32), glibc: &str, platform: Platform) -> Self {
        let machine = platform.machine();
        let mut ranks = HashMap::new();
        for tag in all(python, glibc_minor(glibc), machine) {
            let rank = ranks.len();
            ranks.entry(tag).or_insert(rank);
        }
        let (major, minor) = python;
        Self { ranks, description: format!("Python {major}.{minor} on {machine} with glibc {glibc}") }
    }

    /// How well a wheel fits: its best tag's rank and its build tag, the smallest is the best. `None`: not at all.
    pub(super) fn fit<'a>(
        &self,
        wheel: &WheelName<'a>,
    ) -> Option<(usize, std::cmp::Reverse<(u64, &'a str)>)> {
        let [pythons, abis, platforms] = wheel.tags;
        let rank = pythons
            .split('.')
            .flat_map(|python| abis.split('.').map(move |abi| (python, abi)))
            .flat_map(|(python, abi)| {
                platforms.split('.').map(move |platform| format!("{python}-{abi}-{platform}"))
            })
            .filter_map(|tag| self.ranks.get(&tag).copied())
            .min()?;
        Some((rank, std::cmp::Reverse(wheel.build)))
    }

    /// For messages: `Python 3.11 on x86_64 with glibc 2.36`.
    pub(super) fn description(&self) -> &str {
        &self.description
    }
}

/// 36 for `2.36`; there has been no glibc but 2 since 1997.
pub(super) fn glibc_minor(glibc: &str) -> u32 {
    let minor = glibc.split('.').nth(1).unwrap_or_default();
    minor.parse().unwrap_or(17)
}

fn all((major, minor): (u32, u32), glibc: u32, machine: &str) -> Vec<String> {
    let platforms = platforms(glibc, machine);
    let cpython = format!("cp{major}{minor}");
    // Newest first, `py3` after the exact one.
    let mut generic = vec![format!("py{major}{minor}"), format!("py{major}")];
    generic.extend((0..minor).rev().map(|minor| format!("py{major}{minor}")));

    let mut tags = Vec::new();
    let mut add = |python: &str, abi: &str, platforms: &[String]| {
        tags.extend(platforms.iter().map(|platform| format!("{python}-{abi}-{platform}")));
    };
    add(&cpython, &cpython, &platforms);
    add(&cpython, "abi3", &platforms);
    add(&cpython, "none", &platforms);
    for older in (2..minor).rev() {
        add(&format!("cp{major}{older}"), "abi3", &platforms);
    }
    for python in &generic {
        add(python, "none", &platforms);
    }
    let any = ["any".to_owned()];
    add(&cpython, "none", &any);
    for python in &generic {
        add(python, "none", &any);
    }
    tags
}

/// PEP 600, with the names that came before it: `manylinux2014` is `manylinux_2_17`.
fn platforms(glibc: u32, machine: &str) -> Vec<String> {
    let oldest = if machine == "x86_64" { 5 } else { 17 };
    let mut platforms = Vec::new();
    for minor in (oldest..=glibc).rev() {
        platforms.push(format!("manylinux_2_{minor}_{machine}"));
        let alias = match minor {
            17 => "manylinux2014",
            12 => "manylinux2010",
            5 => "manylinux1",
            _ => continue,
        };
        platforms.push(format!("{alias}_{machine}"));
    }
    platforms.push(format!("linux_{machine}"));
    platforms
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Made by `packaging.tags` with the interpreter, glibc and machine that the file's name says.
    #[test]
    fn order_is_that_of_packaging() {
        for (python, glibc, machine, golden) in [
            ((3, 11), 36, "x86_64", include_str!("../../tests/tags/cp311-2.36-x86_64.txt")),
            ((3, 9), 31, "aarch64", include_str!("../../tests/tags/cp39-2.31-aarch64.txt")),
            ((3, 13), 41, "x86_64", include_str!("../../tests/tags/cp313-2.41-x86_64.txt")),
        ] {
            let golden: Vec<&str> = golden.lines().collect();
            assert_eq!(all(python, glibc, machine), golden);
        }
    }

    fn best<'a>(tags: &Tags, files: &[&'a str]) -> Option<&'a str> {
        let fits = |file: &&'a str| Some((tags.fit(&WheelName::parse(file)?)?, *file));
        files.iter().filter_map(fits).min().map(|(_, file)| file)
    }

    #[test]
    fn the_most_specific_wheel_is_taken() {
        let tags = Tags::new((3, 11), "2.36", Platform::LinuxAmd64);
        let files = [
            "a-1-py3-none-any.whl",
            "a-1-cp37-abi3-manylinux_2_17_x86_64.manylinux2014_x86_64.whl",
            "a-1-cp311-cp311-manylinux_2_28_x86_64.whl",
            "a-1-cp311-cp311-manylinux_2_17_x86_64.whl",
            "a-1-cp311-cp311-manylinux_2_38_x86_64.whl",
            "a-1-cp311-cp311-musllinux_1_2_x86_64.whl",
            "a-1-cp312-cp312-manylinux_2_17_x86_64.whl",
        ];
        assert_eq!(best(&tags, &files), Some(files[2]));
        assert_eq!(best(&tags, &files[..2]), Some(files[1]));
        assert_eq!(best(&tags, &files[4..]), None);
    }

    #[test]
    fn the_highest_build_is_taken() {
        let tags = Tags::new((3, 11), "2.36", Platform::LinuxAmd64);
        let files = [
            "a-1-2-py3-none-any.whl",
            "a-1-10-py3-none-any.whl",
            "a-1-py3-none-any.whl",
            "a-1-9b-py3-none-any.whl",
        ];
        assert_eq!(best(&tags, &files), Some(files[1]));
    }

    #[test]
    fn names_are_read_and_others_refused() {
        let name = WheelName::parse("Foo_Bar-1.0+x-1a-py2.py3-none-any.whl").unwrap();
        assert_eq!((&*name.name, name.version, name.build), ("foo-bar", "1.0+x", (1, "a")));
        for bad in ["a.whl", "a-1-py3-none.whl", "a-1.tar.gz", "a-1-2-3-py3-none-any.whl", ""] {
            assert_eq!(WheelName::parse(bad), None, "{bad}");
        }
    }
}
