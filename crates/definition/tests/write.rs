//! What is written in a format reads back as the same definition, or the writer has said what is lost.

use std::path::Path;

use proptest::prelude::*;
use proptest::test_runner::TestRunner;
use provenv_definition::{
    Base, CondaRequirements, Definition, Environment, PipRequirements, Platform, RPackages, ReadEnvironment,
    SparkPackages, WriteError, WriteFormat, Written, definition_digest, read, read_str, write,
};

use crate::generated;

/// The formats that a definition can be written in.
const FORMATS: [WriteFormat; 6] = [
    WriteFormat::Conda,
    WriteFormat::Requirements,
    WriteFormat::Dockerfile,
    WriteFormat::AzuremlV1,
    WriteFormat::AzuremlV2,
    WriteFormat::Native,
];

fn lay_down(written: &Written, folder: &Path) {
    for file in &written.files {
        let path = folder.join(&file.name);
        fs_err::create_dir_all(path.parent().unwrap()).unwrap();
        fs_err::write(path, &file.text).unwrap();
    }
}

fn read_back(written: &Written) -> ReadEnvironment {
    let folder = tempfile::tempdir().unwrap();
    lay_down(written, folder.path());
    let found = read(&folder.path().join(&written.files[0].name));
    found.unwrap_or_else(|error| panic!("{:#?}\n{written:#?}", error.0))
}

fn shown(written: &Written) -> String {
    let files = written.files.iter().map(|file| format!("── {}\n{}\n", file.name, file.text));
    files.collect::<String>() + &format!("{:#?}", written.not_carried)
}

/// `environment` without what `format` has no place for.
fn fitting(mut environment: Environment, format: WriteFormat) -> Environment {
    let Environment { description, tags, inference_config, interpreter_path, environment_variables, .. } =
        &mut environment;
    let azure_v2 = format == WriteFormat::AzuremlV2;
    if !matches!(format, WriteFormat::Native | WriteFormat::AzuremlV2) {
        (*description, *inference_config) = (None, None);
        tags.clear();
    }
    if !matches!(format, WriteFormat::Native | WriteFormat::AzuremlV1) {
        *interpreter_path = None;
    }
    if matches!(format, WriteFormat::Requirements | WriteFormat::Dockerfile) || azure_v2 {
        environment_variables.clear();
    }
    if matches!(format, WriteFormat::Requirements | WriteFormat::Dockerfile) {
        environment.name = None;
    }
    if matches!(format, WriteFormat::Requirements | WriteFormat::Dockerfile | WriteFormat::Conda) {
        environment.version = None;
    }
    let definition = &mut environment.definition;
    let nothing = Definition::default();
    match format {
        WriteFormat::Native => return environment,
        WriteFormat::Dockerfile => {
            let base = match &definition.base {
                Base::Dockerfile { text } => Base::Dockerfile { text: text.clone() },
                _ => Base::Dockerfile { text: "FROM b:2\n".to_owned() },
            };
            environment.definition = Definition { base, ..nothing };
            return environment;
        }
        WriteFormat::AzuremlV1 | WriteFormat::AzuremlV2 => {
            let as_text = matches!(definition.base, Base::Dockerfile { .. });
            if matches!(definition.base, Base::Debian { .. }) || (azure_v2 && as_text) {
                definition.base = Base::Image { reference: "a:1".to_owned() };
            }
            definition.pip.constraints.clear();
            if azure_v2 && matches!(definition.base, Base::Context(_)) {
                definition.conda = CondaRequirements::default();
                definition.pip = PipRequirements::default();
            }
        }
        _ => definition.base = Base::default(),
    }
    if format == WriteFormat::Requirements {
        definition.conda = CondaRequirements::default();
    }
    definition.conda.virtual_packages.clear();
    definition.system_packages.clear();
    definition.python = None;
    if format != WriteFormat::AzuremlV1 {
        definition.spark = SparkPackages::default();
        definition.r = RPackages::default();
        definition.user_managed = false;
    }
    match format {
        WriteFormat::Conda => {}
        WriteFormat::AzuremlV1 => definition.platforms.truncate(1),
        _ => definition.platforms.clear(),
    }
    environment
}

fn digest_survives(environment: &Environment, format: WriteFormat) -> Result<(), TestCaseError> {
    let written = match write(environment, format) {
        Ok(written) => written,
        Err(WriteError::NoDockerfile { .. }) if format == WriteFormat::Dockerfile => return Ok(()),
        Err(error) => panic!("{format}: {error}"),
    };
    let found = read_back(&written);
    let lost = written.not_carried.iter().any(|part| part.counts);
    let before = definition_digest(&environment.definition);
    let after = definition_digest(&found.environment.definition);
    let text = shown(&written);
    prop_assert!(lost || before == after, "{format}\n{text}\n{environment:#?}\n{:#?}", found.environment);
    Ok(())
}

fn fitting_is_kept(environment: Environment, format: WriteFormat) -> Result<(), TestCaseError> {
    let environment = fitting(environment, format);
    let written = write(&environment, format).unwrap();
    let text = shown(&written);
    let lost = written.not_carried.iter().any(|part| part.counts);
    prop_assert!(!lost, "{format} must carry all of it\n{text}\n{environment:#?}");
    digest_survives(&environment, format)?;
    let found = read_back(&written).environment;
    prop_assert_eq!(&found.name, &environment.name, "{}", text);
    prop_assert_eq!(&found.version, &environment.version, "{}", text);
    prop_assert_eq!(&found.description, &environment.description, "{}", text);
    prop_assert_eq!(&found.tags, &environment.tags, "{}", text);
    prop_assert_eq!(&found.environment_variables, &environment.environment_variables, "{}", text);
    prop_assert_eq!(&found.inference_config, &environment.inference_config, "{}", text);
    prop_assert_eq!(&found.interpreter_path, &environment.interpreter_path, "{}", text);
    prop_assert_eq!(found.definition.user_managed, environment.definition.user_managed, "{}", text);
    Ok(())
}

/// Runs `test` on many environments, in each format.
fn many(test: impl Fn(Environment, WriteFormat) -> Result<(), TestCaseError>) {
    for format in FORMATS {
        let config = ProptestConfig { cases: 200, failure_persistence: None, ..ProptestConfig::default() };
        let result = TestRunner::new(config).run(&generated::environment(), |one| test(one, format));
        result.unwrap_or_else(|error| panic!("{format}: {error}"));
    }
}

#[test]
fn a_definition_keeps_its_digest_or_the_loss_is_named() {
    many(|environment, format| digest_survives(&environment, format));
}

#[test]
fn what_a_format_has_a_place_for_it_carries() {
    many(fitting_is_kept);
}

#[test]
fn a_dockerfile_names_what_no_step_of_it_uses() {
    let text = "dockerfile: |\n  FROM a:1\npip:\n  constraints: [z<3]\n";
    let environment = read_str(text, Path::new("/p/env.yaml")).unwrap().environment;
    let written = write(&environment, WriteFormat::Dockerfile).unwrap();
    assert!(written.not_carried.iter().any(|part| part.counts), "{:?}", written.not_carried);
    let text = "dockerfile: |\n  FROM a:1\n";
    let environment = read_str(text, Path::new("/p/env.yaml")).unwrap().environment;
    assert_eq!(write(&environment, WriteFormat::Dockerfile).unwrap().not_carried, []);
}

#[test]
fn formats_of_locks_ask_for_a_lock() {
    for format in WriteFormat::ALL.iter().copied().filter(|format| format.is_lock()) {
        let error = write(&Environment::default(), format).unwrap_err();
        assert!(matches!(error, WriteError::NeedsLock(_)), "{format}: {error}");
        assert!(error.hint().unwrap().contains("--locked"), "{format}");
    }
}

/// A definition of all that there is, and what each format says of it.
#[test]
fn each_format_names_what_it_cannot_carry() {
    let text = "name: all\nbase: debian/trixie\npython: \"3.13\"\nsystem_packages: [git]\nplatforms: [linux/arm64]\n\
                pip:\n  requirements: [numpy]\n  constraints: [scipy<2]\ntags: {a: b}\nenvironment_variables: {SECRET_TOKEN: abc}\n";
    let environment = read_str(text, Path::new("/p/env.yaml")).unwrap().environment;
    let expected: [(WriteFormat, &[&str], &[&str]); 5] = [
        (
            WriteFormat::Conda,
            &["the base, Debian trixie", "the system packages `git`", "Python 3.13"],
            &["the tags `a`"],
        ),
        (
            WriteFormat::Requirements,
            &[
                "the base, Debian trixie",
                "the system packages `git`",
                "Python 3.13",
                "the platforms `linux/arm64`",
            ],
            &["the name `all`", "the tags `a`", "the environment variables `SECRET_TOKEN`"],
        ),
        (
            WriteFormat::Dockerfile,
            &["the platforms `linux/arm64`", "the definition"],
            &["the name `all`", "the tags `a`", "the environment variables `SECRET_TOKEN`"],
        ),
        (
            WriteFormat::AzuremlV1,
            &[
                "the base, Debian trixie",
                "the system packages `git`",
                "Python 3.13",
                "the constraints `scipy<2`",
            ],
            &["the tags `a`"],
        ),
        (
            WriteFormat::AzuremlV2,
            &[
                "the base, Debian trixie",
                "the system packages `git`",
                "Python 3.13",
                "the constraints `scipy<2`",
                "the platforms `linux/arm64`",
            ],
            &["the environment variables `SECRET_TOKEN`"],
        ),
    ];
    for (format, losses, remarks) in expected {
        let written = write(&environment, format).unwrap();
        for (counts, names) in [(true, losses), (false, remarks)] {
            let found = written.not_carried.iter().filter(|part| part.counts == counts);
            let mut found: Vec<&str> = found.map(|part| &*part.what).collect();
            let mut names = names.to_vec();
            found.sort_unstable();
            names.sort_unstable();
            assert_eq!(found, names, "{format} {counts}\n{}", shown(&written));
        }
        let said: String = written.not_carried.iter().map(|part| part.why.clone()).collect();
        assert!(!said.contains("abc"), "values of variables are not shown");
    }
}

#[test]
fn platforms_that_are_the_default_are_no_loss() {
    let mut environment = Environment::default();
    environment.definition.platforms = vec![Platform::LinuxAmd64];
    assert_eq!(write(&environment, WriteFormat::Requirements).unwrap().not_carried, []);
}

/// A folder with a Dockerfile is named where it can be, and its content counts; a Dockerfile alone is what it says.
#[test]
fn a_build_context_of_this_machine_is_named() {
    let folder = tempfile::tempdir().unwrap();
    fs_err::create_dir(folder.path().join("context")).unwrap();
    fs_err::write(folder.path().join("context/Dockerfile"), "FROM a:1\nCOPY data /data\n").unwrap();
    fs_err::write(folder.path().join("context/data"), "1").unwrap();
    let file = folder.path().join("environment.yaml");
    fs_err::write(&file, "name: a\nbuild:\n  path: context\n").unwrap();
    let environment = read(&file).unwrap().environment;
    assert!(matches!(environment.definition.base, Base::Context(_)), "{environment:?}");
    for format in [WriteFormat::Native, WriteFormat::AzuremlV2] {
        let written = write(&environment, format).unwrap();
        assert_eq!(written.not_carried, [], "{format}");
        let found = read_back(&written).environment.definition;
        assert_eq!(definition_digest(&found), definition_digest(&environment.definition), "{format}");
    }
    let written = write(&environment, WriteFormat::Dockerfile).unwrap();
    assert_eq!(written.files[0].text, "FROM a:1\nCOPY data /data\n");
    assert!(written.not_carried.iter().any(|part| part.counts && part.what.starts_with("the build context")));
    let written = write(&environment, WriteFormat::AzuremlV1).unwrap();
    assert!(written.not_carried.iter().any(|part| part.counts && part.why.contains("from_local_directory")));
}
