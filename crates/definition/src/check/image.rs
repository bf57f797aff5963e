//! Checks of base images.

use crate::secrets::shown;
use crate::{Diagnostic, codes};

/// All there is to say about the image `reference`.
pub(super) fn image(reference: &str) -> impl Iterator<Item = Diagnostic> {
    // A variable or a template may stand for anything.
    let known = !reference.contains(['$', '{']) && reference != "scratch";
    known.then(|| moving_tag(reference).into_iter().chain(deprecated(reference))).into_iter().flatten()
}

fn moving_tag(reference: &str) -> Option<Diagnostic> {
    let name = reference.rsplit('/').next().unwrap_or_default();
    if name.contains('@') {
        return None;
    }
    let message = match name.split_once(':') {
        None => "the image has no tag, which means `latest`",
        Some((_, "latest")) => "the tag `latest` moves",
        Some(_) => return None,
    };
    Some(
        Diagnostic::new(codes::MOVING_TAG, message).with_hint("name a version, or a digest with `@sha256:…`"),
    )
}

/// Code names and versions of releases without security fixes, long-term support included.
const DEBIAN: &[&str] = &["wheezy", "jessie", "stretch", "buster", "bullseye", "7", "8", "9", "10", "11"];
const UBUNTU: &[&str] = &[
    "12.04", "14.04", "16.04", "18.04", "20.04", "precise", "trusty", "xenial", "bionic", "focal", "19.04",
    "19.10", "20.10", "21.04", "21.10", "22.10", "23.04", "23.10", "24.10", "25.04",
];
const CENTOS: &[&str] = &["5", "6", "7", "8", "stream8", "centos5", "centos6", "centos7", "centos8"];
const ALPINE_LAST: u32 = 19;

fn deprecated(reference: &str) -> Option<Diagnostic> {
    let reference = reference.split('@').next().unwrap_or_default();
    let (path, tag) = match reference.rsplit_once(':').filter(|(_, tag)| !tag.contains('/')) {
        Some((path, tag)) => (path, tag),
        None => (reference, ""),
    };
    let name = path.rsplit('/').next().unwrap_or_default();
    let official = path.split('/').count() == 1
        || ["library/", "docker.io/library/", "public.ecr.aws/docker/library/"]
            .iter()
            .any(|prefix| path.strip_prefix(prefix) == Some(name));
    let words: Vec<&str> = tag.split(['-', '_']).collect();
    let release = words.first().copied().unwrap_or_default();
    let (why, hint) = if path.starts_with("mcr.microsoft.com/azureml/") {
        (azure(name, tag)?, "take `mcr.microsoft.com/azureml/openmpi4.1.0-ubuntu22.04` with a dated tag")
    } else if name == "centos" && (official || path.starts_with("quay.io/")) {
        let ended = tag.is_empty() || tag == "latest" || CENTOS.iter().any(|known| major_is(release, known));
        (ended.then(|| "CentOS is out of support".to_owned())?, "take a distribution that is kept up")
    } else if !official {
        return None;
    } else if name == "python" && (tag == "2" || words[0].starts_with("2.") || words[0].starts_with("2-")) {
        ("Python 2 is out of support".to_owned(), "take a Python 3 that is kept up")
    } else if name == "debian" && DEBIAN.iter().any(|known| major_is(release, known)) {
        (format!("Debian {} is out of support", shown(release)), "take a Debian that is kept up")
    } else if name == "ubuntu" && UBUNTU.contains(&release) {
        (format!("Ubuntu {} is out of support", shown(release)), "take a newer release, e.g. 24.04")
    } else if name == "alpine" {
        let minor = release.strip_prefix("3.")?.split('.').next()?.parse::<u32>().ok()?;
        (minor < ALPINE_LAST).then_some(())?;
        (format!("Alpine 3.{minor} is out of support"), "take a newer release")
    } else {
        let word = words.iter().skip(1).find(|word| DEBIAN[..4].contains(*word))?;
        (format!("Debian {} is out of support", shown(word)), "take the same on a Debian that is kept up")
    };
    Some(Diagnostic::new(codes::DEPRECATED_IMAGE, why).with_hint(hint))
}

/// Whether `release` is `known`, or a minor release of it.
fn major_is(release: &str, known: &str) -> bool {
    release.strip_prefix(known).is_some_and(|rest| rest.is_empty() || rest.starts_with('.'))
}

/// Azure ML's own images: what its documentation calls deprecated.
fn azure(name: &str, tag: &str) -> Option<String> {
    let text = format!("{name}:{tag}");
    let old = ["ubuntu16.04", "ubuntu18.04", "ubuntu20.04"].into_iter().find(|word| text.contains(word));
    if matches!(name, "base" | "base-gpu" | "base-lite" | "o16n-base") || name.starts_with("intelmpi") {
        Some(format!("the image `{}` of Azure ML is deprecated", shown(name)))
    } else if let Some(old) = old {
        let release = old.trim_start_matches("ubuntu");
        Some(format!("Ubuntu {release}, on which the image stands, is out of support"))
    } else if name.starts_with("openmpi3.") || name.starts_with("openmpi2.") {
        Some("images of Azure ML with OpenMPI before 4.1 are deprecated".to_owned())
    } else {
        ["py36", "py37", "py38", "py39"]
            .iter()
            .any(|word| name.contains(word))
            .then(|| "the Python in the image is out of support".to_owned())
    }
}
