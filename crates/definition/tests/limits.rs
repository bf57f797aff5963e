//! A megabyte that means harm is read or refused before anybody waits for it. Here, where code is slow, the bound is
//! wide; `cargo run --release -p provenv-definition --example reading_time` says what takes more than a second.

#[path = "support/nasty.rs"]
mod nasty;

use std::path::Path;

use provenv_definition::{definition_digest, read_str, write_native};

/// Seconds of this thread's processor time: what else the machine does is not counted.
fn processor_time() -> f64 {
    // Ticks are what the kernel keeps, 100 a second on every Linux that there is.
    let stat = fs_err::read_to_string("/proc/thread-self/stat").unwrap_or_default();
    let fields: Vec<f64> = stat
        .rsplit_once(')')
        .map_or("", |(_, rest)| rest)
        .split_whitespace()
        .filter_map(|field| field.parse().ok())
        .collect();
    // utime and stime are the 14th and 15th field; before them two are gone, and the state is no number.
    fields.get(10).zip(fields.get(11)).map_or(0.0, |(user, system)| (user + system) / 100.0)
}

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
        let took = processor_time() - start;
        if took > 10.0 {
            slow.push(format!("{name}: {took} s"));
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
