//! The real azureml-core: what it saves is read, and what is written it loads as the same environment.

use std::path::Path;
use std::process::Command;

use proptest::strategy::{Strategy as _, ValueTree as _};
use proptest::test_runner::TestRunner;
use provenv_definition::{Base, CondaSpec, Environment, Requirement, WriteFormat, Written, read, write};
use serde_json::{Value, json};

use crate::generated;
use crate::peers;

/// Runs the script; `None` where azureml-core cannot be had.
fn azureml(command: &str, folder: &Path) -> Option<String> {
    // It is not for later Pythons, and it imports pkg_resources.
    let pythons = ["python3.11", "python3.10", "python3.9"];
    let venv = peers::venv("azureml", &pythons, &["azureml-core==1.61.0.post4", "setuptools<81"])?;
    let mut python = Command::new(venv.join("bin/python"));
    let output = python.arg(peers::script("azure_peer.py")).arg(command).arg(folder).output().unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    Some(String::from_utf8(output.stdout).unwrap())
}

fn lay_down(written: &Written, folder: &Path) {
    fs_err::create_dir_all(folder).unwrap();
    for file in &written.files {
        fs_err::write(folder.join(&file.name), &file.text).unwrap();
    }
}

/// What is the same whether or not it is spelt alike: packages in any order and in normal form, null or left out.
fn normal(mut environment: Value) -> Value {
    if let Some(conda) = environment.pointer_mut("/python/condaDependencies") {
        let mut packages = Vec::new();
        let mut pip = Vec::new();
        for item in conda["dependencies"].as_array().cloned().unwrap_or_default() {
            match item.as_str() {
                Some(spec) => packages.push(spec.parse::<CondaSpec>().unwrap().canonical()),
                None => pip.extend(item["pip"].as_array().cloned().unwrap_or_default()),
            }
        }
        let line = |line: &Value| {
            let text = line.as_str().unwrap();
            let text = text.split(" #").next().unwrap();
            text.parse::<Requirement>().map_or(text.to_owned(), |requirement| requirement.to_string())
        };
        let mut pip: Vec<String> = pip.iter().map(line).filter(|line| !line.starts_with('#')).collect();
        packages.sort();
        pip.sort();
        let channels = conda.get("channels").cloned().unwrap_or(json!([]));
        *conda = json!({ "name": conda["name"], "packages": packages, "pip": pip, "channels": channels });
    }
    environment
}

/// What is known to be lost: the login of a registry is no part of a definition, and its address is of the image's name. The
/// serving stack is Azure ML's own, and so is what conda's environment is called.
fn expected(mut environment: Value) -> Value {
    let registry = &mut environment["docker"]["baseImageRegistry"];
    let address = registry["address"].take();
    *registry = json!({ "address": null, "username": null, "password": null, "registryIdentity": null });
    if let Some(address) = address.as_str() {
        let image = environment["docker"]["baseImage"].as_str().unwrap();
        environment["docker"]["baseImage"] = json!(format!("{address}/{image}"));
    }
    if environment["docker"]["shmSize"].is_null() {
        // What is said when nothing is.
        environment["docker"]["shmSize"] = json!("2g");
    }
    if let Some(conda) = environment.pointer_mut("/python/condaDependencies") {
        conda["name"] = json!("project_environment");
    }
    normal(environment)
}

#[test]
fn what_azureml_saves_is_read_and_what_is_written_it_loads_as_the_same() {
    let (saved, ours) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    if azureml("save", saved.path()).is_none() {
        return;
    }
    let mut originals = Vec::new();
    for entry in fs_err::read_dir(saved.path()).unwrap() {
        let folder = entry.unwrap().path();
        if !folder.is_dir() {
            continue;
        }
        let name = folder.file_name().unwrap().to_string_lossy().into_owned();
        let found = read(&folder.join("azureml_environment.json"));
        let found = found.unwrap_or_else(|error| panic!("{name}: {:#?}", error.0));
        let written = write(&found.environment, WriteFormat::AzuremlV1).unwrap();
        assert_eq!(written.not_carried, [], "{name}");
        lay_down(&written, &ours.path().join(&name));
        let original = fs_err::read_to_string(folder.with_extension("json")).unwrap();
        originals.push((name, serde_json::from_str::<Value>(&original).unwrap()));
    }
    assert!(originals.len() >= 11, "{}", originals.len());
    let loaded: Value = serde_json::from_str(&azureml("load", ours.path()).unwrap()).unwrap();
    for (name, original) in originals {
        pretty_assert(&name, &normal(loaded[&name].clone()), &expected(original));
    }
}

#[track_caller]
fn pretty_assert(name: &str, found: &Value, expected: &Value) {
    let text = |value: &Value| serde_json::to_string_pretty(value).unwrap();
    assert!(found == expected, "{name}\nfound {}\nexpected {}", text(found), text(expected));
}

#[test]
fn whatever_is_written_azureml_loads_with_all_that_is_carried() {
    let folder = tempfile::tempdir().unwrap();
    let mut runner = TestRunner::deterministic();
    let mut environments: Vec<Environment> = Vec::new();
    for number in 0..150 {
        let environment = generated::environment().new_tree(&mut runner).unwrap().current();
        let written = write(&environment, WriteFormat::AzuremlV1).unwrap();
        lay_down(&written, &folder.path().join(format!("{number:03}")));
        environments.push(environment);
    }
    let Some(loaded) = azureml("load", folder.path()) else { return };
    let loaded: Value = serde_json::from_str(&loaded).unwrap();
    for (number, environment) in environments.iter().enumerate() {
        let found = &loaded[format!("{number:03}")];
        let said = format!("{environment:#?}\n{found:#}");
        let definition = &environment.definition;
        assert_eq!(found["name"].as_str(), environment.name.as_deref(), "{said}");
        assert_eq!(found["version"].as_str(), environment.version.as_deref(), "{said}");
        assert_eq!(found["environmentVariables"], json!(environment.environment_variables), "{said}");
        assert_eq!(found["python"]["userManagedDependencies"], json!(definition.user_managed), "{said}");
        let text = match &definition.base {
            Base::Dockerfile { text } => json!(text),
            _ => Value::Null,
        };
        assert_eq!(found["docker"]["baseDockerfile"], text, "{said}");
        assert_eq!(
            found["spark"]["packages"].as_array().unwrap().len(),
            definition.spark.packages.len(),
            "{said}"
        );
        assert_eq!(found["r"].is_null(), definition.r.is_empty(), "{said}");
        let conda = normal(found.clone()).pointer("/python/condaDependencies").cloned().unwrap_or_default();
        let packages = conda["packages"].as_array().map_or(&[][..], Vec::as_slice);
        for package in &definition.conda.packages {
            let spec = package.spec.parse::<CondaSpec>().unwrap().canonical();
            assert!(packages.contains(&json!(spec)), "{spec}\n{said}");
        }
        for requirement in
            definition.pip.requirements.iter().filter(|one| !one.editable && one.hashes.is_empty())
        {
            let pip = conda["pip"].as_array().unwrap();
            assert!(pip.contains(&json!(requirement.requirement)), "{}\n{said}", requirement.requirement);
        }
    }
}
