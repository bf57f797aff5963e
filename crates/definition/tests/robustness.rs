//! Any text is read or refused: no panic, no endless work, no place outside the text; what is written reads back.

#![allow(clippy::format_collect, reason = "short in tests")]

use std::path::Path;
use std::sync::LazyLock;
use std::time::{Duration, Instant};

use indexmap::IndexMap;
use proptest::prelude::*;
use provenv_definition::{
    Base, BuildContext, CondaRequirements, ContextLocation, CranPackage, Definition, Environment,
    InferenceConfig, MavenPackage, PipRequirements, Platform, PythonRequest, RPackages, Requirement, Route,
    SparkPackages, Suite, mask_secrets, normalise_name, read, read_str, write_native, write_requirements,
};

fn read_anything(text: &str) {
    for file in [
        "/nowhere/requirements.txt",
        "/nowhere/env.yaml",
        "/nowhere/env",
        "/nowhere/Dockerfile",
        "/nowhere/python_env.yaml",
        "/nowhere/azureml_environment.json",
    ] {
        let diagnostics = match read_str(text, Path::new(file)) {
            Ok(found) => {
                let checks = found.check();
                let written = write_native(&found.environment);
                let again = read_str(&written, Path::new("/nowhere/written.yaml"));
                let again = again.unwrap_or_else(|error| panic!("{text:?}\n{written}\n{:?}", error.0));
                assert_eq!(again.environment, found.environment, "{text:?}\n{written}");
                found.warnings.into_iter().chain(checks).collect()
            }
            Err(error) => {
                let _ = error.to_string();
                error.0
            }
        };
        for diagnostic in diagnostics {
            if let (Some(span), Some(line)) = (diagnostic.span, &diagnostic.line_text) {
                assert!(span.column >= 1 && span.length >= 1);
                assert!(span.column <= line.chars().count() + 1, "{text:?} {diagnostic:?}");
            }
        }
    }
}

/// Pieces that mean something, so that random texts get past the first check.
fn pieces() -> impl Strategy<Value = String> {
    let known = prop::sample::select(vec![
        "numpy",
        "==",
        ">=",
        "1.0",
        ".*",
        ",",
        ";",
        " ; ",
        "python_version",
        "'3.8'",
        "\"",
        "'",
        "(",
        ")",
        "[",
        "]",
        "a",
        " and ",
        " or ",
        " in ",
        " not in ",
        "@",
        " @ ",
        "https://",
        "git+",
        "h.test/",
        "a.whl",
        "-1.0-py3-none-any.whl",
        "#",
        " #",
        "egg=",
        "&",
        "?sig=",
        "${T}",
        "{{",
        "}}",
        "-e ",
        "-r ",
        "-c ",
        "--hash=",
        "sha256:",
        "--pre",
        "--",
        "-",
        "=",
        "\\\n",
        "\n",
        "\r\n",
        "\t",
        " ",
        "  ",
        ":",
        ": ",
        "- ",
        "pip",
        "pip:\n",
        "base",
        "debian",
        "/",
        "../",
        ".",
        "~",
        "é",
        "\u{1F600}",
        "\u{feff}",
        "name: ",
        "python: ",
        "3.10",
        "|\n",
        ">\n",
        "&a ",
        "*a",
        "!!str ",
        "? ",
        "{",
        "}",
        "--no-binary ",
        ":all:",
        "tags:\n",
        "%41",
        "\\",
        "\0",
        "environment_variables:\n",
        "system_packages: ",
        "version: ",
        "PASSWORD: ",
        "ghp_0123456789abcdefghijk",
        "user:pw@",
        "\u{2028}",
        "\u{85}",
        "FROM ",
        "FROM a\n",
        "RUN ",
        "COPY ",
        "ADD ",
        "ENV ",
        "ARG A=$A${A:-b}\n",
        "$A",
        "<<E\n",
        "E\n",
        "# escape=`\n",
        "`\n",
        "[\"a\", \"b\"]",
        "--mount=",
        "environment:\n",
        "environment: {",
        "jobs:\n",
        "  ",
        "docker: {",
        "baseDockerfile: ",
        "buildContext: {location: ",
        "baseImage: ",
        "conda_file: ",
        "{dependencies: [",
        "build: {path: ",
        "dockerfile: |\n  FROM a\n  ",
        "spark: {packages: [",
        "a:b:c",
        "r: {cran: [",
    ]);
    prop::collection::vec(prop_oneof![8 => known.prop_map(str::to_owned), 1 => ".{0,3}"], 0..24)
        .prop_map(|list| list.concat())
}

fn text() -> impl Strategy<Value = String> {
    prop_oneof![
        "[a-zA-Z0-9 _.:/@#-]{0,12}",
        ".{0,8}",
        Just("yes".to_owned()),
        Just("1.10".to_owned()),
        Just("a\nb\n".to_owned())
    ]
    .prop_filter("templates are refused", |text| !text.contains("{{") && !text.contains("{%"))
}

fn named() -> impl Strategy<Value = Option<String>> {
    prop::option::of("[a-zA-Z0-9][a-zA-Z0-9_.-]{0,8}".prop_filter("null", |text| !text.is_empty()))
}

fn map() -> impl Strategy<Value = IndexMap<String, String>> {
    prop::collection::vec(("[A-Za-z_][A-Z_0-9]{0,6}|y|null|1|no", text()), 0..4)
        .prop_map(|pairs| pairs.into_iter().collect())
}

/// Dockerfiles with all that makes YAML hard to write.
fn dockerfile() -> impl Strategy<Value = String> {
    let line = prop_oneof![
        Just("RUN a \\\n    && b".to_owned()),
        Just("# {{ comment }}".to_owned()),
        Just(String::new()),
        Just("  ".to_owned()),
        Just("RUN <<E\n\tx: |\n- y\nE".to_owned()),
        "RUN [ -~é]{0,12}".prop_filter("here-documents need an end", |text| {
            !text.contains("<<")
                && !text.ends_with('\\')
                && !text.trim_start_matches("RUN").trim().starts_with(['[', '-'])
        }),
        Just("ENV a=\"b c\"".to_owned()),
    ];
    let ending = prop::sample::select(vec!["", "\n", "\n\n", "\n  ", "\n\t\n", "\n# end  "]);
    let start = prop::sample::select(vec!["FROM a:1", "# x\nFROM a:1", "\n FROM a:1", "from a"]);
    (start, prop::collection::vec(line, 0..4), ending).prop_map(|(start, lines, ending)| {
        let mut text = start.to_owned();
        for line in lines {
            text = format!("{text}\n{line}");
        }
        text + ending
    })
}

/// A build context that is there for as long as the tests run.
fn folder_context() -> impl Strategy<Value = Base> {
    static FOLDER: LazyLock<tempfile::TempDir> = LazyLock::new(|| {
        let folder = tempfile::tempdir().unwrap();
        fs_err::write(folder.path().join("Dockerfile"), "FROM a:1\nCOPY . /a\n").unwrap();
        folder
    });
    Just(()).prop_map(|()| read(&FOLDER.path().join("Dockerfile")).unwrap().environment.definition.base)
}

fn conda() -> impl Strategy<Value = CondaRequirements> {
    let channels = prop::sample::subsequence(
        vec!["conda-forge", "https://h.test/c", "https://${T}@h.test/d", "a/label/b", "file:///c"],
        0..5,
    );
    let packages = prop::sample::subsequence(
        vec![
            "python=3.10",
            "numpy >=1.2,<2",
            "conda-forge::a",
            "sel(linux64): b",
            "sel(aarch64): c 1.2 h0",
            "\"d[version='>=1', build=x]\"",
            "e=1=*_0",
        ],
        0..8,
    );
    (channels, packages).prop_map(|(channels, packages)| {
        let list = |items: Vec<&str>| items.iter().map(|item| format!("\n- {item}")).collect::<String>();
        let text = format!("channels:{}\ndependencies:{}\n", list(channels), list(packages));
        read_str(&text, Path::new("/p/environment.yml")).unwrap().environment.definition.conda
    })
}

fn spark() -> impl Strategy<Value = SparkPackages> {
    let package = ("[a-z]{1,3}(\\.[a-z]{1,3})?", "[a-z]{1,4}_2\\.12", "[0-9]\\.[0-9]");
    let package = package.prop_map(|(group, artifact, version)| MavenPackage { group, artifact, version });
    let repositories =
        prop::sample::subsequence(vec!["https://h.test/maven", "https://${T}@h.test/m/"], 0..3);
    (repositories, prop::collection::vec(package, 0..3), any::<bool>()).prop_map(
        |(repositories, packages, no_precache)| SparkPackages {
            repositories: repositories.iter().map(|url| url.parse().unwrap()).collect(),
            packages,
            no_precache,
        },
    )
}

fn r() -> impl Strategy<Value = RPackages> {
    let url = || prop::option::of(Just("https://cran.test/r/".parse().unwrap()));
    let package = ("[a-zA-Z.]{1,6}", prop::option::of("[0-9]\\.[0-9]"), url());
    let package = package.prop_map(|(name, version, repository)| CranPackage { name, version, repository });
    let words = || prop::collection::vec("[a-z]{1,4}/[a-z]{1,4}(@[a-z0-9]{1,3})?", 0..3);
    let texts = (prop::option::of(text()), prop::option::of(text()), prop::option::of(text()));
    let packages = (prop::collection::vec(package, 0..3), words(), words());
    (texts, any::<bool>(), packages, url()).prop_map(|(texts, user_managed, packages, url)| {
        let ((version, rscript_path, snapshot_date), (cran, github, bioconductor)) = (texts, packages);
        let urls = url.into_iter().collect();
        RPackages { version, user_managed, rscript_path, snapshot_date, cran, github, urls, bioconductor }
    })
}

fn environment() -> impl Strategy<Value = Environment> {
    let base = prop_oneof![
        Just(Base::default()),
        Just(Base::Debian { suite: Some(Suite("trixie".to_owned())) }),
        Just(Base::Image { reference: "host.test:5000/a/b:1@sha256:aa".to_owned() }),
        dockerfile().prop_map(|text| Base::Dockerfile { text }),
        prop::sample::select(vec![
            "https://${T}@h.test/a.git#main:b",
            "ssh://git@h.test/a.git",
            "https://h.test/a.tgz"
        ])
        .prop_map(|url| {
            let location = ContextLocation::Url(url.parse().unwrap());
            Base::Context(BuildContext { location, dockerfile: "a b/Dockerfile".to_owned() })
        }),
        folder_context(),
    ];
    let lines = prop::sample::subsequence(
        vec![
            "a",
            "b[x,y]==1.0",
            "c>=1,<2 ; os_name == \"it's\"",
            "git+https://${T}@h.test/a@main#subdirectory=b",
            "./x[e]",
            "-e ./y",
            "d @ https://h.test/d.zip ; python_version < '3.9'",
            "--pre",
            "--no-index",
            "-f /links",
            "--no-binary :all:",
            "--only-binary c",
            "--require-hashes",
            "-i https://${U}:${P}@h.test/s",
            "--extra-index-url https://x.test/s",
            "e==1 --hash=sha256:aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa",
            "/abs/path with space",
        ],
        0..17,
    );
    let pip = (lines, prop::option::of(Just("z<3"))).prop_map(|(lines, constraint)| {
        let lines: Vec<_> = lines.into_iter().filter(|line| *line != "--require-hashes").collect();
        let mut pip = read_str(&lines.join("\n"), Path::new("/p/r.txt")).unwrap().environment.definition.pip;
        let parsed =
            constraint.map(|text| read_str(text, Path::new("/p/r.txt")).unwrap().environment.definition.pip);
        pip.constraints = parsed.map(|pip| pip.requirements).unwrap_or_default();
        pip
    });
    let python = prop::option::of((8_u32..30, prop::option::of(0_u32..9)))
        .prop_map(|python| python.map(|(minor, patch)| PythonRequest { major: 3, minor, patch }));
    let packages = prop::sample::subsequence(vec!["curl", "git", "libgomp1=12.2.0-14", "g++"], 0..4)
        .prop_map(|names| {
            let mut packages: Vec<_> = names.into_iter().map(|name| name.parse().unwrap()).collect();
            packages.sort();
            packages
        });
    let platforms = prop::sample::subsequence(vec![Platform::LinuxAmd64, Platform::LinuxArm64], 0..3);
    let others = (conda(), spark(), r(), any::<bool>());
    let definition = (base, python, packages, pip, platforms, others).prop_map(
        |(base, python, system_packages, pip, platforms, others): (_, _, _, PipRequirements, _, _)| {
            let (conda, spark, r, user_managed) = others;
            Definition { base, system_packages, python, conda, pip, spark, r, user_managed, platforms }
        },
    );
    let route = ("/[a-z]{0,4}", 1_u16..).prop_map(|(path, port)| Route { port, path });
    let inference = prop::option::of((route.clone(), route.clone(), route)).prop_map(|routes| {
        routes.map(|(liveness_route, readiness_route, scoring_route)| InferenceConfig {
            liveness_route,
            readiness_route,
            scoring_route,
        })
    });
    let interpreter = prop::option::of(text());
    (named(), named(), prop::option::of(text()), map(), map(), inference, interpreter, definition).prop_map(
        |(
            name,
            version,
            description,
            tags,
            environment_variables,
            inference_config,
            interpreter_path,
            definition,
        )| {
            Environment {
                name,
                version,
                description,
                tags,
                environment_variables,
                inference_config,
                interpreter_path,
                definition,
            }
        },
    )
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 1000, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn any_text_is_read_or_refused(text in ".{0,80}") {
        read_anything(&text);
    }

    #[test]
    fn any_meaningful_text_is_read_or_refused(text in pieces()) {
        read_anything(&text);
        let _ = mask_secrets(&text);
        if let Ok(requirement) = Requirement::parse(&text, Path::new("/p")) {
            let normal = requirement.to_string();
            prop_assert_eq!(normal.parse::<Requirement>().unwrap(), requirement, "{}", normal);
        }
    }

    #[test]
    fn what_is_written_reads_back(mut environment in environment()) {
        // As it is read: with the end of its last line.
        if let Base::Dockerfile { text } = &mut environment.definition.base
            && !text.ends_with('\n')
        {
            text.push('\n');
        }
        let written = write_native(&environment);
        let found = read_str(&written, Path::new("/elsewhere/env.yaml"));
        let found = found.unwrap_or_else(|error| panic!("{written}\n{:?}", error.0));
        prop_assert_eq!(&found.environment, &environment, "{}", written);

        let files = write_requirements(&environment.definition);
        let folder = tempfile::tempdir().unwrap();
        fs_err::write(folder.path().join("requirements.txt"), &files.requirements).unwrap();
        if let Some(constraints) = &files.constraints {
            fs_err::write(folder.path().join("constraints.txt"), constraints).unwrap();
        }
        let found = read(&folder.path().join("requirements.txt"));
        let found = found.unwrap_or_else(|error| panic!("{files:?}\n{:?}", error.0));
        prop_assert_eq!(found.environment.definition.pip, environment.definition.pip);
    }

    /// What the other Rust parser accepts and understands, this one reads the same way.
    #[test]
    fn requirements_agree_with_pep508_rs(
        text in "[a-zA-Z][a-z._-]{0,4}[a-z0-9] ?(\\[[a-z]{1,3}( ?, ?[A-Z_]{0,2}[a-z])?\\])? ?((==|>=|<|~=|!=|>|<=) ?[0-9]\\.[0-9](\\.[0-9*]|rc[0-9]|\\.dev1|\\+a1)?( ?, ?(<|!=) ?[0-9])?)?( ?; ?(python_version|python_full_version) ?(<|>=|==) ?'3\\.[0-9]')?"
    ) {
        let theirs = text.parse::<pep508_rs::Requirement>();
        let ours = text.parse::<Requirement>();
        prop_assert_eq!(theirs.is_ok(), ours.is_ok(), "{} {:?} {:?}", text, theirs.as_ref().err().map(|e| e.message.to_string()), ours);
        if let (Ok(theirs), Ok(ours)) = (theirs, ours) {
            prop_assert_eq!(theirs.name.to_string(), normalise_name(ours.name.as_deref().unwrap()));
            let mut extras: Vec<_> = theirs.extras.iter().map(ToString::to_string).collect();
            extras.sort();
            extras.dedup();
            prop_assert_eq!(extras, ours.extras.clone());
            let bounds = match theirs.version_or_url {
                Some(pep508_rs::VersionOrUrl::VersionSpecifier(bounds)) => bounds.iter().map(ToString::to_string).collect(),
                _ => Vec::new(),
            };
            let mut bounds: Vec<String> = bounds;
            let mut own: Vec<_> = ours.specifiers.iter().map(ToString::to_string).collect();
            bounds.sort();
            bounds.dedup();
            own.sort();
            prop_assert_eq!(bounds, own);
            let marker = ours.marker.map(|marker| marker.to_string()).unwrap_or_default();
            let again: pep508_rs::MarkerTree = if marker.is_empty() { pep508_rs::MarkerTree::TRUE } else { marker.parse().unwrap() };
            prop_assert_eq!(again, theirs.marker);
        }
    }
}

/// No text of a megabyte takes more than a second to read or refuse (in release; tests are allowed more).
#[test]
fn large_texts_take_no_time() {
    let mebibyte = 1 << 20;
    let fill = |piece: &str| piece.repeat(mebibyte / piece.len());
    for (name, text) in [
        ("lines", fill("package-name==1.0.0\n")),
        ("different lines", (0..40_000).map(|i| format!("package-{i}==1.{i}.0\n")).collect()),
        ("one line", fill("a")),
        ("continued", fill("a\\\n")),
        ("bounds", format!("a{}", fill("==1.0,"))),
        ("marker", format!("a ; {} os_name == 'a'", fill("os_name == 'a' and "))),
        ("parentheses", format!("a ; {}", fill("("))),
        ("extras", format!("a[{}]", fill("b,"))),
        ("options", fill("--pre ")),
        ("colons", fill("a:b:c=")),
        ("urls", fill("https://a:b@c/ ")),
        ("urls alone", fill("https://a:b@c:")),
        ("hashes", format!("a {}", fill("--hash=sha256:12 "))),
        ("comments", fill("# x\n")),
        ("list", format!("pip:\n{}", fill("- a\n"))),
        ("keys", (0..60_000).map(|i| format!("key-{i}: x\n")).collect()),
        ("same key", fill("k: x\n")),
        ("flow", format!("pip: [{}", fill("a, "))),
        ("anchors", fill("- &a [*a]\n")),
        ("quotes", format!("name: \"{}", fill("x\\n"))),
        ("block", format!("name: |\n{}", fill("  x\n"))),
        ("backslashes", fill("\\")),
        ("instructions", format!("FROM a\n{}", fill("RUN x\n"))),
        ("stages", fill("FROM a AS b\n")),
        ("here-documents", format!("FROM a\nRUN {}\n{}", fill("<<E "), "E\n".repeat(9))),
        ("here-document", format!("FROM a\n{}", fill("RUN <<E\nE\n"))),
        ("copies", format!("FROM a\nADD {}", fill("https://h.test/a "))),
        ("flags", format!("FROM a\nRUN {}", fill("--mount=type=cache "))),
        ("arguments", format!("FROM a\n{}", fill("ARG A=$A$A\n"))),
        ("variables", format!("FROM a\nENV {}", fill("A=${A:-$A} "))),
        ("list", format!("FROM a\nCMD [{}\"\"]", fill("\"a\","))),
        (
            "jobs",
            (0..20_000)
                .map(|i| {
                    format!(
                        "{}{i}: {{environment: {{image: a}}}}\n",
                        if i == 0 { "jobs:\n  j" } else { "  j" }
                    )
                })
                .collect(),
        ),
        ("spark", format!("spark:\n  packages:\n{}", fill("  - a:b:c\n"))),
        (
            "v1",
            format!(
                "docker: {{baseImage: a}}\nenvironmentVariables:\n{}",
                (0..40_000).map(|i| format!("  a{i}: b\n")).collect::<String>()
            ),
        ),
        (
            "packages",
            format!("system_packages:\n{}", (0..40_000).map(|i| format!("- p{i}\n")).collect::<String>()),
        ),
    ] {
        for file in ["requirements.txt", "env.yaml", "/nowhere/Dockerfile"] {
            let start = Instant::now();
            if let Ok(found) = read_str(&text, Path::new(file)) {
                found.check();
                provenv_definition::definition_digest(&found.environment.definition);
                write_native(&found.environment);
            }
            let elapsed = start.elapsed();
            println!("{name} {file} {elapsed:?}");
            assert!(elapsed < Duration::from_secs(20), "{name} {file} {elapsed:?}");
        }
    }
}
