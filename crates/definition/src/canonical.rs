//! The canonical form of a definition, and its digest.
//!
//! The definition digest is the sha256 of the bytes that this page defines. Two files that ask for the same thing
//! have the same digest, however they are spelt; another language can compute it from this page alone, and
//! `tests/golden/` holds vectors to try it on.
//!
//! # Encoding
//!
//! There are three kinds of values. Lengths and counts are unsigned, eight bytes, most significant first.
//!
//! | value | bytes |
//! |---|---|
//! | text | `T`, length in bytes, the text in UTF-8 |
//! | list | `L`, count, the items one after another |
//! | record | `R`, count of fields, each field: length of its name, its name, its value; in the order of the names' bytes |
//!
//! A field whose value is an empty text, list or record is left out. So a new section, empty where nobody asks for
//! it, changes no digest that exists. A **set** is a list whose items are sorted by their encoded bytes and occur
//! once. A **flag** is the text `true`, or left out.
//!
//! The canonical bytes are the domain tag `provenv definition` and a zero byte, the epoch (eight bytes: 2 of a user-managed
//! definition, 1 of any other), and the record *definition*. Whatever would change the bytes of an existing definition needs
//! a new epoch. (In epoch 1 a user-managed definition had the bytes of one that asks for no packages, which is another
//! image: that one has a virtual environment.)
//!
//! # Fields
//!
//! *definition*: `base` (record *base*), `conda` (record *conda*), `pip` (record *pip*), `platforms` (set of texts such as `linux/arm64`;
//! left out where it holds `linux/amd64` alone, which an empty list also means), `python` (text, as `3.11`), `r`
//! (record *r*), `spark` (record *spark*), `system_packages` (set of texts, `name` or `name=version`), `user_managed` (flag). Of a user-managed
//! definition `conda`, `pip` and `python` are left out: nothing of them is installed.
//!
//! *base*: `kind` (`debian`, `image`, `dockerfile` or `context`), `suite` (text; left out where any suite will do, which
//! is another question than a given one), `reference` (text as the model has it; `:latest` is added where it has neither tag
//! nor digest), `text` (the Dockerfile, line breaks as one line feed), `dockerfile` (text, the Dockerfile's path in the
//! context), `content` (text, the digest of a context folder's content, see below), `url` (text, where a context that is
//! no folder is).
//!
//! `content` is the sha256 of the domain tag `provenv context` and a zero byte, the epoch (eight bytes, now 1), and a
//! record in the encoding above: `dockerfile` (text, the digest of the Dockerfile's bytes) and `entries` (list of *entry*,
//! sorted by the bytes of their paths). An entry is each file, folder and link that Docker would send: those that
//! `.dockerignore` leaves out are no entries, and a folder that it leaves out is one only if something in it is. The
//! Dockerfile and `.dockerignore` are entries like other files. *entry*: `content` (text, the digest of a file's bytes),
//! `executable` (flag; anybody may execute the file), `kind` (`file`, `folder` or `link`), `path` (text, relative, with
//! `/`), `target` (text, a link's, as it is written). Links are not followed; times, owners and other permissions do not
//! count.
//!
//! *conda*: `channels` (list of texts in the order given; later repetitions are left out, and so are `nodefaults` and
//! slashes at the end of URLs), `packages` (set of *conda package*), `virtual_packages` (set of texts, each the spec that
//! asks for just this: `__cuda==12.4`, `__archspec==1=x86_64_v3`).
//!
//! *conda package*: `platforms` (set of texts, left out where it counts on all), `spec` (text).
//!
//! *spark*: `no_precache` (flag; left out where there are no packages), `packages` (set of texts,
//! `group:artifact:version`), `repositories` (list of texts in the order given, as `extra_index_urls`).
//!
//! *r*: `bioconductor`, `github`, `urls` (sets of texts), `cran` (set of records with `name`, `repository` and `version`),
//! `rscript_path`, `snapshot_date`, `version` (texts), `user_managed` (flag).
//!
//! *pip*: `constraints` and `requirements` (sets of *requirement*), `extra_index_urls` and `find_links` (lists of
//! texts in the order given, because it says where a package is looked for first; later repetitions are left
//! out), `index_url` (text), `no_binary` and `only_binary` (sets of texts), `no_index`, `pre`, `require_hashes`
//! (flags). Index URLs, but not those of `find_links`, lose slashes at their end.
//!
//! *requirement*: `editable` (flag), `extras` (set of texts), `hashes` (set of texts, `sha256:` and 64 lower-case
//! digits), `marker` (text), `name` (text), `specifiers` (set of texts), `url` (text).
//!
//! # Texts in normal form
//!
//! * Names of packages and extras: PEP 503.
//! * Specifiers: operator and version without a space; the version in the normal form of PEP 440, and without the
//!   zeros at the end of its release, except after `~=` and `===` and before `.*`, where they have a meaning:
//!   `==1.0.0` is `==1`, `~=1.0` stays.
//! * Markers: a comparison is the variable, operator and text in single quotes (double where it holds a single
//!   one), one space between; the variable comes first unless the operator is `in`, `not in`, `~=` or `===`; old
//!   names of variables are replaced by today's; texts that are compared with a version variable by an
//!   operator other than `in` and `not in` are in PEP 440's normal form, and those with `extra` in PEP 503's.
//!   Operands of `and` and of `or` are flattened, sorted by their bytes and occur once; an `or` inside an
//!   `and` stands in parentheses.
//! * Conda specs: `channel::` where one is named, the name in lower case, then
//!   its conditions. A version alone, or with a build string after one comparison, stands behind the name: the comparison
//!   as below, but `1.2.*` alone as `=1.2` and before a build string as `=1.2.*`, then `=` and the build string; `=*`
//!   stands for any version before a build string, and several conditions that begin with a digit have a space before
//!   them. Everything else stands in one pair of brackets, as `key='value'` with
//!   a comma between and double quotes around a value with a single one, in the order `version`, `build`,
//!   `build_number`, `subdir`, `namespace`, `fn`, `url`, `md5`, `sha256`, `license`, `license_family`, `track_features`; a spec of
//!   which any of the last ten is given, or whose version needs parentheses, or stands in a group beside a build
//!   string, has all but channel and name in brackets. Digits of hashes and licences are in lower case,
//!   `track_features` are sorted with a space between, and `build_number` has an operator (`==3`). A package's URL
//!   takes its hash off its fragment, and its name is the file's.
//! * Conditions on conda versions: operator and version without a space; `=1.2` and `1.2*` are `1.2.*`, a version without
//!   operator is `==`, and what any version meets is left out. Operands of `,` (and) and of `|` (or) are flattened, sorted
//!   by their bytes and occur once; an `|` inside a `,` stands in parentheses.
//! * Conda versions: lower case, numbers without zeros before them, no epoch 0, `.` between parts (for `-` and `_` too,
//!   though `_` at the end stays), and a zero before a part that begins with letters. But for `1.2.*`, `!=1.2.*` and
//!   `~=1.2`, parts of zeros alone at the end are left out, and so are zeros at the end of a part, and a local
//!   version of zeros: `==1.0.0` is `==1`.
//! * URLs: as the WHATWG standard writes them, `git+` apart, with `${NAME}` left as it is; `egg=` is taken off the
//!   fragment, its other parts are sorted. A local path is its absolute `file:` URL.
//!
//! Name, version, description, tags, environment variables and inference routes are no part of a definition.

use std::collections::{BTreeMap, BTreeSet};

use crate::requirement::{Requirement, canonical_specifier};
use crate::{
    Base, BuildContext, CondaRequirement, CondaRequirements, CondaSpec, ContextLocation, CranPackage,
    Definition, Digest, PipRequirement, PipRequirements, Platform, RPackages, SafeUrl, SparkPackages,
    VirtualPackage,
};

const DOMAIN: &[u8] = b"provenv definition\0";
const EPOCH: u64 = 1;
const USER_MANAGED_EPOCH: u64 = 2;
const CONTEXT_DOMAIN: &[u8] = b"provenv context\0";
const CONTEXT_EPOCH: u64 = 1;

/// The digest that names a definition: sha256 of [`canonical_bytes`].
pub fn definition_digest(definition: &Definition) -> Digest {
    Digest::of(&canonical_bytes(definition))
}

/// The canonical form; the module's source holds its specification.
pub fn canonical_bytes(definition: &Definition) -> Vec<u8> {
    let mut bytes = DOMAIN.to_vec();
    let epoch = if definition.user_managed { USER_MANAGED_EPOCH } else { EPOCH };
    bytes.extend(epoch.to_be_bytes());
    bytes.extend(definition_value(definition).encode());
    bytes
}

enum Value {
    Text(String),
    List(Vec<Value>),
    Record(BTreeMap<&'static str, Value>),
}

impl Value {
    fn is_empty(&self) -> bool {
        match self {
            Self::Text(text) => text.is_empty(),
            Self::List(items) => items.is_empty(),
            Self::Record(fields) => fields.is_empty(),
        }
    }

    #[expect(clippy::needless_pass_by_value, reason = "shorter at the many places of call")]
    fn text(text: impl ToString) -> Self {
        Self::Text(text.to_string())
    }

    fn flag(flag: bool) -> Self {
        Self::text(if flag { "true" } else { "" })
    }

    fn optional(text: Option<impl ToString>) -> Self {
        text.map_or(Self::text(""), Self::text)
    }

    fn set(items: impl IntoIterator<Item = Value>) -> Self {
        let mut items: Vec<(Vec<u8>, Value)> = items.into_iter().map(|item| (item.encode(), item)).collect();
        items.sort_by(|(left, _), (right, _)| left.cmp(right));
        items.dedup_by(|(left, _), (right, _)| left == right);
        Self::List(items.into_iter().map(|(_, item)| item).collect())
    }

    fn texts(texts: impl IntoIterator<Item = impl ToString>) -> Self {
        Self::set(texts.into_iter().map(Self::text))
    }

    /// Leaves empty fields out.
    fn record<const N: usize>(fields: [(&'static str, Value); N]) -> Self {
        Self::Record(fields.into_iter().filter(|(_, value)| !value.is_empty()).collect())
    }

    fn encode(&self) -> Vec<u8> {
        let mut bytes = Vec::new();
        self.encode_into(&mut bytes);
        bytes
    }

    fn encode_into(&self, bytes: &mut Vec<u8>) {
        let length = |length: usize| (length as u64).to_be_bytes();
        match self {
            Self::Text(text) => {
                bytes.push(b'T');
                bytes.extend(length(text.len()));
                bytes.extend(text.as_bytes());
            }
            Self::List(items) => {
                bytes.push(b'L');
                bytes.extend(length(items.len()));
                for item in items {
                    item.encode_into(bytes);
                }
            }
            Self::Record(fields) => {
                bytes.push(b'R');
                bytes.extend(length(fields.len()));
                for (name, value) in fields {
                    bytes.extend(length(name.len()));
                    bytes.extend(name.as_bytes());
                    value.encode_into(bytes);
                }
            }
        }
    }
}

fn definition_value(definition: &Definition) -> Value {
    // Every field is named, so that a new one cannot be forgotten here.
    let Definition { base, system_packages, python, conda, pip, spark, r, user_managed, platforms } =
        definition;
    // What is not installed does not count.
    let installed = |value: Value| if *user_managed { Value::text("") } else { value };
    let mut platforms: BTreeSet<Platform> = platforms.iter().copied().collect();
    if platforms.len() == 1 {
        platforms.remove(&Platform::default());
    }
    Value::record([
        ("base", base_value(base)),
        ("conda", installed(conda_value(conda))),
        ("pip", installed(pip_value(pip))),
        ("platforms", Value::texts(platforms)),
        ("python", installed(Value::optional(python.as_ref()))),
        ("r", r_value(r)),
        ("spark", spark_value(spark)),
        ("system_packages", Value::texts(system_packages)),
        ("user_managed", Value::flag(*user_managed)),
    ])
}

fn base_value(base: &Base) -> Value {
    match base {
        Base::Debian { suite } => {
            Value::record([("kind", Value::text("debian")), ("suite", Value::optional(suite.as_ref()))])
        }
        Base::Image { reference } => {
            let name = reference.rsplit('/').next().unwrap_or_default();
            let tag = if name.contains([':', '@']) { "" } else { ":latest" };
            Value::record([
                ("kind", Value::text("image")),
                ("reference", Value::text(format!("{reference}{tag}"))),
            ])
        }
        Base::Dockerfile { text } => {
            Value::record([("kind", Value::text("dockerfile")), ("text", Value::text(text))])
        }
        Base::Context(BuildContext { location, dockerfile }) => {
            let (content, url) = match location {
                ContextLocation::Folder { path: _, content } => (Value::text(content), Value::text("")),
                ContextLocation::Url(url) => (Value::text(""), Value::text(url)),
            };
            Value::record([
                ("content", content),
                ("dockerfile", Value::text(dockerfile)),
                ("kind", Value::text("context")),
                ("url", url),
            ])
        }
    }
}

/// One thing in a build context.
#[derive(Clone)]
pub(crate) struct ContextEntry {
    /// Relative, with `/`.
    pub path: String,
    /// What it is.
    pub kind: ContextEntryKind,
}

/// What an entry of a build context is.
#[derive(Clone)]
pub(crate) enum ContextEntryKind {
    /// A folder.
    Folder,
    /// A file.
    File {
        /// Digest of its bytes.
        content: Digest,
        /// Anybody may execute it.
        executable: bool,
    },
    /// A symbolic link.
    Link {
        /// As it is written.
        target: String,
    },
}

/// The digest of a build context: the `content` of the specification above.
pub(crate) fn context_digest(dockerfile: Digest, mut entries: Vec<ContextEntry>) -> Digest {
    entries.sort_by(|left, right| left.path.cmp(&right.path));
    let entry = |ContextEntry { path, kind }: ContextEntry| {
        let path = Value::Text(path);
        match kind {
            ContextEntryKind::Folder => Value::record([("kind", Value::text("folder")), ("path", path)]),
            ContextEntryKind::File { content, executable } => Value::record([
                ("content", Value::text(content)),
                ("executable", Value::flag(executable)),
                ("kind", Value::text("file")),
                ("path", path),
            ]),
            ContextEntryKind::Link { target } => Value::record([
                ("kind", Value::text("link")),
                ("path", path),
                ("target", Value::Text(target)),
            ]),
        }
    };
    let value = Value::record([
        ("dockerfile", Value::text(dockerfile)),
        ("entries", Value::List(entries.into_iter().map(entry).collect())),
    ]);
    let mut bytes = CONTEXT_DOMAIN.to_vec();
    bytes.extend(CONTEXT_EPOCH.to_be_bytes());
    bytes.extend(value.encode());
    Digest::of(&bytes)
}

fn conda_value(conda: &CondaRequirements) -> Value {
    let CondaRequirements { channels, packages, virtual_packages } = conda;
    let package = |CondaRequirement { spec, platforms }: &CondaRequirement| {
        // No reader makes a spec that does not parse; if one is put together by hand, its text counts.
        let spec =
            spec.parse::<CondaSpec>().map_or_else(|_| spec.trim().to_owned(), |parsed| parsed.canonical());
        Value::record([("platforms", Value::texts(platforms)), ("spec", Value::text(spec))])
    };
    Value::record([
        ("channels", first_of_each(channels.iter().map(ToString::to_string))),
        ("packages", Value::set(packages.iter().map(package))),
        ("virtual_packages", Value::texts(virtual_packages.iter().map(VirtualPackage::canonical))),
    ])
}

fn spark_value(spark: &SparkPackages) -> Value {
    let SparkPackages { repositories, packages, no_precache } = spark;
    Value::record([
        ("no_precache", Value::flag(*no_precache && !packages.is_empty())),
        ("packages", Value::texts(packages)),
        ("repositories", first_of_each(repositories.iter().map(index_text))),
    ])
}

fn r_value(r: &RPackages) -> Value {
    let RPackages { version, user_managed, rscript_path, snapshot_date, cran, github, urls, bioconductor } =
        r;
    let package = |CranPackage { name, version, repository }: &CranPackage| {
        Value::record([
            ("name", Value::text(name)),
            ("repository", Value::optional(repository.as_ref().map(index_text))),
            ("version", Value::optional(version.as_ref())),
        ])
    };
    Value::record([
        ("bioconductor", Value::texts(bioconductor)),
        ("cran", Value::set(cran.iter().map(package))),
        ("github", Value::texts(github)),
        ("rscript_path", Value::optional(rscript_path.as_ref())),
        ("snapshot_date", Value::optional(snapshot_date.as_ref())),
        ("urls", Value::texts(urls)),
        ("user_managed", Value::flag(*user_managed)),
        ("version", Value::optional(version.as_ref())),
    ])
}

/// The URL of an index, in which slashes at the end mean nothing.
fn index_text(url: &SafeUrl) -> String {
    url.to_string().trim_end_matches('/').to_owned()
}

fn pip_value(pip: &PipRequirements) -> Value {
    let PipRequirements {
        requirements,
        constraints,
        index_url,
        extra_index_urls,
        find_links,
        no_index,
        pre,
        require_hashes,
        no_binary,
        only_binary,
    } = pip;
    Value::record([
        ("constraints", Value::set(constraints.iter().map(requirement_value))),
        ("extra_index_urls", first_of_each(extra_index_urls.iter().map(index_text))),
        ("find_links", first_of_each(find_links.iter().map(ToString::to_string))),
        ("index_url", Value::optional(index_url.as_ref().map(index_text))),
        ("no_binary", Value::texts(no_binary)),
        ("no_index", Value::flag(*no_index)),
        ("only_binary", Value::texts(only_binary)),
        ("pre", Value::flag(*pre)),
        ("require_hashes", Value::flag(*require_hashes)),
        ("requirements", Value::set(requirements.iter().map(requirement_value))),
    ])
}

/// A list without later repetitions.
fn first_of_each(texts: impl Iterator<Item = String>) -> Value {
    let mut seen = BTreeSet::new();
    Value::List(texts.filter(|text| seen.insert(text.clone())).map(Value::Text).collect())
}

fn requirement_value(requirement: &PipRequirement) -> Value {
    let PipRequirement { requirement, hashes, editable } = requirement;
    let hashes = Value::texts(hashes);
    let editable = Value::flag(*editable);
    match requirement.parse::<Requirement>() {
        Ok(Requirement { name, extras, specifiers, url, marker }) => Value::record([
            ("editable", editable),
            ("extras", Value::texts(extras)),
            ("hashes", hashes),
            ("marker", Value::optional(marker)),
            ("name", Value::optional(name)),
            ("specifiers", Value::texts(specifiers.iter().map(canonical_specifier))),
            ("url", Value::optional(url)),
        ]),
        // No reader makes such a requirement; if one is put together by hand, it still has a digest of its own.
        Err(_) => Value::record([
            ("editable", editable),
            ("hashes", hashes),
            ("unparsed", Value::text(requirement.trim())),
        ]),
    }
}
