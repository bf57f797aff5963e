//! Environments of every kind, made at random.

use std::path::Path;

use indexmap::IndexMap;
use proptest::prelude::*;
use provenv_definition::{
    Base, BuildContext, CondaChannel, CondaRequirement, CondaRequirements, CondaSpec, ContextLocation,
    CranPackage, Definition, Environment, InferenceConfig, MavenPackage, PipRequirements, Platform,
    PythonRequest, RPackages, Route, SparkPackages, Suite, VirtualPackage, read_str,
};

/// Texts that people write into names, descriptions and values, and that YAML takes for something else.
fn text() -> impl Strategy<Value = String> {
    prop_oneof![
        "[a-zA-Z0-9 _.:/@#'\"{}\\[\\]&*!|>%-]{0,12}",
        "[a-zé\u{1F600}\u{2028}]{0,4}",
        Just("yes".to_owned()),
        Just("1.10".to_owned()),
        Just("a\nb\n".to_owned()),
    ]
    .prop_filter("templates are refused", |text| !text.contains("{{") && !text.contains("{%"))
}

fn name() -> impl Strategy<Value = String> {
    "[a-zA-Z][a-zA-Z0-9_-]{0,8}"
}

fn map() -> impl Strategy<Value = IndexMap<String, String>> {
    prop::collection::vec(("[A-Za-z_][A-Z_0-9]{0,6}|y|null|no", text()), 0..4)
        .prop_map(|pairs| pairs.into_iter().collect())
}

/// Any part of `list`, in its order.
fn some<T: Clone + std::fmt::Debug + 'static>(list: Vec<T>) -> impl Strategy<Value = Vec<T>> {
    let count = list.len();
    prop_oneof![1 => Just(Vec::new()), 2 => prop::sample::subsequence(list, 0..=count)]
}

fn base() -> impl Strategy<Value = Base> {
    prop_oneof![
        2 => Just(Base::default()),
        1 => Just(Base::Debian { suite: Some(Suite("trixie".to_owned())) }),
        2 => Just(Base::Image { reference: "host.test:5000/a/b:1".to_owned() }),
        1 => Just(Base::Dockerfile { text: "# escape=`\nFROM a:1\nRUN echo 'é' `\n && true\n".to_owned() }),
        1 => Just(Base::Dockerfile { text: "FROM a:1\nRUN echo \"$HOME\"\n".to_owned() }),
        1 => Just(Base::Context(BuildContext {
            location: ContextLocation::Url("https://github.com/a/b.git#main:docker".parse().unwrap()),
            dockerfile: "images/Dockerfile".to_owned(),
        })),
    ]
}

fn pip() -> impl Strategy<Value = PipRequirements> {
    let lines = some(vec![
        "a",
        "b[x,y]==1.0",
        "c>=1,<2 ; os_name == \"it's\"",
        "git+https://${T}@h.test/a@main#subdirectory=b",
        "d @ https://h.test/d.zip ; python_version < '3.9'",
        "/abs/path with space",
        "-e /abs/editable",
        "e==1 --hash=sha256:aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa",
        "--pre",
        "--no-index",
        "-f /links",
        "--no-binary :all:",
        "--only-binary c",
        "-i https://${U}:${P}@h.test/s",
        "--extra-index-url https://x.test/s",
    ]);
    (lines, prop::option::weighted(0.2, Just("z<3"))).prop_map(|(lines, constraint)| {
        let pip = |text: &str| read_str(text, Path::new("/p/r.txt")).unwrap().environment.definition.pip;
        let constraints = constraint.map(|text| pip(text).requirements).unwrap_or_default();
        PipRequirements { constraints, ..pip(&lines.join("\n")) }
    })
}

fn conda() -> impl Strategy<Value = CondaRequirements> {
    let specs = some(vec![
        "python=3.10",
        "numpy==1.17.0",
        "pip",
        "scipy",
        "pandas>=1.2,<2|3.0",
        "conda-forge::blas=*=openblas",
        "x264=1!157.*",
        "cuda[build_number='>=2',subdir=linux-64]",
        "a[md5=aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa,url='https://h.test/linux-64/a-1-0.conda']",
        "yes",
        "null",
    ]);
    let channels = some(vec!["conda-forge", "conda-forge/label/dev", "https://h.test/channel", "defaults"]);
    let platforms = some(vec![Platform::LinuxAmd64]);
    let declared = some(vec!["__archspec=1=x86_64_v3", "__cuda=12.4"]);
    let declared = prop_oneof![3 => Just(Vec::new()), 1 => declared];
    (channels, specs, platforms, declared).prop_map(|(channels, specs, platforms, declared)| {
        CondaRequirements {
            virtual_packages: {
                // In the order that readers keep them in.
                let mut declared: Vec<VirtualPackage> =
                    declared.into_iter().map(|one| one.parse().unwrap()).collect();
                declared.sort_unstable();
                declared
            },
            channels: channels
                .into_iter()
                .map(|channel| match channel.parse() {
                    Ok(url) => CondaChannel::Url(url),
                    Err(_) => CondaChannel::Name(channel.to_owned()),
                })
                .collect(),
            packages: specs
                .into_iter()
                .enumerate()
                .map(|(number, spec)| CondaRequirement {
                    spec: spec.parse::<CondaSpec>().unwrap().to_string(),
                    platforms: if number == 1 { platforms.clone() } else { Vec::new() },
                })
                .collect(),
        }
    })
}

fn spark() -> impl Strategy<Value = SparkPackages> {
    let packages = some(vec![
        MavenPackage { group: "com.example".into(), artifact: "a_2.12".into(), version: "0.9.5".into() },
        MavenPackage { group: "org.test".into(), artifact: "b".into(), version: "1".into() },
    ]);
    let repositories = some(vec!["https://maven.test/m".parse().unwrap()]);
    (packages, repositories, any::<bool>()).prop_map(|(packages, repositories, no_precache)| SparkPackages {
        repositories,
        no_precache: no_precache && !packages.is_empty(),
        packages,
    })
}

fn r() -> impl Strategy<Value = RPackages> {
    let full = RPackages {
        version: Some("3.6".into()),
        user_managed: true,
        rscript_path: Some("/usr/bin/Rscript".into()),
        snapshot_date: Some("2020-01-31".into()),
        cran: vec![
            CranPackage { name: "dplyr".into(), version: Some("1.0".into()), repository: None },
            CranPackage {
                name: "x".into(),
                version: None,
                repository: Some("https://cran.test/r".parse().unwrap()),
            },
        ],
        github: vec!["owner/name@ref".into()],
        urls: vec!["https://h.test/x.tar.gz".parse().unwrap()],
        bioconductor: vec!["limma".into()],
    };
    prop_oneof![3 => Just(RPackages::default()), 1 => Just(full)]
}

/// Any definition.
pub fn definition() -> impl Strategy<Value = Definition> {
    let python = prop::option::weighted(0.3, (8_u32..14, prop::option::of(0_u32..9)))
        .prop_map(|python| python.map(|(minor, patch)| PythonRequest { major: 3, minor, patch }));
    let packages = some(vec!["curl", "g++", "git", "libgomp1=12.2.0-14"])
        .prop_map(|names| names.into_iter().map(|name| name.parse().unwrap()).collect());
    let platforms = some(vec![Platform::LinuxAmd64, Platform::LinuxArm64]);
    (base(), packages, python, conda(), pip(), spark(), r(), prop::bool::weighted(0.15), platforms).prop_map(
        |(base, system_packages, python, conda, pip, spark, r, user_managed, platforms)| Definition {
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

/// Any environment.
pub fn environment() -> impl Strategy<Value = Environment> {
    let route = || ("/[a-z]{0,4}", 1_u16..).prop_map(|(path, port)| Route { port, path });
    let routes = prop::option::of((route(), route(), route())).prop_map(|routes| {
        routes.map(|(liveness_route, readiness_route, scoring_route)| InferenceConfig {
            liveness_route,
            readiness_route,
            scoring_route,
        })
    });
    let interpreter = prop::option::of(Just("/opt/python/bin/python3".to_owned()));
    let named = (prop::option::of(name()), prop::option::of(name()), prop::option::of(text()));
    (named, map(), map(), routes, interpreter, definition()).prop_map(
        |((name, version, description), tags, variables, inference_config, interpreter_path, definition)| {
            Environment {
                name,
                version,
                description,
                tags,
                environment_variables: variables,
                inference_config,
                interpreter_path,
                definition,
            }
        },
    )
}
