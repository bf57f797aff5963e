//! From a lock, and what its packages say of themselves, to the components of a bill of materials.

use std::collections::BTreeMap;

use provenv_definition::{Digest, SafeUrl, normalise_name};
use provenv_lock::{
    Artifact, BaseLock, CondaPackage, DebPackage, DockerfileLock, ImageLock, PlatformLock, PostLink,
    PypiPackage, PypiSource,
};

use super::purl::purl;
use super::{Bill, Component, Kind, Subject, debian_release, needs};
use crate::about::{About, LicenseName, Part, PartKind, is_distribution};
use crate::form::Form;
use crate::oci::ImageConfig;

pub(super) fn collect(subject: &Subject<'_>) -> Bill {
    let lock = subject.lock;
    let mut bill = Bill {
        manifest: subject.manifest,
        lock: subject.lock_digest,
        components: vec![image(subject)],
        contains: Vec::new(),
        needs: Vec::new(),
        unread: Vec::new(),
    };
    let system = System::of(subject);
    if !system.id.is_empty() {
        bill.contains.push((0, bill.components.len()));
        bill.components.push(system.component());
    }
    if let Some(manifest) = lock.base.manifest() {
        let about = subject.known.get(manifest);
        let base = match &lock.base {
            BaseLock::Dockerfile(made) => dockerfile(made, about),
            BaseLock::Image(image) => base(image, about, subject),
            BaseLock::Debian { .. } => unreachable!("it is of packages, and has no manifest"),
        };
        bill.add(base, about, lock, &system);
    }
    for package in &lock.debian {
        let about = subject.known.get(&package.artifact.sha256);
        bill.add(deb(package, &system, about, subject), about, lock, &system);
    }
    for package in &lock.conda {
        let about = subject.known.get(&package.artifact.sha256);
        bill.add(conda(package, about), about, lock, &system);
    }
    for package in &lock.pypi {
        let about = subject.known.get(package.digest());
        bill.add(pypi(package, about), about, lock, &system);
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
    fn add(&mut self, component: Component, about: Option<&About>, lock: &PlatformLock, system: &System) {
        let place = self.components.len();
        let (kind, sha256) = (component.kind, component.sha256);
        self.contains.push((0, place));
        self.components.push(component);
        let Some(about) = about else {
            self.unread.push(place);
            return;
        };
        for part in &about.parts {
            if kind == Kind::Conda && is_replaced(part, lock) {
                continue;
            }
            self.contains.push((place, self.components.len()));
            self.components.push(of_part(part, sha256.as_ref(), system));
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
    let title =
        ImageConfig::of(subject.lock, Form::default()).labels.remove("org.opencontainers.image.title");
    let mut image =
        component(Kind::Image, &title.unwrap_or_default(), &subject.manifest.to_string(), &subject.manifest);
    image.id = format!("image-{}", &subject.manifest.hex()[..16]);
    image.sha256 = Some(subject.manifest);
    image.summary =
        Some(format!("The image assembled from lock {} for {}.", subject.lock_digest, subject.platform));
    image
}

/// The distribution that system packages are of; without a name where nobody says it.
struct System {
    /// `debian`, `ubuntu`.
    id: String,
    /// `12`, or the suite where that has no number.
    version: String,
    /// As people call it.
    title: String,
}

impl System {
    fn of(subject: &Subject<'_>) -> Self {
        match &subject.lock.base {
            BaseLock::Debian { suite } => Self {
                id: "debian".to_owned(),
                version: debian_release(&suite.0).unwrap_or(&suite.0).to_owned(),
                title: format!("Debian {suite}"),
            },
            BaseLock::Image(ImageLock { manifest, .. })
            | BaseLock::Dockerfile(DockerfileLock { manifest, .. }) => {
                let about = subject.known.get(manifest);
                let (id, version) = about.and_then(|about| about.system.clone()).unwrap_or_default();
                let title = about.and_then(|about| about.summary.clone()).unwrap_or_else(|| id.clone());
                Self { id, version, title }
            }
        }
    }

    fn component(&self) -> Component {
        let plain = |text: &str| text.replace(|c: char| !c.is_ascii_alphanumeric() && c != '.', "-");
        let place = Digest::of(format!("{} {}", self.id, self.version).as_bytes());
        let mut system = component(Kind::System, &self.id, &self.version, &place);
        system.id = format!("system-{}-{}", plain(&self.id), plain(&self.version));
        system.summary = Some(format!("{}, which system packages are of.", self.title));
        system
    }

    /// The package URL of a Debian package of it.
    fn deb(
        &self,
        name: &str,
        version: &str,
        architecture: &str,
        source: Option<&(String, String)>,
    ) -> String {
        // As scanners write it: the source package where it is called otherwise, or has another version.
        let upstream = source.map(|(of, at)| match (of == name, at == version) {
            (true, true) => String::new(),
            (_, true) => of.clone(),
            (_, false) => format!("{of}@{at}"),
        });
        let distro = if self.version.starts_with(|c: char| c.is_ascii_digit()) {
            format!("{}-{}", self.id, self.version)
        } else {
            self.version.clone()
        };
        let upstream = upstream.unwrap_or_default();
        let qualifiers = [("arch", architecture), ("distro", &*distro), ("upstream", &*upstream)];
        purl(
            "deb",
            Some(&self.id).filter(|id| !id.is_empty()).map(String::as_str),
            &name.to_lowercase(),
            version,
            &qualifiers,
        )
    }
}

/// The image of a registry that the image stands on.
fn base(image: &ImageLock, about: Option<&About>, subject: &Subject<'_>) -> Component {
    let (name, tag) = image.name_and_tag();
    let mut base = with(component(Kind::Base, name, tag, &image.manifest), about);
    let last = name.rsplit('/').next().unwrap_or(name).to_lowercase();
    let qualifiers = [("arch", subject.platform.architecture()), ("repository_url", name), ("tag", tag)];
    base.purl = Some(purl("oci", None, &last, &image.manifest.to_string(), &qualifiers));
    base.sha256 = Some(image.manifest);
    base
}

/// What a Dockerfile made, with the images that it began from.
fn dockerfile(made: &DockerfileLock, about: Option<&About>) -> Component {
    let mut base = with(component(Kind::Base, "Dockerfile", &made.manifest.short(), &made.manifest), about);
    base.sha256 = Some(made.manifest);
    let from: Vec<String> = made.from.iter().map(ImageLock::pinned).collect();
    base.built_from = (!from.is_empty()).then(|| from.join(", "));
    base
}

fn deb(package: &DebPackage, system: &System, about: Option<&About>, subject: &Subject<'_>) -> Component {
    let made = component(Kind::Deb, &package.name, &package.version, &package.artifact.sha256);
    let mut made = with(made, about);
    made.purl =
        Some(system.deb(&package.name, &package.version, &package.architecture, made.source.as_ref()));
    fetched(&mut made, &package.artifact);
    // `libstdc++6` leaves it to `gcc-12-base`.
    if let Some(other) = about.and_then(|about| about.copyright_of.as_deref()) {
        made.licenses = licenses_of(other, subject.lock, subject);
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

fn of_part(part: &Part, package: Option<&Digest>, system: &System) -> Component {
    let package = package.map(Digest::hex).unwrap_or_default();
    let place = Digest::of(format!("{package}\n{}\n{}", part.path, part.name).as_bytes());
    let (kind, name, purl) = match part.kind {
        PartKind::Pypi => {
            let name = normalise_name(&part.name);
            let purl = purl("pypi", None, &name, &part.version, &[]);
            (Kind::Pypi, name, purl)
        }
        PartKind::Deb => {
            let architecture = part.architecture.as_deref().unwrap_or_default();
            let purl = system.deb(&part.name, &part.version, architecture, part.source.as_ref());
            (Kind::Deb, part.name.clone(), purl)
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
    made.source.clone_from(&part.source);
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
