//! Environments of v2, in files of their own and inside jobs.

use provenv_definition::{Base, Format, definition_digest, read, write_native};

use super::{found, remarks, render};

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
