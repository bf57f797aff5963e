//! `build --layers`.

use serde_json::Value;

use provenv_testing::pypi::{Index, Wheel};

use super::{Setup, rebuilt};
use crate::support::{Workspace, definition, serve};

fn layers(workspace: &Workspace, image: &Value) -> Vec<String> {
    let shown = workspace.json(["image", "show", image.as_str().unwrap()]);
    let layers = shown["layers"].as_array().unwrap().iter();
    layers.map(|layer| layer["digest"].as_str().unwrap().to_owned()).collect()
}

#[test]
fn there_are_no_more_than_that_and_one_changed_package_moves_one_of_them() {
    let Some(workspace) = Workspace::new() else { return };
    let names: Vec<String> = (0..30).map(|n| format!("pack{n}")).collect();
    let index = names.iter().fold(Index::new(), |index, name| {
        let wheel = |version| {
            let text = format!("'{name} {version}'\n");
            Wheel::new(name, version).file(&format!("{name}.py"), text)
        };
        index.add(wheel("1.0")).add(wheel("2.0"))
    });
    let server = serve(&index);
    let packages = |changed: &str| -> Vec<String> {
        let pin = |name: &String| format!("{name}=={}", if name == changed { "2.0" } else { "1.0" });
        names.iter().map(pin).collect()
    };
    let write = |file: &str, changed: &str| {
        let packages = packages(changed);
        let packages: Vec<&str> = packages.iter().map(String::as_str).collect();
        workspace.write(file, &definition(&server, "packs", &packages));
    };
    write("before.yaml", "");
    write("after.yaml", "pack7");
    let usual = workspace.json(["build", "before.yaml"]);
    for most in [5_u64, 12, 40] {
        let text = most.to_string();
        let built = workspace.json(["build", "before.yaml", "--layers", &text]);
        let count = built["layers"].as_u64().unwrap();
        assert!(count <= most, "{count} layers, and {most} are allowed");
        assert_ne!(built["image"], usual["image"]);
        let changed = workspace.json(["build", "after.yaml", "--layers", &text]);
        let (one, other) = (layers(&workspace, &built["image"]), layers(&workspace, &changed["image"]));
        assert_eq!(one.len(), other.len());
        let moved = one.iter().zip(&other).filter(|(one, other)| one != other);
        assert_eq!(moved.count(), 1, "of {count}");
    }
}

#[test]
fn fewer_than_there_can_be_is_an_error_that_says_how_many() {
    let Some(setup) = Setup::new() else { return };
    let refused = |arguments: &[&str]| {
        let done = setup.workspace.run([&["build", "environment.yaml"], arguments].concat());
        assert_ne!(done.code, 0, "{}", done.stdout);
        done.stderr
    };
    let error = refused(&["--layers", "4"]);
    assert!(error.contains("at most 4 layers was asked for, and this one has at least 5"), "{error}");
    assert!(error.contains("`--layers 5` is enough"), "{error}");
    assert_eq!(setup.workspace.json(["image", "list"]), serde_json::json!([]));
    for number in ["0", "128", "many"] {
        assert!(refused(&["--layers", number]).contains("--layers <N>"));
    }
    assert!(refused(&["--compression", "lz4"]).contains("[possible values: gzip, zstd, estargz]"));
    // The number is in the image, so that whoever has it can make it again.
    let built = setup.build(&["--layers", "5", "--to", "oci:layout:1"]);
    assert_eq!(built["layers"], 5);
    assert_eq!(setup.layout("layout").labels()["dev.provenv.layers"], "5");
    assert!(rebuilt(&setup.workspace, "oci:layout:1").0);
}
