//! Images of older assembly epochs, and what the configuration of the newest says.

use super::{Setup, rebuilt};

#[test]
fn the_image_of_an_older_provenv_is_made_again_bit_for_bit() {
    let Some(setup) = Setup::new() else { return };
    let newest = setup.build(&["--to", "oci:newest:1"]);
    let first = setup.build(&["--epoch", "1", "--to", "oci:first:1"]);
    assert_eq!((&newest["epoch"], &first["epoch"]), (&2.into(), &1.into()));
    assert_ne!(first["image"], newest["image"]);
    let (old, new) = (setup.layout("first"), setup.layout("newest"));
    assert_eq!(old.manifest()["layers"], new.manifest()["layers"], "their layers are the same");
    assert_eq!(old.labels()["dev.provenv.epoch"], "1");
    let usual = "PATH=/opt/provenv/bin:/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin";
    assert_eq!(old.variables(), [usual, "VIRTUAL_ENV=/opt/provenv", "LANG=C.UTF-8"]);
    // Whoever has it can make it again, by what it says of itself.
    for image in ["oci:first:1", "oci:newest:1", first["image"].as_str().unwrap()] {
        assert!(rebuilt(&setup.workspace, image).0, "{image}");
    }
    assert_eq!(setup.build(&["--epoch", "1", "--force"])["reproduced"], true);
    // What is asked by the environment's name is asked of the newest.
    let shown = setup.workspace.json(["image", "show", "environment.yaml"]);
    assert_eq!(shown["digest"], newest["image"]);
    let provenance = setup.workspace.json(["image", "provenance", first["image"].as_str().unwrap()]);
    assert_eq!(provenance["predicate"]["buildDefinition"]["internalParameters"]["assemblyEpoch"], 1);

    let refused = |arguments: &[&str]| {
        let done = setup.workspace.run([&["build", "environment.yaml"], arguments].concat());
        assert_eq!(done.code, 1, "{}", done.stdout);
        done.stderr
    };
    assert!(refused(&["--epoch", "3"]).contains("this provenv knows the epochs 1 to 2"));
    assert!(
        refused(&["--epoch", "1", "--compression", "zstd"]).contains("images of assembly epoch 1 are gzip")
    );
    assert!(refused(&["--epoch", "1", "--layers", "20"]).contains("images of assembly epoch 1 are gzip"));
}

#[test]
fn scripts_find_what_azure_mls_images_tell_them() {
    let Some(setup) = Setup::new() else { return };
    setup.build(&["--to", "oci:layout:1"]);
    let layout = setup.layout("layout");
    assert_eq!(
        layout.variables()[1..],
        [
            "VIRTUAL_ENV=/opt/provenv",
            "AZUREML_CONDA_ENVIRONMENT_PATH=/opt/provenv",
            "AZUREML_ENVIRONMENT_IMAGE=True",
            "LANG=C.UTF-8",
            "LC_ALL=C.UTF-8",
        ]
    );
    let labels = layout.labels();
    assert_eq!(labels["dev.provenv.epoch"], "2");
    let description = labels["org.opencontainers.image.description"].as_str().unwrap();
    assert!(description.ends_with(" Debian packages and 2 Python packages"), "{description}");
    // The environment's own variables are over them, when a command runs, and are in no image.
    let text = fs_err::read_to_string(setup.workspace.path().join("environment.yaml")).unwrap();
    setup.workspace.write("german.yaml", &format!("{text}environment_variables: {{LC_ALL: de_DE.UTF-8}}\n"));
    let script = "import os; print(os.environ['LC_ALL'], os.environ['AZUREML_CONDA_ENVIRONMENT_PATH'])";
    let run = |file: &str| setup.workspace.run(["run", file, "--", "python", "-c", script]).ok().stdout;
    assert_eq!(run("environment.yaml"), "C.UTF-8 /opt/provenv\n");
    assert_eq!(run("german.yaml"), "de_DE.UTF-8 /opt/provenv\n");
    let digest = |file: &str| setup.workspace.json(["build", file])["image"].clone();
    assert_eq!(digest("environment.yaml"), digest("german.yaml"));
}
