//! Environments of v1: JSON, the folder that the SDK writes, run configurations.

use std::path::Path;

use provenv_definition::{
    Base, ContextLocation, Environment, Format, Platform, definition_digest, read, read_str, write_native,
};

use super::{found, remarks, render};

/// SPEC §b: the full literal of `_serialize_to_dict`.
const V1: &str = r#"{ "name": "myenv", "version": null, "environmentVariables": { "MY_VAR": "1" },
  "python": { "userManagedDependencies": false, "interpreterPath": "python", "condaDependenciesFile": null, "baseCondaEnvironment": null,
    "condaDependencies": { "name": "project_environment",
      "dependencies": [ "python=3.10", { "pip": [ "--find-links https://pypi.python.org/simple/index.html",
        "--extra-index-url https://pypi.python.org/simple", "pillow", "azureml-defaults>=1.0.45" ] }, "numpy==1.17.0", "pip" ],
      "channels": [ "anaconda", "conda-forge" ] } },
  "docker": { "enabled": false, "baseImage": null,
    "baseDockerfile": "FROM mcr.microsoft.com/azureml/openmpi4.1.0-ubuntu22.04\nRUN echo hi\n", "buildContext": null,
    "sharedVolumes": true, "shmSize": "2g", "arguments": [],
    "baseImageRegistry": { "address": null, "username": null, "password": null, "registryIdentity": null },
    "platform": { "os": "Linux", "architecture": "amd64" } },
  "spark": { "repositories": [ "https://mmlspark.azureedge.net/maven" ],
    "packages": [ { "group": "com.microsoft.azure", "artifact": "mmlspark_2.11", "version": "0.12" } ], "precachePackages": true },
  "databricks": { "mavenLibraries": [], "pypiLibraries": [], "rcranLibraries": [], "jarLibraries": [], "eggLibraries": [] },
  "r": null, "inferencingStackVersion": null, "assetId": null }"#;

fn is_the_whole(environment: &Environment) {
    assert_eq!(environment.name.as_deref(), Some("myenv"));
    assert_eq!(environment.version, None);
    assert_eq!(environment.environment_variables["MY_VAR"], "1");
    assert_eq!(environment.interpreter_path, None);
    let definition = &environment.definition;
    let text = "FROM mcr.microsoft.com/azureml/openmpi4.1.0-ubuntu22.04\nRUN echo hi\n".to_owned();
    assert_eq!(definition.base, Base::Dockerfile { text });
    let channels: Vec<_> = definition.conda.channels.iter().map(ToString::to_string).collect();
    assert_eq!(channels, ["anaconda", "conda-forge"]);
    let packages: Vec<_> = definition.conda.packages.iter().map(|package| package.spec.as_str()).collect();
    assert_eq!(packages.len(), 3, "{packages:?}");
    let pip: Vec<_> = definition.pip.requirements.iter().map(|entry| entry.requirement.as_str()).collect();
    assert_eq!(pip, ["pillow", "azureml-defaults>=1.0.45"]);
    assert_eq!(definition.pip.find_links.len(), 1);
    assert_eq!(definition.spark.repositories[0].to_string(), "https://mmlspark.azureedge.net/maven");
    assert_eq!(definition.spark.packages[0].to_string(), "com.microsoft.azure:mmlspark_2.11:0.12");
    assert!(!definition.spark.no_precache && !definition.user_managed);
    assert!(definition.platforms.is_empty());
}

#[test]
fn a_whole_v1_environment_is_read_without_a_word() {
    let found = found(V1, "definition.json");
    assert_eq!(found.format, Format::AzureV1);
    assert_eq!(found.warnings.iter().map(render).collect::<Vec<_>>(), [""; 0]);
    is_the_whole(&found.environment);
    let again = read_str(&write_native(&found.environment), Path::new("/written.yaml")).unwrap();
    assert_eq!(again.environment, found.environment);
}

#[test]
fn the_case_that_the_sdk_sends_is_read_alike() {
    let text =
        ["name", "version", "environmentVariables", "docker", "spark", "inferencingStackVersion", "python"]
            .into_iter()
            .fold(V1.to_owned(), |text, key| {
                let upper = key[..1].to_uppercase() + &key[1..];
                text.replacen(&format!("\"{key}\":"), &format!("\"{upper}\":"), 1)
            });
    assert_ne!(text, V1);
    let found = found(&text, "definition.json");
    assert_eq!(found.format, Format::AzureV1);
    is_the_whole(&found.environment);
}

#[test]
fn a_folder_that_the_sdk_wrote_is_read_with_its_three_files() {
    let folder = tempfile::tempdir().unwrap();
    let write = |name: &str, text: &str| fs_err::write(folder.path().join(name), text).unwrap();
    write(
        "conda_dependencies.yml",
        "# Conda environment specification.\nname: project_environment\ndependencies:\n  # The python interpreter version.\n- python=3.10\n\n- pip:\n  - --find-links https://pypi.python.org/simple/index.html\n  - --extra-index-url https://pypi.python.org/simple\n  - pillow\n  - azureml-defaults>=1.0.45\n- numpy==1.17.0\n- pip\nchannels:\n- anaconda\n- conda-forge\n",
    );
    write("BaseDockerfile", "FROM mcr.microsoft.com/azureml/openmpi4.1.0-ubuntu22.04\r\nRUN echo hi\r\n");
    // As the SDK does it: the dependencies are left out, and the text of the Dockerfile is null.
    let cut = |text: &str, from: &str, to: &str, with: &str| {
        let start = text.find(from).unwrap();
        let end = start + text[start..].find(to).unwrap();
        format!("{}{with}{}", &text[..start], &text[end..])
    };
    let json = cut(V1, ",\n    \"condaDependencies\"", "},\n  \"docker\"", "");
    let json = cut(&json, "\"FROM", ", \"buildContext\"", "null");
    write("azureml_environment.json", &json);
    let found = read(&folder.path().join("azureml_environment.json"))
        .unwrap_or_else(|error| panic!("{json}\n{:?}", error.0));
    is_the_whole(&found.environment);
    assert_eq!(found.files.len(), 3);
    // One definition, however it is written.
    let inline = read_str(V1, Path::new("/project/definition.json")).unwrap();
    assert_eq!(
        definition_digest(&inline.environment.definition),
        definition_digest(&found.environment.definition)
    );
    // A mistake in a file beside has its place there.
    write("conda_dependencies.yml", "dependencies:\n- numpy ~~1\n");
    let error = read(&folder.path().join("azureml_environment.json")).unwrap_err();
    assert!(error.0[0].file.as_ref().unwrap().ends_with("conda_dependencies.yml"));
    assert_eq!(error.0[0].span.unwrap().line, 2);
}

fn v1(part: &str) -> String {
    format!("{{\"name\": \"a\",\n{part}}}")
}

#[test]
fn each_field_that_is_not_carried_is_named_unless_it_is_the_default() {
    let image = "\"docker\": {\"baseImage\": \"a:1\",\n";
    for (part, remark) in [
        (
            "\"docker\": {\"baseImage\": \"a:1\"}, \"inferencingStackVersion\": \"latest\"".to_owned(),
            "PV012 2:33+25 `inferencingStackVersion` is not kept: no serving software is added to the image",
        ),
        (
            "\"docker\": {\"baseImage\": \"a:1\"}, \"autoRebuild\": \"OnBaseImageUpdate\"".to_owned(),
            "PV012 2:33+13 `autoRebuild` is not kept: nothing is rebuilt unasked: `provenv upgrade` does it",
        ),
        (
            "\"docker\": {\"baseImage\": \"a:1\"}, \"databricks\": {\"pypiLibraries\": [{\"package\": \"x\"}]}".to_owned(),
            "PV012 2:48+15 `pypiLibraries` is not kept: libraries of Databricks are installed by Databricks alone",
        ),
        (
            "\"docker\": {\"baseImage\": \"a:1\"}, \"python\": {\"baseCondaEnvironment\": \"x\"}".to_owned(),
            "PV012 2:44+22 `baseCondaEnvironment` is not kept: an environment that is already on some machine is not built upon",
        ),
        (format!("{image}\"enabled\": true}}"), "PV012 3:1+9 `enabled` is not kept: there always is an image"),
        (
            format!("{image}\"sharedVolumes\": false}}"),
            "PV012 3:1+15 `sharedVolumes` is not kept: it belongs to the run, not to the image",
        ),
        (
            format!("{image}\"shmSize\": \"8g\"}}"),
            "PV012 3:1+9 `shmSize` is not kept: it belongs to the run, not to the image",
        ),
        (
            format!("{image}\"arguments\": [\"--gpus\"]}}"),
            "PV012 3:1+11 `arguments` is not kept: it belongs to the run, not to the image",
        ),
        (
            format!("{image}\"baseImageRegistry\": {{\n\"username\": \"u\"}}}}"),
            "PV012 4:1+10 `username` is not kept: a definition holds no credentials (take it out of the file, and log in to the registry where the image is built)",
        ),
        (
            format!("{image}\"baseImageRegistry\": {{\n\"password\": \"hunter2\"}}}}"),
            "PV012 4:1+10 `password` is not kept: a definition holds no credentials (take it out of the file, and log in to the registry where the image is built)",
        ),
        (
            format!("{image}\"baseImageRegistry\": {{\n\"registryIdentity\": {{\"clientId\": \"x\"}}}}}}"),
            "PV012 4:1+18 `registryIdentity` is not kept: identities of Azure mean nothing here; log in to the registry where the image is built",
        ),
        (
            format!("{image}\"baseImag\": 1}}"),
            "PV012 3:1+10 unknown key `baseImag` is not read (did you mean `baseImage`?)",
        ),
        (
            "\"docker\": {\"baseDockerfile\": \"FROM a:1\",\n\"baseImageRegistry\": {\"address\": \"h.test\"}}".to_owned(),
            "PV012 3:34+8 `address` is not kept: no `baseImage` is taken from there",
        ),
        (
            "\"docker\": {\"baseDockerfile\": \"FROM a:1\\nCOPY b c\"}".to_owned(),
            "PV036 2:30+20 COPY takes files from a build context, and a text alone has none (name the folder and its Dockerfile by `build`, or take the files from a URL or an image)",
        ),
        (
            "\"docker\": {\"baseImage\": null}".to_owned(),
            "PV038 2:11+1 Azure ML: one of `baseImage`, `baseDockerfile` and `buildContext` is required (the base is made of Debian packages)",
        ),
        (
            "\"docker\": {\"baseImage\": \"a:1\"}, \"r\": {\"githubPackages\": [{\"repository\": \"a/b@1\",\n\"authToken\": \"hunter2\"}]}".to_owned(),
            "PV012 3:1+11 `authToken` is not kept: a definition holds no secret (keep it in netrc or in the keyring, and take it out of the file)",
        ),
        // Errors.
        (
            format!("{image}\"baseDockerfile\": \"FROM a\"}}"),
            "PV008 3:19+8 `baseImage` and `baseDockerfile` exclude each other: an image stands on one thing (keep one of them)",
        ),
        (format!("{image}\"platform\": {{\"os\": \"Windows\"}}}}"), "PV007 3:20+9 only Linux images can be made"),
        (
            format!("{image}\"platform\": {{\"architecture\": \"ppc\"}}}}"),
            "PV021 3:30+5 unknown platform `linux/ppc`: use linux/amd64 or linux/arm64",
        ),
        (
            "\"docker\": {\"baseDockerfile\": \"FRM a\"}".to_owned(),
            "PV035 2:30+7 unknown instruction `FRM` (did you mean `FROM`?)",
        ),
        (
            "\"docker\": {\"buildContext\": {\"location\": \"nowhere\"}}".to_owned(),
            "PV037 2:41+9 the build context `nowhere` is not a folder (folders are named relative to the file that names them)",
        ),
        (
            "\"docker\": {\"baseImage\": \"a b\"}".to_owned(),
            "PV021 2:25+5 `baseImage` is not the reference of an image",
        ),
    ] {
        let text = v1(&part);
        assert_eq!(remarks(&text, "definition.json"), [remark], "{text}");
        let all = format!("{:?}", read_str(&text, Path::new("/project/definition.json")));
        assert!(!all.contains("hunter2"), "{all}");
    }
    let defaults = v1(
        "\"assetId\": \"azureml://x\", \"autoRebuild\": \"Disabled\", \"docker\": {\"baseImage\": \"a:1\", \"enabled\": false, \"sharedVolumes\": true, \"shmSize\": null, \"arguments\": [], \"gpuSupport\": true, \"buildContext\": null, \"baseImageRegistry\": {\"address\": null, \"username\": null, \"password\": \"\"}}, \"python\": {\"interpreterPath\": \"python\", \"baseCondaEnvironment\": null}, \"databricks\": {\"mavenLibraries\": []}, \"r\": null",
    );
    assert_eq!(remarks(&defaults, "definition.json"), [""; 0]);
}

#[test]
fn a_password_is_shown_nowhere_though_all_stands_on_one_line() {
    let text = r#"{"name":"a","docker":{"baseImage":"a b","baseImageRegistry":{"address":"h.test","username":"u","password":"hunter2"}},"nmae":1}"#;
    let error = read_str(text, Path::new("/project/definition.json")).unwrap_err();
    assert_eq!(
        error.0.iter().map(|error| error.code).collect::<Vec<_>>(),
        ["PV021", "PV012", "PV012", "PV012"]
    );
    assert!(error.0.iter().any(|error| error.line_text.is_some()));
    assert!(!format!("{error:?}").contains("hunter2"), "{error:?}");
}

#[test]
fn a_base_image_is_read_with_the_address_of_its_registry() {
    for (reference, address, expected) in [
        ("a/b:1", "null", "a/b:1"),
        ("a/b:1", "\"\"", "a/b:1"),
        ("a/b:1", "\"h.test\"", "h.test/a/b:1"),
        ("a/b:1", "\"https://h.test/\"", "h.test/a/b:1"),
        ("h.test/a/b:1", "\"h.test\"", "h.test/a/b:1"),
        ("h.test.other/b:1", "\"h.test\"", "h.test/h.test.other/b:1"),
    ] {
        let text = v1(&format!(
            "\"docker\": {{\"baseImage\": \"{reference}\", \"baseImageRegistry\": {{\"address\": {address}}}}}"
        ));
        let found = found(&text, "e.json");
        assert_eq!(found.environment.definition.base, Base::Image { reference: expected.to_owned() });
    }
}

#[test]
fn user_managed_r_and_platforms_are_carried() {
    let text = v1(
        r#""python": {"userManagedDependencies": true, "interpreterPath": "/opt/py/bin/python", "condaDependencies": {"dependencies": ["numpy"]}},
        "docker": {"baseImage": "a:1", "platform": {"os": "Linux", "architecture": "arm64"}},
        "spark": {"precachePackages": false, "packages": [{"group": "g", "artifact": "a_2.12", "version": "1"}]},
        "r": {"rVersion": "3.6", "userManaged": true, "rscriptPath": "/r", "snapshotDate": "2020-01-01",
          "cranPackages": [{"name": "x", "version": "1", "repository": "https://cran.test/"}, {"name": "y"}],
          "githubPackages": [{"repository": "a/b@1", "authToken": null}], "customUrlPackages": ["https://h.test/p.tar.gz"],
          "bioconductorPackages": ["z"]}"#,
    );
    let environment = found(&text, "e.json").environment;
    assert_eq!(environment.interpreter_path.as_deref(), Some("/opt/py/bin/python"));
    let definition = &environment.definition;
    assert!(definition.user_managed && definition.spark.no_precache);
    assert_eq!(definition.conda.packages.len(), 1);
    assert_eq!(definition.platforms, [Platform::LinuxArm64]);
    let r = &definition.r;
    assert_eq!((r.version.as_deref(), r.user_managed), (Some("3.6"), true));
    assert_eq!((r.rscript_path.as_deref(), r.snapshot_date.as_deref()), (Some("/r"), Some("2020-01-01")));
    assert_eq!(r.cran[0].version.as_deref(), Some("1"));
    assert_eq!(r.cran[0].repository.as_ref().unwrap().to_string(), "https://cran.test/");
    assert_eq!(
        (r.cran[1].name.as_str(), r.github[0].as_str(), r.bioconductor[0].as_str()),
        ("y", "a/b@1", "z")
    );
    let again = read_str(&write_native(&environment), Path::new("/w.yaml")).unwrap();
    assert_eq!(again.environment, environment);
}

#[test]
fn build_contexts_of_v1_are_repositories_archives_and_folders() {
    for (location, expected) in [
        ("https://h.test/a.git#main:docker", "https://h.test/a.git#main:docker"),
        ("git@h.test:a/b.git#main", "ssh://git@h.test/a/b.git#main"),
        (
            "https://acct.blob.core.windows.net/azureml/DockerBuildContext/x/",
            "https://acct.blob.core.windows.net/azureml/DockerBuildContext/x/",
        ),
    ] {
        let text = v1(&format!(
            "\"docker\": {{\"buildContext\": {{\"locationType\": \"git\", \"location\": \"{location}\", \"dockerfilePath\": \"./d/Dockerfile\"}}}}"
        ));
        let Base::Context(context) = found(&text, "e.json").environment.definition.base else { panic!() };
        assert_eq!(context.dockerfile, "d/Dockerfile");
        let ContextLocation::Url(url) = context.location else { panic!() };
        assert_eq!(url.to_string(), expected);
    }
    for (location, code) in [
        ("https://u:hunter2@h.test/a.git", "PV015"),
        ("https://h.test/a?sig=hunter2", "PV015"),
        ("https://h.test/a?x=1", "PV007"),
        ("ftp://h.test/a", "PV014"),
    ] {
        let text = v1(&format!("\"docker\": {{\"buildContext\": {{\"location\": \"{location}\"}}}}"));
        let error = read_str(&text, Path::new("/e.json")).unwrap_err();
        assert_eq!(error.0[0].code, code, "{location}");
        assert!(!format!("{error:?}").contains("hunter2"));
    }
}

#[test]
fn the_environment_of_a_run_configuration_is_read() {
    let text = "script: train.py\nframework: Python\ndocker:\n  useDocker: true\nenvironment:\n  name: e\n  python:\n    userManagedDependencies: true\n  docker:\n    baseImage: a:1\nhistory:\n  outputCollection: true\n";
    let found = found(text, "sklearn.runconfig.yml");
    assert_eq!(found.format, Format::AzureV1);
    assert_eq!(found.environment.name.as_deref(), Some("e"));
    assert!(found.environment.definition.user_managed);
}
