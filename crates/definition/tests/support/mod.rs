//! Definitions in which everything occurs, and how to take them apart.

pub mod invariants;
pub mod nasty;
pub mod processor_time;

use proptest::prelude::*;
use proptest::sample::{select, subsequence};
use provenv_definition::{
    Base, BuildContext, CondaChannel, CondaRequirement, CondaRequirements, CondaSpec, ContextLocation,
    CranPackage, Definition, Digest, MavenPackage, PipRequirement, PipRequirements, Platform, RPackages,
    Requirement, SafeUrl, SparkPackages, Suite,
};
use serde_json::Value;

pub const SHA: &str = "sha256:aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa";
const SHA_2: &str = "sha256:bbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbb";

pub fn url(text: &str) -> SafeUrl {
    text.parse().unwrap()
}

fn texts(texts: &[&str]) -> Vec<String> {
    texts.iter().map(ToString::to_string).collect()
}

fn urls(texts: &[&str]) -> Vec<SafeUrl> {
    texts.iter().map(|text| url(text)).collect()
}

fn requirement(text: &str, hashes: &[&str], editable: bool) -> PipRequirement {
    let requirement = Requirement::parse(text, std::path::Path::new("/p")).unwrap().to_string();
    PipRequirement {
        requirement,
        hashes: hashes.iter().map(|hash| hash.parse().unwrap()).collect(),
        editable,
    }
}

fn conda_requirement(text: &str, platforms: &[Platform]) -> CondaRequirement {
    let spec: CondaSpec = text.parse().unwrap_or_else(|error| panic!("{text}: {error:?}"));
    CondaRequirement { spec: spec.to_string(), platforms: platforms.to_vec() }
}

/// A conda spec in any spelling.
const CONDA_SPECS: &[&str] = &[
    "NumPy",
    "numpy=1.20",
    "numpy 1.20.*",
    "numpy==1.20.0",
    "numpy>=1.2,<2.0",
    "numpy<2,>=1.2,<2",
    "numpy >=1,<2|3",
    "numpy (>=1|<0.5),!=3.0",
    "numpy 1.2.*|1.3.*",
    "numpy 1.2.*,!=1.2.4",
    "numpy>=1.0|>=1.10.0|<0.5",
    "numpy=1.2=py38_0",
    "numpy 1.2.* py38*",
    "pytorch=*=*cuda*",
    "numpy >=1.0,<2 py38_0",
    "numpy[version='1.*',build='^py3(7|8)_.*$']",
    "numpy~=2.0",
    "numpy!=1.20.*",
    "numpy!=1.20.0",
    "numpy[build_number='>=3']",
    "conda-forge/linux-64::numpy==1.0",
    "numpy[channel=conda-forge,license=MIT,track_features='b a']",
    "https://host.test/c::numpy 1.2",
    "https://host.test/c/linux-64/numpy-1.2-py38_0.conda#d41d8cd98f00b204e9800998ecf8427e",
    "openssl=1.1.1_",
    "openssl==1.1.1_",
    "jpeg 9b",
    "x264 1!152.*",
    "x==1-2",
    "x==1.0RC1",
    "x==1.rc1",
    "x==1.0.post0",
    "x==1+local.0",
    "x==1.0+0.0",
    "x>=1.0a0.0",
    "__glibc>=2.17",
];

/// One definition in which every field holds something, and every list two things at least. No field is left to a
/// default, so that a new one has to be filled in here.
pub fn full(base: Base) -> Definition {
    Definition {
        base,
        system_packages: vec!["git".parse().unwrap(), "libgomp1=12.2.0-14".parse().unwrap()],
        python: Some("3.12.4".parse().unwrap()),
        conda: CondaRequirements {
            channels: vec![
                CondaChannel::Name("conda-forge".to_owned()),
                CondaChannel::Url(url("https://h.test/channel")),
            ],
            packages: vec![
                conda_requirement("numpy 1.26.*", &[]),
                conda_requirement("mkl", &[Platform::LinuxAmd64, Platform::LinuxArm64]),
            ],
            virtual_packages: vec!["__archspec=1=x86_64_v3".parse().unwrap(), "__cuda=12.0".parse().unwrap()],
        },
        pip: PipRequirements {
            requirements: vec![
                requirement("b[x,y]>=1.0,<2 ; os_name == 'posix'", &[SHA, SHA_2], false),
                requirement("-e ./c".trim_start_matches("-e "), &[], true),
            ],
            constraints: vec![requirement("d<2", &[], false), requirement("e==1", &[], false)],
            index_url: Some(url("https://${TOKEN}@i.test/simple")),
            extra_index_urls: urls(&["https://j.test/simple", "https://k.test/simple/"]),
            find_links: urls(&["https://l.test/", "file:///links"]),
            no_index: true,
            pre: true,
            require_hashes: true,
            no_binary: texts(&["b", "c"]),
            only_binary: texts(&["d", "e"]),
        },
        spark: SparkPackages {
            repositories: urls(&["https://m.test/maven", "https://n.test/maven"]),
            packages: ["a", "b"]
                .map(|name| MavenPackage {
                    group: "org.test".to_owned(),
                    artifact: name.to_owned(),
                    version: "1.0".to_owned(),
                })
                .to_vec(),
            no_precache: true,
        },
        r: RPackages {
            version: Some("4.3".to_owned()),
            user_managed: true,
            rscript_path: Some("/usr/bin/Rscript".to_owned()),
            snapshot_date: Some("2023-10-31".to_owned()),
            cran: ["dplyr", "tidyr"]
                .map(|name| CranPackage {
                    name: name.to_owned(),
                    version: Some("1.1".to_owned()),
                    repository: Some(url("https://cran.test/")),
                })
                .to_vec(),
            github: texts(&["team/one@main", "team/two"]),
            urls: urls(&["https://o.test/a.tar.gz", "https://o.test/b.tar.gz"]),
            bioconductor: texts(&["limma", "edgeR"]),
        },
        // With it set, conda, pip and Python would not count.
        user_managed: false,
        platforms: vec![Platform::LinuxAmd64, Platform::LinuxArm64],
    }
}

/// Every kind of base, with everything that it can say.
pub fn bases() -> Vec<Base> {
    let context = |location| Base::Context(BuildContext { location, dockerfile: "Dockerfile".to_owned() });
    vec![
        Base::Debian { suite: Some(Suite("bookworm".to_owned())) },
        Base::Image { reference: "host.test:5000/team/image:1".to_owned() },
        Base::Dockerfile { text: "FROM debian\nRUN true\n".to_owned() },
        context(ContextLocation::Folder { path: url("file:///context"), content: SHA.parse().unwrap() }),
        context(ContextLocation::Url(url("https://host.test/team/repository.git#main:folder"))),
    ]
}

fn base() -> impl Strategy<Value = Base> {
    let reference = select(vec!["python", "python:3.12", "h.test:5000/a/b", "a@sha256:aa", "h.test/a:b"]);
    prop_oneof![
        select(vec![Base::default(), Base::Image { reference: "a".to_owned() }]),
        reference.prop_map(|reference| Base::Image { reference: reference.to_owned() }),
        select(bases()),
        "(FROM [a-z]{1,3}\n){1,2}".prop_map(|text| Base::Dockerfile { text }),
    ]
}

/// A requirement in normal form, by way of a spelling that need not be.
fn pip_requirement() -> impl Strategy<Value = PipRequirement> {
    let name = "[a-zA-Z]([-_.]?[a-z0-9]){0,4}";
    let extras = prop::option::of("\\[[a-z]{1,2}(,[A-Z]){0,2}\\]");
    let bound = "(==|!=|<=|>=|<|>|~=|===)(1!)?[0-9]{1,2}\\.[0-9]{1,2}(\\.0){0,2}(a1|rc2|\\.post1|\\.dev0)?|(==|!=)1\\.\
                 [0-9](\\.0)?\\.\\*|==1\\.0\\+local\\.1";
    let bounds = prop::collection::vec(bound, 0..3).prop_map(|bounds| bounds.join(","));
    let place = select(vec![
        " @ https://H.test/a.zip",
        " @ git+https://${TOKEN}@h.test/a@v1#subdirectory=x",
        " @ file:///a%20b",
        " @ https://h.test/a[b]",
    ]);
    let named = (name, extras, prop_oneof![3 => bounds, 1 => place.prop_map(str::to_owned)])
        .prop_map(|(name, extras, rest)| format!("{name}{}{rest}", extras.unwrap_or_default()));
    let bare = select(vec![
        "https://h.test/a.zip",
        "./a[x,y]",
        "./a b",
        "git+https://h.test/a#egg=B_c[d]",
        "https://h.test/x-1.0-py3-none-any.whl#sha256=aa",
        "https://[::1]/a.zip",
    ]);
    let comparison = select(vec![
        "python_version<'3.10'",
        "os_name == \"it's\"",
        "'x' in platform_release",
        "sys.platform=='linux'",
        "extra == 'A_b'",
    ]);
    let marker = prop::collection::vec((comparison, select(vec![" and ", " or "])), 0..4).prop_map(|parts| {
        let mut text = String::new();
        for (comparison, join) in parts {
            text =
                if text.is_empty() { comparison.to_owned() } else { format!("({text}){join}{comparison}") };
        }
        if text.is_empty() { text } else { format!(" ; {text}") }
    });
    let text = prop_oneof![4 => named, 1 => bare.prop_map(str::to_owned)];
    let hashes = subsequence(vec![SHA, SHA_2], 0..3);
    (text, marker, hashes, prop::bool::weighted(0.2)).prop_map(|(text, marker, hashes, editable)| {
        let text = format!("{text}{marker}");
        requirement(&text, &hashes, editable)
    })
}

/// None, one or two of what a full definition holds, so that empty and short lists occur.
fn some<T: Clone + std::fmt::Debug + 'static>(items: Vec<T>) -> impl Strategy<Value = Vec<T>> {
    let length = items.len();
    subsequence(items, 0..=length).prop_shuffle()
}

/// A definition of anything at all.
pub fn definition() -> impl Strategy<Value = Definition> {
    let Definition { base: _, system_packages, python, conda, pip, spark, r, user_managed: _, platforms } =
        full(Base::default());
    let platforms_of = some(platforms.clone());
    let package = (select(CONDA_SPECS.to_vec()), platforms_of)
        .prop_map(|(text, platforms)| conda_requirement(text, &platforms));
    let conda = (some(conda.channels), prop::collection::vec(package, 0..4), some(conda.virtual_packages))
        .prop_map(|(channels, packages, virtual_packages)| CondaRequirements {
            channels,
            packages,
            virtual_packages,
        });
    let requirements = || prop::collection::vec(pip_requirement(), 0..4);
    let switches = (any::<bool>(), any::<bool>(), any::<bool>());
    let places = (prop::option::of(Just(pip.index_url)), some(pip.extra_index_urls), some(pip.find_links));
    let pip = (requirements(), requirements(), places, switches, some(pip.no_binary), some(pip.only_binary))
        .prop_map(|(requirements, constraints, places, switches, no_binary, only_binary)| PipRequirements {
            requirements,
            constraints,
            index_url: places.0.flatten(),
            extra_index_urls: places.1,
            find_links: places.2,
            no_index: switches.0,
            pre: switches.1,
            require_hashes: switches.2,
            no_binary,
            only_binary,
        });
    let spark = (some(spark.repositories), some(spark.packages), any::<bool>()).prop_map(
        |(repositories, packages, no_precache)| SparkPackages { repositories, packages, no_precache },
    );
    let option = |value: Option<String>| prop::option::of(Just(value)).prop_map(Option::flatten);
    let cran = r.cran[0].clone();
    let cran =
        (option(cran.version.clone()), prop::option::of(Just(url("https://cran.test/"))), some(r.cran))
            .prop_map(move |(version, repository, mut packages)| {
                packages.push(CranPackage { version, repository, ..cran.clone() });
                packages
            });
    let cran = prop_oneof![Just(Vec::new()), cran];
    let named = (option(r.version), option(r.rscript_path), option(r.snapshot_date), any::<bool>());
    let r = (named, cran, some(r.github), some(r.urls), some(r.bioconductor)).prop_map(
        |((version, rscript_path, snapshot_date, user_managed), cran, github, urls, bioconductor)| {
            RPackages { version, user_managed, rscript_path, snapshot_date, cran, github, urls, bioconductor }
        },
    );
    let python = prop::option::of(Just(python)).prop_map(Option::flatten);
    let rest = (python, prop::bool::weighted(0.2), some(platforms), some(system_packages));
    (base(), conda, pip, spark, r, rest).prop_map(
        |(base, conda, pip, spark, r, (python, user_managed, platforms, system_packages))| Definition {
            base,
            system_packages,
            python,
            conda,
            pip,
            spark,
            r,
            user_managed,
            platforms,
        },
    )
}

/// The definition that `json` stands for, if it stands for one.
pub fn from_json(json: &Value) -> Option<Definition> {
    serde_json::from_value(json.clone()).ok()
}

/// The paths, as JSON pointers, of all lists and of all values that are neither list nor object.
pub fn paths(json: &Value) -> (Vec<String>, Vec<String>) {
    fn walk(json: &Value, path: &str, lists: &mut Vec<String>, leaves: &mut Vec<String>) {
        match json {
            Value::Object(fields) => {
                for (name, value) in fields {
                    walk(value, &format!("{path}/{name}"), lists, leaves);
                }
            }
            Value::Array(items) => {
                lists.push(path.to_owned());
                for (i, item) in items.iter().enumerate() {
                    walk(item, &format!("{path}/{i}"), lists, leaves);
                }
            }
            _ => leaves.push(path.to_owned()),
        }
    }
    let (mut lists, mut leaves) = (Vec::new(), Vec::new());
    walk(json, "", &mut lists, &mut leaves);
    (lists, leaves)
}

pub fn digest(definition: &Definition) -> Digest {
    provenv_definition::definition_digest(definition)
}

/// The vectors that are definitions as JSON, whatever file they may have come from.
pub fn models() -> Vec<std::path::PathBuf> {
    let folder = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/golden/model");
    let entries = fs_err::read_dir(folder).unwrap().map(|entry| entry.unwrap().path());
    let mut files: Vec<_> =
        entries.filter(|path| path.extension().is_some_and(|extension| extension == "json")).collect();
    files.sort();
    assert!(!files.is_empty());
    files
}
