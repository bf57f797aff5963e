//! URLs of conda packages after `@EXPLICIT`.

use std::fmt::Write as _;

use super::Chosen;
use crate::write::{NotCarried, WrittenFile, subdir};
use crate::{LockedArtifacts, Platform};

pub(super) fn write(chosen: &Chosen<'_>, rest: &mut Vec<NotCarried>) -> WrittenFile {
    let platform = chosen.platforms.first().copied().unwrap_or_default();
    let mut note =
        |what: String, why: &str| rest.push(NotCarried { what, why: why.to_owned(), counts: true });
    for other in chosen.platforms.iter().skip(1) {
        note(format!("the packages for {other}"), "the file is for one platform: --platform says which");
    }
    let LockedArtifacts { conda: _, pypi, requires_python: _ } = chosen.artifacts;
    if !pypi.is_empty() {
        note(format!("the packages of PyPI ({})", pypi.len()), "the file names conda packages only");
    }
    WrittenFile::new("explicit.txt", text(chosen, platform))
}

fn text(chosen: &Chosen<'_>, platform: Platform) -> String {
    let mut text = format!(
        "# This file may be used to create an environment using:\n\
         # $ conda create --name <env> --file <this file>\n\
         # platform: {}\n\
         @EXPLICIT\n",
        subdir(platform)
    );
    for package in chosen.conda_on(platform) {
        let url = &package.url;
        let _ = match (&package.sha256, &package.md5) {
            (Some(sha256), _) => writeln!(text, "{url}#sha256:{}", sha256.hex()),
            (None, Some(md5)) => writeln!(text, "{url}#{md5}"),
            (None, None) => writeln!(text, "{url}"),
        };
    }
    text
}
