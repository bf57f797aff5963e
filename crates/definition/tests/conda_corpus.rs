//! Every conda file of the shared corpus of files found in public repositories: read, or refused for a reason that conda
//! has too. Skipped where the corpus is not there.

use std::path::{Path, PathBuf};
use std::str::FromStr;
use std::time::{Duration, Instant};

use provenv_definition::{
    CondaSpec, Definition, Diagnostic, Format, ReadEnvironment, check, definition_digest, read, read_str,
};
use rattler_conda_types::{MatchSpec, ParseMatchSpecOptions, Version, VersionSpec};

fn corpus(kind: &str) -> Vec<PathBuf> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../../shared/corpus").join(kind);
    let Ok(entries) = fs_err::read_dir(&folder) else {
        eprintln!("skipped: the corpus is not at ../shared/corpus of the repository's root");
        return Vec::new();
    };
    let mut files: Vec<PathBuf> = entries.filter_map(Result::ok).map(|entry| entry.path()).collect();
    files.sort();
    files
}

/// Reads all files of a kind; gives back those that are refused, with the errors.
fn read_all(kind: &str, seen: impl Fn(&Path, ReadEnvironment)) -> (usize, Vec<(PathBuf, Vec<Diagnostic>)>) {
    let files = corpus(kind);
    let mut refused = Vec::new();
    for file in &files {
        let start = Instant::now();
        match read(file) {
            Ok(found) => {
                check(&found.environment);
                // A spec's text reads back as itself, and as what counts.
                for package in &found.environment.definition.conda.packages {
                    let spec: CondaSpec =
                        package.spec.parse().unwrap_or_else(|error| panic!("{}: {error}", package.spec));
                    assert_eq!(spec.to_string(), package.spec, "{}", file.display());
                    let canonical: CondaSpec = spec.canonical().parse().unwrap();
                    assert_eq!(canonical.canonical(), spec.canonical(), "{}", package.spec);
                }
                definition_digest(&found.environment.definition);
                seen(file, found);
            }
            Err(error) => {
                for diagnostic in error.0.iter().filter(|diagnostic| diagnostic.is_error()) {
                    assert!(diagnostic.file.is_some(), "no place: {diagnostic}");
                    let name = file.file_name().unwrap().to_string_lossy();
                    let line = diagnostic.span.map_or(0, |span| span.line);
                    println!(
                        "{} {kind}/{name}:{line} {}\n    {:?} {:?}",
                        diagnostic.code, diagnostic.message, diagnostic.line_text, diagnostic.hint
                    );
                }
                refused.push((file.clone(), error.0));
            }
        }
        assert!(start.elapsed() < Duration::from_secs(5), "{}", file.display());
    }
    println!("{kind}: {} of {} read", files.len() - refused.len(), files.len());
    (files.len(), refused)
}

/// Why files of the corpus are refused: each is a mistake for conda or pip too, but for those that `not_read` counts.
#[derive(Default, Debug)]
struct Reasons {
    templates: usize,
    empty: usize,
    invalid_yaml: usize,
    variables: usize,
    /// Files beside it that the corpus does not have.
    missing_files: usize,
    /// `-r https://…`, which pip would fetch.
    network: usize,
    others: Vec<String>,
}

impl Reasons {
    fn of(refused: &[(PathBuf, Vec<Diagnostic>)]) -> Self {
        let mut reasons = Self::default();
        for (file, errors) in refused {
            let errors: Vec<&Diagnostic> = errors.iter().filter(|error| error.is_error()).collect();
            let has = |code: &str, text: &str| {
                errors.iter().any(|error| error.code == code && error.message.contains(text))
            };
            if has("PV023", "template") {
                reasons.templates += 1;
            } else if has("PV023", "variable") {
                reasons.variables += 1;
            } else if has("PV003", "the file is empty") {
                reasons.empty += 1;
            } else if has("PV003", "") {
                reasons.invalid_yaml += 1;
            } else if has("PV013", "No such file") {
                reasons.missing_files += 1;
            } else if has("PV007", "network") {
                reasons.network += 1;
            } else {
                reasons.others.push(format!("{}: {}", file.display(), errors[0]));
            }
        }
        reasons
    }
}

#[test]
fn environment_files_are_read_or_refused_for_a_reason() {
    let (total, refused) = read_all("conda-env", |file, found| {
        assert_eq!(found.format, Format::CondaEnvironment, "{}", file.display());
        compare_with_rattler(&found);
    });
    let reasons = Reasons::of(&refused);
    println!("conda-env: refused {reasons:?}");
    assert!(reasons.others.is_empty(), "{:?}", reasons.others);
    let valid = total - reasons.templates - reasons.empty - reasons.invalid_yaml - reasons.missing_files;
    assert!(reasons.network * 100 <= valid);
}

#[test]
fn lists_are_read_or_refused_for_a_reason() {
    for (kind, format) in [
        ("conda-explicit", Format::CondaExplicit),
        ("conda-list-export", Format::CondaList),
        ("conda-spec-list", Format::CondaList),
    ] {
        let (_, refused) = read_all(kind, |file, found| {
            let says_nothing = found.environment.definition == Definition::default();
            assert!(found.format == format || says_nothing, "{}", file.display());
            assert!(kind != "conda-explicit" || !found.environment.definition.platforms.is_empty());
        });
        let reasons = Reasons::of(&refused);
        println!("{kind}: refused {reasons:?}");
        assert_eq!(reasons.variables, refused.len(), "{reasons:?}");
    }
}

/// The text that a person wrote means to rattler what our text means.
fn compare_with_rattler(found: &ReadEnvironment) {
    let lenient = ParseMatchSpecOptions::lenient;
    let packages = &found.environment.definition.conda.packages;
    for (package, place) in packages.iter().zip(&found.origins.conda) {
        let Some(line) = &place.line_text else { continue };
        let given: String = line.chars().skip(place.span.column - 1).take(place.span.length).collect();
        let ours = MatchSpec::from_str(&package.spec, lenient()).unwrap();
        let Ok(theirs) = MatchSpec::from_str(given.trim_matches(['"', '\'']), lenient()) else {
            // conda reads over extras; rattler refuses them.
            assert!(given.contains('['), "{given}");
            continue;
        };
        let build =
            |spec: &MatchSpec| spec.build.as_ref().map(ToString::to_string).filter(|build| build != "*");
        assert_eq!(ours.name, theirs.name, "{given}");
        assert_eq!(build(&ours), build(&theirs), "{given}");
        let channel = |spec: &MatchSpec| spec.channel.as_ref().map(|channel| channel.base_url.to_string());
        assert_eq!(channel(&ours), channel(&theirs), "{given}");
        for version in
            ["0.1", "1", "1.2", "2.0", "2.0.1", "3.8", "3.8.5", "3.10", "3.11.2", "11.3", "2023.1.5", "1.0a1"]
        {
            let version = Version::from_str(version).unwrap();
            let matches = |spec: &MatchSpec| spec.version.as_ref().is_none_or(|spec| spec.matches(&version));
            assert_eq!(matches(&ours), matches(&theirs), "{given} {version}");
        }
        let same_version = match (&ours.version, &theirs.version) {
            (Some(VersionSpec::Exact(_, ours)), Some(VersionSpec::Exact(_, theirs))) => ours == theirs,
            _ => true,
        };
        assert!(same_version, "{given}");
    }
}

/// What rattler reads in its own test files is what we read in them.
#[test]
fn environment_files_say_what_rattlers_tables_say() {
    let mut compared = 0;
    for table in corpus("expected-output") {
        let name = table.file_name().unwrap().to_string_lossy().into_owned();
        let Some(input) =
            name.split_once("deserialize_environment_yaml@").map(|(_, name)| name.trim_end_matches(".snap"))
        else {
            continue;
        };
        let Some(file) = corpus("conda-env")
            .into_iter()
            .find(|file| file.to_string_lossy().ends_with(&format!("-{input}")))
        else {
            continue;
        };
        let text = fs_err::read_to_string(&table).unwrap();
        let (_, wanted) = text.split_once("\n---\n").unwrap();
        // Local paths start from the same folder.
        let wanted = read_str(wanted, &file.with_file_name("environment.yml")).unwrap();
        let found = read(&file).unwrap();
        assert_eq!(
            definition_digest(&found.environment.definition),
            definition_digest(&wanted.environment.definition),
            "{input}\n{:#?}\n{:#?}",
            found.environment,
            wanted.environment
        );
        assert_eq!(found.environment.environment_variables, wanted.environment.environment_variables);
        compared += 1;
    }
    println!("{compared} tables agree");
}

/// Texts that rattler's tables read and we do not: conda has no extras, flags, conditions, platforms of channels or
/// patterns of names, and a definition holds no credentials.
const NOT_OURS: &[&str] = &[
    "[extras=",
    "[flags=",
    "[when=",
    "[linux-64,noarch]::",
    "[noarch]::",
    "[linux-64]::",
    "credentials",
    "*[",
];

#[test]
fn specs_are_read_where_rattlers_tables_read_them() {
    let (mut read, mut refused, mut others) = (0, 0, Vec::new());
    for table in corpus("expected-output") {
        if !table.to_string_lossy().contains("matchspec_display_edge_cases") {
            continue;
        }
        let text = fs_err::read_to_string(&table).unwrap();
        for block in text.split("case      : ").skip(1) {
            let (case, rest) = block.split_once('\n').unwrap();
            let theirs = !rest.starts_with("parse     : rejected");
            let all =
                ParseMatchSpecOptions::lenient().with_extras(true).with_flags(true).with_conditionals(true);
            // Some cases are described, not written.
            let described = case.contains(" = ")
                || (case.contains(' ') && !case.contains(['=', '<', '>', '[', ':', '#']));
            if described || MatchSpec::from_str(case, all).is_ok() != theirs {
                continue;
            }
            let ours = case.parse::<CondaSpec>();
            match (&ours, theirs) {
                (Ok(_), true) => read += 1,
                (Err(_), false) => refused += 1,
                _ => others.push(format!(
                    "{case}: rattler {}, we {}",
                    if theirs { "reads it" } else { "refuses it" },
                    ours.map_or_else(|error| error.to_string(), |spec| spec.to_string())
                )),
            }
        }
    }
    println!(
        "rattler's tables of specs: {read} read and {refused} refused by both, {} otherwise:",
        others.len()
    );
    for other in &others {
        println!("  {other}");
    }
    let surprising = others.iter().filter(|other| !NOT_OURS.iter().any(|known| other.contains(known)));
    assert_eq!(surprising.collect::<Vec<_>>(), Vec::<&String>::new());
}
