//! A megabyte that means harm is read or refused before anybody waits for it. Here, where code is slow, the bound is
//! wide; `cargo run --release -p provenv-definition --example reading_time` says what takes more than a second.

use std::path::Path;
use std::time::Duration;

use provenv_definition::{definition_digest, read_str, write_native};

use crate::support::nasty;
use crate::support::processor_time::processor_time;

fn within_bounds(file: &str) {
    let mut slow = Vec::new();
    for (name, text) in nasty::texts(file) {
        let start = processor_time();
        let path = Path::new("/nowhere").join(file);
        if let Ok(found) = read_str(&text, &path) {
            found.check();
            definition_digest(&found.environment.definition);
            write_native(&found.environment);
        }
        let took = processor_time().saturating_sub(start);
        if took > Duration::from_secs(10) {
            slow.push(format!("{name}: {took:?}"));
        }
    }
    assert!(slow.is_empty(), "{file}: {slow:#?}");
}

macro_rules! formats {
    ($($test:ident $file:literal)*) => {
        $(
            #[test]
            fn $test() {
                within_bounds($file);
            }
        )*

        #[test]
        fn every_format_has_its_test() {
            assert_eq!([$($file),*], *nasty::FILES);
        }
    };
}

formats! {
    requirements "requirements.txt"
    native "environment.yaml"
    conda_environment "conda.yml"
    conda_explicit "explicit.txt"
    conda_list "list.txt"
    pyproject "pyproject.toml"
    pylock "pylock.toml"
    uv_lock "uv.lock"
    poetry_lock "poetry.lock"
    pixi_manifest "pixi.toml"
    pixi_lock "pixi.lock"
    conda_lock "conda-lock.yml"
    azure_v1 "azureml_environment.json"
    azure_inline "deployment.yaml"
    mlflow "python_env.yaml"
    dockerfile "Dockerfile"
}
