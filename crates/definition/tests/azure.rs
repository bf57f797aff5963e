//! Azure ML's environments through the front door: v1, v2, and those inside jobs and deployments.

use std::path::Path;

use provenv_definition::{
    Base, ContextLocation, Diagnostic, Environment, Format, Platform, ReadEnvironment, definition_digest,
    read, read_str, write_native,
};

fn render(diagnostic: &Diagnostic) -> String {
    let place = diagnostic
        .span
        .map_or(String::new(), |span| format!(" {}:{}+{}", span.line, span.column, span.length));
    let hint = diagnostic.hint.as_ref().map_or(String::new(), |hint| format!(" ({hint})"));
    format!("{}{place} {}{hint}", diagnostic.code, diagnostic.message)
}

fn found(text: &str, name: &str) -> ReadEnvironment {
    let path = Path::new("/project").join(name);
    read_str(text, &path).unwrap_or_else(|error| panic!("{text}\n{:?}", error.0))
}

fn remarks(text: &str, name: &str) -> Vec<String> {
    let diagnostics = match read_str(text, &Path::new("/project").join(name)) {
        Ok(found) => found.warnings,
        Err(error) => error.0,
    };
    diagnostics.iter().map(render).collect()
}

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

/// A folder with what the files of the tests name.
fn project() -> tempfile::TempDir {
    let folder = tempfile::tempdir().unwrap();
    let write = |name: &str, text: &str| {
        let path = folder.path().join(name);
        fs_err::create_dir_all(path.parent().unwrap()).unwrap();
        fs_err::write(path, text).unwrap();
    };
    write(
        "conda.yaml",
        "name: c\nchannels: [conda-forge]\ndependencies:\n- python=3.10\n- pip:\n  - -r r.txt\nvariables: {A: b}\n",
    );
    write("r.txt", "numpy\n");
    write("empty.yaml", "# nothing\n");
    write("context/Dockerfile", "FROM a:1\nCOPY x /x\n");
    write("context/gpu/Dockerfile", "FROM a:1\n");
    write("context/x", "x");
    write("alone/Dockerfile", "FROM a:latest\nRUN b\n");
    folder
}

#[test]
fn v2_environments_are_read_with_what_they_name() {
    let folder = project();
    let read_v2 = |text: &str| {
        let path = folder.path().join("env.yaml");
        fs_err::write(&path, text).unwrap();
        read(&path).unwrap_or_else(|error| panic!("{text}\n{:?}", error.0))
    };
    let found = read_v2(
        "$schema: https://schemas.test/environment.schema.json\nname: e\nimage: a:1\nconda_file: conda.yaml\n",
    );
    assert_eq!(found.format, Format::Native);
    assert_eq!(found.warnings.iter().map(render).collect::<Vec<_>>(), [""; 0]);
    assert_eq!(found.files.len(), 3);
    let environment = &found.environment;
    assert_eq!(environment.name.as_deref(), Some("e"));
    assert_eq!(environment.environment_variables["A"], "b");
    assert_eq!(environment.definition.conda.packages.len(), 1);
    assert_eq!(environment.definition.pip.requirements[0].requirement, "numpy");
    let inline = read_v2(
        "image: a:1\nconda_file:\n  name: c\n  channels: [conda-forge]\n  dependencies:\n  - python=3.10\n  - pip: [numpy]\n",
    );
    assert_eq!(inline.environment.name, None);
    assert_eq!(definition_digest(&inline.environment.definition), definition_digest(&environment.definition));

    for (text, dockerfile) in [
        ("build: {path: context}", "Dockerfile"),
        ("build: {path: ./context/, dockerfile_path: ./gpu/Dockerfile}", "gpu/Dockerfile"),
        ("dockerfile: context/Dockerfile", "Dockerfile"),
    ] {
        let found = read_v2(text);
        let Base::Context(context) = &found.environment.definition.base else { panic!("{text}") };
        assert_eq!(context.dockerfile, dockerfile);
        let again = read_v2(&write_native(&found.environment));
        assert_eq!(again.environment, found.environment, "{text}");
    }
    for text in ["dockerfile: alone/Dockerfile", "dockerfile: |\n  FROM a:latest\n  RUN b\n"] {
        let found = read_v2(text);
        let expected = Base::Dockerfile { text: "FROM a:latest\nRUN b\n".to_owned() };
        assert_eq!(found.environment.definition.base, expected);
        let moving: Vec<_> = found.check().into_iter().filter(|remark| remark.code == "PV106").collect();
        let span = moving[0].span.unwrap();
        assert_eq!((span.line, span.length), if text.contains('|') { (2, 4) } else { (1, 4) });
    }
    let one = read_v2("dockerfile: FROM a:1").environment;
    assert_eq!(one.definition.base, Base::Dockerfile { text: "FROM a:1\n".to_owned() });
    assert_eq!(read_v2(&write_native(&one)).environment, one);
}

#[test]
fn mistakes_of_v2_are_named_with_their_places() {
    let folder = project();
    let path = folder.path().join("env.yaml");
    for (text, remark) in [
        (
            "image: a:1\nbuild: {path: context}",
            "PV008 2:8+1 `image` and `build` exclude each other: an image stands on one thing (keep one of them (Azure ML: \"Docker image or Dockerfile should be provided not both\"))",
        ),
        (
            "$schema: x\nconda_file: {dependencies: [a]}",
            "PV038 2:1+10 Azure ML: \"Docker image or Dockerfile is required for environments\" (name an `image` if Azure ML should read this too)",
        ),
        (
            "build: {dockerfile_path: a}",
            "PV021 1:8+1 `build` lacks `path` (name the folder of the build context)",
        ),
        (
            "build: {path: context, dockerfil_path: a}",
            "PV004 1:24+14 unknown key `dockerfil_path` (did you mean `dockerfile_path`?)",
        ),
        (
            "build: {path: nowhere}",
            "PV037 1:15+7 the build context `nowhere` is not a folder (folders are named relative to the file that names them)",
        ),
        (
            "build: {path: context, dockerfile_path: ../alone/Dockerfile}",
            "PV037 1:41+19 `../alone/Dockerfile` is not in the build context (name the Dockerfile relative to the folder of the build context)",
        ),
        (
            "build: {path: context, dockerfile_path: No}",
            "PV037 1:15+7 cannot read `No` of the build context: No such file or directory (os error 2)",
        ),
        ("build: '{{ path }}'", "PV005 1:8+12 `build` must be a mapping of keys and values, not a text"),
        (
            "build: {path: '{{ path }}'}",
            "PV023 1:15+12 `path` holds a template that was not filled in (fill the template in first)",
        ),
        (
            "image: a:1\nconda_file: no.yaml",
            "PV013 2:13+7 cannot include `no.yaml`: cannot read the file: No such file or directory (os error 2) (included files are named relative to the file that includes them)",
        ),
        (
            "image: a:1\nconda_file: empty.yaml",
            "PV013 2:13+10 the conda file is empty (list packages under `dependencies`)",
        ),
        (
            "image: a:1\nconda_file: https://h.test/c.yaml",
            "PV007 2:13+21 files from elsewhere are not included (download it and name the copy)",
        ),
        (
            "dockerfile: |\n  FROM a:1\n\n  RUM b\n",
            "PV035 4:3+3 unknown instruction `RUM` (did you mean `RUN`?)",
        ),
        (
            "dockerfile: |\n  FROM a:1\n  COPY b c\n",
            "PV036 3:3+4 COPY takes files from a build context, and a text alone has none (name the folder and its Dockerfile by `build`, or take the files from a URL or an image)",
        ),
        (
            "spark: {packages: [a:b]}",
            "PV021 1:20+3 `a:b` are not the coordinates of a package (write `group:artifact:version`)",
        ),
        ("r: {cran: [{version: 1}]}", "PV021 1:12+1 a package of CRAN needs a `name`"),
        ("r: {github: [a b]}", "PV021 1:14+3 `a b` is not a repository such as `owner/name@ref`"),
        ("user_managed: yes", "PV005 1:15+3 `user_managed` must be `true` or `false`, not a text"),
    ] {
        fs_err::write(&path, text).unwrap();
        let diagnostics = match read(&path) {
            Ok(found) => found.warnings,
            Err(error) => error.0,
        };
        assert_eq!(diagnostics.iter().map(render).collect::<Vec<_>>(), [remark], "{text}");
    }
}

#[test]
fn the_only_environment_of_a_job_is_taken() {
    for text in [
        "command: x\nenvironment:\n  image: a:1\n",
        "$schema: d\nname: blue\nendpoint_name: e\nmodel: azureml:m@latest\nenvironment: {name: n, image: 'a:1'}\n",
        "type: pipeline\njobs:\n  one:\n    command: x\n    environment: {image: 'a:1'}\n",
        "type: pipeline\njobs:\n  one:\n    type: parallel\n    task:\n      environment: {image: 'a:1'}\n",
        "type: pipeline\njobs:\n  one:\n    component:\n      environment: {image: 'a:1'}\n",
        "type: sweep\ntrial:\n  command: x\n  environment: {image: 'a:1'}\n",
    ] {
        let found = found(text, "job.yml");
        assert_eq!(found.format, Format::AzureV2Inline, "{text}");
        assert_eq!(found.environment.definition.base, Base::Image { reference: "a:1".to_owned() });
        assert!(found.warnings.is_empty());
    }
    let text = "jobs:\n  a: {environment: {image: 'a:1'}}\n  b: {environment: 'azureml:e:1'}\n";
    assert_eq!(
        remarks(text, "job.yml"),
        ["PV012 3:20+13 the environment of job `b`, `azureml:e:1`, is another: it is left out"]
    );
}

#[test]
fn a_job_without_one_environment_of_its_own_is_refused() {
    let elsewhere = "stands in a workspace and not in this file (have it shown by `az ml environment show`, save that as a file, and name the file)";
    for (text, expected) in [
        (
            "command: x\nenvironment: azureml:e:1\n",
            vec![format!("PV002 2:14+11 the environment of the job, `azureml:e:1`, {elsewhere}")],
        ),
        (
            "endpoint_name: x\nenvironment: azureml://registries/azureml/environments/e/labels/latest\n",
            vec![format!(
                "PV002 2:14+57 the environment of the job, `azureml://registries/azureml/environments/e/labels/latest`, {elsewhere}"
            )],
        ),
        (
            "jobs:\n  a: {environment: {image: 'a:1'}}\n  b: {environment: {image: 'b:1'}}\n",
            vec![
                "PV008 2:20+1 one of 2 environments: job `a` has this one (put the one that you mean into a file of its own)".to_owned(),
                "PV008 3:20+1 one of 2 environments: job `b` has this one (put the one that you mean into a file of its own)".to_owned(),
            ],
        ),
        ("jobs:\n  a: {command: x}\n", vec!["PV002 no environment stands in this file (name a file that holds one)".to_owned()]),
    ] {
        assert_eq!(remarks(text, "job.yml"), expected, "{text}");
    }
}

/// What azureml-assets fills in before it publishes an asset.
fn filled(text: &str) -> String {
    let mut filled = String::new();
    let mut rest = text;
    while let Some((before, after)) = rest.split_once("{{") {
        let (name, after) = after.split_once("}}").unwrap();
        filled.push_str(before);
        filled.push_str(match name.trim() {
            "asset.repo.url" => "https://github.com/Azure/repository.git",
            "image.context.path" => "context",
            "image.dockerfile.path" => "Dockerfile",
            _ => "x1",
        });
        rest = after;
    }
    filled + rest
}

/// Puts what the file names beside it, as the corpus holds the file alone: a conda file, a context.
fn furnish(folder: &Path, text: &str) {
    for line in text.lines() {
        let Some((key, value)) = line.trim().trim_start_matches("- ").split_once(':') else { continue };
        let value = value.trim().trim_matches(['"', '\'']);
        if value.is_empty() || value.contains("://") || value.starts_with("azureml:") {
            continue;
        }
        if key == "conda_file" {
            let path = folder.join(value);
            fs_err::create_dir_all(path.parent().unwrap()).unwrap();
            fs_err::write(path, "channels: [conda-forge]\ndependencies: [python=3.10, pip]\n").unwrap();
        } else if key == "path" && !value.starts_with(['/', '$']) {
            fs_err::create_dir_all(folder.join(value)).unwrap();
            fs_err::write(folder.join(value).join("Dockerfile"), "FROM a:1\nCOPY . /a\n").unwrap();
        }
    }
}

#[test]
fn files_of_the_corpus_are_read_or_refused_for_a_reason() {
    let corpus = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../../shared/corpus");
    if !corpus.is_dir() {
        eprintln!("skipped: the corpus is not at ../shared/corpus of the repository's root");
        return;
    }
    // How many of each kind may be refused when all that they name is there and templates are filled in.
    for (kind, most_refused) in
        [("aml-v2-env", 0), ("aml-v2-inline-env", 1), ("aml-asset-yaml", 40), ("aml-asset-env-config", 53)]
    {
        let (mut total, mut refused) = (0, 0);
        for entry in fs_err::read_dir(corpus.join(kind)).unwrap() {
            let original = entry.unwrap().path();
            let name = original.file_name().unwrap();
            let text = filled(&fs_err::read_to_string(&original).unwrap());
            let top = tempfile::tempdir().unwrap();
            let folder = top.path().join("a/b/c/d");
            fs_err::create_dir_all(&folder).unwrap();
            furnish(&folder, &text);
            fs_err::write(folder.join(name), &text).unwrap();
            total += 1;
            match read(&folder.join(name)) {
                Ok(found) => {
                    found.check();
                    let written = write_native(&found.environment);
                    let again = read_str(&written, &folder.join("written.yaml"));
                    let again = again.unwrap_or_else(|error| panic!("{written}\n{:?}", error.0));
                    assert_eq!(again.environment, found.environment, "{}\n{written}", name.display());
                }
                Err(error) => {
                    refused += 1;
                    assert!(error.0.iter().all(|error| error.file.is_some()));
                    println!("{kind}/{}: {}", name.display(), render(&error.0[0]));
                    let asset = kind.starts_with("aml-asset") && error.0[0].code == "PV002";
                    assert!(asset || error.0[0].code == "PV008", "{}: {:?}", name.display(), error.0);
                }
            }
        }
        println!("{kind}: {} of {total} read", total - refused);
        assert!(refused <= most_refused, "{kind}");
    }
}

/// The codes and messages of the checks that are Azure ML's own.
fn azure_checks(json: &str) -> Vec<String> {
    let found =
        read_str(json, Path::new("/project/definition.json")).unwrap_or_else(|e| panic!("{json}: {e:?}"));
    let own = ["PV117", "PV135"];
    let remarks = found.check().into_iter().filter(|remark| own.contains(&remark.code));
    remarks.map(|remark| format!("{} {}", remark.code, remark.message)).collect()
}

#[test]
fn what_azure_ml_refuses_is_said_by_the_checks() {
    let python = "\"python\": {\"userManagedDependencies\": true}";
    let image = |rest: &str| format!("{{\"docker\": {{\"baseImage\": \"a:1\"{rest}}}, {python}}}");
    let registry = |inner: &str| image(&format!(", \"baseImageRegistry\": {{{inner}}}"));
    let context = |inner: &str| format!("{{\"docker\": {{\"buildContext\": {{{inner}}}}}, {python}}}");
    let conda = |inner: &str| {
        format!("{{\"docker\": {{\"baseImage\": \"a:1\"}}, \"python\": {{\"condaDependencies\": {inner}}}}}")
    };
    let location = "\"location\": \"https://h.test/a.git\"";
    let identity = "\"registryIdentity\": {\"resourceId\": \"r\", \"clientId\": \"c\"}";
    for (json, expected) in [
        (image(""), &[][..]),
        ("{\"docker\": {\"baseImage\": \"a:1\"}}".to_owned(), &["PV135 Azure ML wants a `python` section"]),
        (
            "{\"docker\": {\"baseImage\": \"a:1\"}, \"python\": {}}".to_owned(),
            &["PV135 Azure ML wants conda packages: `userManagedDependencies` is not set"],
        ),
        (conda("{\"dependencies\": [\"python=3.11\"], \"channels\": [\"c\"]}"), &[]),
        (
            conda("{\"dependencies\": [\"numpy\"], \"channels\": [\"c\"]}"),
            &["PV117 nothing says which Python the packages are for"],
        ),
        (
            conda("{\"dependencies\": [\"pip\", {\"pip\": [\"numpy\"]}], \"channels\": [\"c\"]}"),
            &["PV117 nothing says which Python the packages are for"],
        ),
        (registry("\"username\": \"u\", \"password\": \"p\""), &[]),
        (registry(identity), &[]),
        (registry("\"username\": \"u\""), &["PV135 Azure ML refuses a `username` without its `password`"]),
        (registry("\"password\": \"p\""), &["PV135 Azure ML refuses a `password` without its `username`"]),
        (
            registry(&format!("\"username\": \"u\", \"password\": \"p\", {identity}")),
            &["PV135 Azure ML refuses credentials of two kinds: a user's and an identity"],
        ),
        (
            registry("\"registryIdentity\": {\"resourceId\": \"r\"}"),
            &["PV135 Azure ML refuses an identity without `resourceId` and `clientId`"],
        ),
        (context(&format!("\"locationType\": \"Git\", {location}, \"dockerfilePath\": \"d\"")), &[]),
        (
            context(&format!("\"locationType\": \"ftp\", {location}, \"dockerfilePath\": \"d\"")),
            &["PV135 Azure ML knows no `locationType` `ftp`"],
        ),
        (
            context(location),
            &[
                "PV135 Azure ML wants the `locationType` of a build context",
                "PV135 Azure ML wants the `dockerfilePath` of a build context",
            ],
        ),
    ] {
        assert_eq!(azure_checks(&json), expected, "{json}");
        // Whoever builds the environment is not told what another service wants.
        let found = read_str(&json, Path::new("/project/definition.json")).unwrap();
        assert!(found.warnings.iter().all(|remark| remark.code != "PV135"), "{json}");
    }
}
