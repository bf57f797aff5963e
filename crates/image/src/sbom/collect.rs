//! From a lock, and what its packages say of themselves, to the components of a bill of materials.

use std::collections::BTreeMap;

use provenv_definition::{Digest, SafeUrl, normalise_name};
use provenv_lock::{
    Artifact, BaseLock, CondaPackage, DebPackage, PlatformLock, PostLink, PypiPackage, PypiSource,
};

use super::purl::purl;
use super::{Bill, Component, Kind, Subject, debian_release, needs};
use crate::about::{About, LicenseName, Part, PartKind, is_distribution};
use crate::oci::ImageConfig;

pub(super) fn collect(subject: &Subject<'_>) -> Bill {
    let lock = subject.lock;
    let mut bill = Bill {
        manifest: subject.manifest,
        lock: subject.lock_digest,
        components: vec![image(subject), system(lock)],
        contains: vec![(0, 1)],
        needs: Vec::new(),
        unread: 0,
    };
    for package in &lock.debian {
        let about = subject.known.get(&package.artifact.sha256);
        bill.add(deb(package, lock, about, subject), about, lock);
    }
    for package in &lock.conda {
        let about = subject.known.get(&package.artifact.sha256);
        bill.add(conda(package, about), about, lock);
    }
    for package in &lock.pypi {
        let about = subject.known.get(package.digest());
        bill.add(pypi(package, about), about, lock);
    }
    if let Some(PostLink::Run { layer: Some(layer) }) = &lock.post_link {
        let mut component = component(Kind::Layer, "conda-post-link", "", &layer.sha256);
        component.sha256 = Some(layer.sha256);
        component.summary = Some("What post-link scripts of conda packages left.".to_owned());
        bill.contains.push((0, bill.components.len()));
        bill.components.push(component);
    }
    bill.needs = needs::of(&bill.components, &bill.contains, subject);
    bill
}

impl Bill {
    /// Adds a package of the image, and what is in it.
    fn add(&mut self, component: Component, about: Option<&About>, lock: &PlatformLock) {
        let place = self.components.len();
        let (kind, sha256) = (component.kind, component.sha256);
        self.contains.push((0, place));
        self.components.push(component);
        let Some(about) = about else {
            self.unread += 1;
            return;
        };
        for part in &about.parts {
            if kind == Kind::Conda && is_replaced(part, lock) {
                continue;
            }
            self.contains.push((place, self.components.len()));
            self.components.push(of_part(part, sha256.as_ref()));
        }
    }
}

/// Whether a package of pip's took the place of a distribution that conda brought.
fn is_replaced(part: &Part, lock: &PlatformLock) -> bool {
    let name = normalise_name(&part.name);
    lock.python.as_ref().is_some_and(|python| is_distribution(part, python))
        && lock.pypi.iter().any(|package| package.name == name)
}

fn component(kind: Kind, name: &str, version: &str, sha256: &Digest) -> Component {
    let plain = |c: char| if c.is_ascii_alphanumeric() || c == '.' { c } else { '-' };
    let readable: String = name.chars().take(60).map(plain).collect();
    Component {
        id: format!("{}-{readable}-{}", kind.as_str(), &sha256.hex()[..16]),
        kind,
        name: name.to_owned(),
        version: version.to_owned(),
        purl: None,
        sha256: None,
        md5: None,
        download: None,
        licenses: Vec::new(),
        maker: None,
        homepage: None,
        summary: None,
        source: None,
        built_from: None,
        path: None,
        requested: false,
    }
}

fn with(mut component: Component, about: Option<&About>) -> Component {
    if let Some(about) = about {
        component.licenses.clone_from(&about.licenses);
        component.maker.clone_from(&about.maker);
        component.homepage.clone_from(&about.homepage);
        component.summary.clone_from(&about.summary);
        component.source.clone_from(&about.source);
    }
    component
}

fn image(subject: &Subject<'_>) -> Component {
    let title = ImageConfig::of(subject.lock).labels.remove("org.opencontainers.image.title");
    let mut image =
        component(Kind::Image, &title.unwrap_or_default(), &subject.manifest.to_string(), &subject.manifest);
    image.id = format!("image-{}", &subject.manifest.hex()[..16]);
    image.sha256 = Some(subject.manifest);
    image.summary =
        Some(format!("The image assembled from lock {} for {}.", subject.lock_digest, subject.platform));
    image
}

/// The distribution that the base is of.
fn system(lock: &PlatformLock) -> Component {
    let BaseLock::Debian { suite } = &lock.base;
    let release = debian_release(&suite.0).unwrap_or(&suite.0);
    let mut system = component(Kind::System, "debian", release, &Digest::of(suite.0.as_bytes()));
    system.id = format!("system-debian-{}", release.replace(|c: char| !c.is_ascii_alphanumeric(), "-"));
    system.summary = Some(format!("Debian {suite}, of which the base's packages are."));
    system.homepage = Some("https://www.debian.org/".to_owned());
    system
}

fn deb(package: &DebPackage, lock: &PlatformLock, about: Option<&About>, subject: &Subject<'_>) -> Component {
    let BaseLock::Debian { suite } = &lock.base;
    let distro =
        debian_release(&suite.0).map_or_else(|| suite.0.clone(), |release| format!("debian-{release}"));
    let made = component(Kind::Deb, &package.name, &package.version, &package.artifact.sha256);
    let mut made = with(made, about);
    // As scanners write it: the source package where it is called otherwise, or has another version.
    let upstream = made.source.as_ref().map(|(name, version)| {
        match (name == &package.name, version == &package.version) {
            (true, true) => String::new(),
            (_, true) => name.clone(),
            (_, false) => format!("{name}@{version}"),
        }
    });
    let qualifiers = [
        ("arch", &*package.architecture),
        ("distro", &distro),
        ("upstream", upstream.as_deref().unwrap_or_default()),
    ];
    made.purl =
        Some(purl("deb", Some("debian"), &package.name.to_lowercase(), &package.version, &qualifiers));
    fetched(&mut made, &package.artifact);
    // `libstdc++6` leaves it to `gcc-12-base`.
    if let Some(other) = about.and_then(|about| about.copyright_of.as_deref()) {
        made.licenses = licenses_of(other, lock, subject);
    }
    made
}

/// The licences of another Debian package of the lock.
fn licenses_of(name: &str, lock: &PlatformLock, subject: &Subject<'_>) -> Vec<LicenseName> {
    let other = lock.debian.iter().find(|package| package.name == name);
    let about = other.and_then(|package| subject.known.get(&package.artifact.sha256));
    about.map(|about| about.licenses.clone()).unwrap_or_default()
}

fn conda(package: &CondaPackage, about: Option<&About>) -> Component {
    let made = component(Kind::Conda, &package.name, &package.version, &package.artifact.sha256);
    let mut made = with(made, about);
    let url = &package.artifact.url;
    let kind = match url.file_name() {
        Some(file) if file.ends_with(".tar.bz2") => "tar.bz2",
        _ => "conda",
    };
    let qualifiers =
        [("build", &*package.build), ("channel", channel(url)), ("subdir", &package.subdir), ("type", kind)];
    made.purl = Some(purl("conda", None, &package.name.to_lowercase(), &package.version, &qualifiers));
    made.requested = package.requested;
    fetched(&mut made, &package.artifact);
    made.md5.clone_from(&package.md5);
    made
}

/// The channel's own name, as in `https://conda.anaconda.org/conda-forge/linux-64/…`.
fn channel(url: &SafeUrl) -> &str {
    let segments: Vec<&str> = url.as_url().path_segments().into_iter().flatten().collect();
    segments.len().checked_sub(3).map_or("", |place| segments[place])
}

fn pypi(package: &PypiPackage, about: Option<&About>) -> Component {
    let made = component(Kind::Pypi, &package.name, &package.version, package.digest());
    let mut made = with(made, about);
    made.purl = Some(purl("pypi", None, &package.name, &package.version, &[]));
    made.requested = package.requested;
    match &package.source {
        PypiSource::Wheel(artifact) => fetched(&mut made, artifact),
        PypiSource::Built { sha256, sdist, repository, .. } => {
            made.sha256 = Some(*sha256);
            let from_sdist = || {
                let sdist = sdist.as_ref()?;
                let place = public(&sdist.url).unwrap_or_else(|| "a source distribution".to_owned());
                Some(format!("{place} ({})", sdist.sha256))
            };
            // What a repository's URL may hold of a secret was taken off when it was locked.
            made.built_from = repository
                .clone()
                .or_else(from_sdist)
                .or_else(|| Some("a folder of the definition".to_owned()));
        }
    }
    made
}

fn of_part(part: &Part, package: Option<&Digest>) -> Component {
    let package = package.map(Digest::hex).unwrap_or_default();
    let place = Digest::of(format!("{package}\n{}", part.path).as_bytes());
    let (kind, name, purl) = match part.kind {
        PartKind::Pypi => {
            let name = normalise_name(&part.name);
            let purl = purl("pypi", None, &name, &part.version, &[]);
            (Kind::Pypi, name, purl)
        }
        PartKind::Npm => {
            let (scope, name) = match part.name.split_once('/') {
                Some((scope, name)) => (Some(scope), name),
                None => (None, &*part.name),
            };
            (Kind::Npm, part.name.clone(), purl("npm", scope, name, &part.version, &[]))
        }
    };
    let mut made = component(kind, &name, &part.version, &place);
    made.purl = Some(purl);
    made.licenses.clone_from(&part.licenses);
    made.summary.clone_from(&part.summary);
    made.homepage.clone_from(&part.homepage);
    made.maker.clone_from(&part.maker);
    made.path = Some(part.path.clone());
    made
}

fn fetched(component: &mut Component, artifact: &Artifact) {
    component.sha256 = Some(artifact.sha256);
    component.download = public(&artifact.url);
}

/// A URL for others to read: without users, variables of a login, and folders of this machine.
fn public(url: &SafeUrl) -> Option<String> {
    let mut url = url.as_url().clone();
    if url.scheme() == "file" {
        return None;
    }
    if matches!(url.scheme(), "http" | "https") {
        // Both fail only for URLs without a host.
        let _ = url.set_username("");
        let _ = url.set_password(None);
    }
    url.set_query(None);
    Some(url.to_string())
}

/// The components that stand for a name, by kind: those of the image before those in other packages.
pub(super) fn by_name(components: &[Component]) -> BTreeMap<(Kind, &str), Vec<usize>> {
    let mut names: BTreeMap<(Kind, &str), Vec<usize>> = BTreeMap::new();
    for (place, component) in components.iter().enumerate() {
        names.entry((component.kind, &component.name)).or_default().push(place);
    }
    names
}
