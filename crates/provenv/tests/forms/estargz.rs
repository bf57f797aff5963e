//! eStargz layers, read by a reader of our own that was written from `docs/estargz.md` of containerd's stargz snapshotter: it runs
//! in the environment itself, so no Python of the host's is needed.

use super::{Setup, rebuilt};
use crate::support::{have, is_root};

#[test]
fn every_file_can_be_had_and_checked_by_itself() {
    let Some(setup) = Setup::new() else { return };
    let built = setup.build(&["--compression", "estargz", "--to", "oci:layout:1"]);
    assert_eq!(built["compression"], "estargz");
    setup.workspace.write("reader.py", include_str!("estargz.py"));
    let read = setup.workspace.run(["run", "environment.yaml", "--", "python", "reader.py", "layout"]).ok();
    let lines: Vec<&str> = read.stdout.lines().collect();
    let manifest = setup.layout("layout").manifest();
    let layers = manifest["layers"].as_array().unwrap();
    assert_eq!(lines.len(), layers.len() + 1, "{}", read.stdout);
    // Python's own program is larger than a chunk.
    assert!(lines.last().unwrap().contains("chunked"), "{}", read.stdout);
    assert!(layers.iter().all(|layer| layer["mediaType"] == "application/vnd.oci.image.layer.v1.tar+gzip"));
    assert_eq!(manifest["annotations"]["dev.provenv.compression"], "estargz");
    // A file that its wheel has compressed is in the layer as it was there.
    let found = setup.workspace.run(["image", "show", built["image"].as_str().unwrap()]).ok().stdout;
    assert!(found.contains("estargz"), "{found}");
    assert!(rebuilt(&setup.workspace, "oci:layout:1").0);
    assert_eq!(setup.workspace.run(["run", "environment.yaml", "--", "pour"]).ok().stdout, "poured green\n");
}

#[test]
fn to_clients_that_know_nothing_of_it_it_is_gzip() {
    let Some(setup) = Setup::new() else { return };
    let to =
        ["--to", "oci:layout:1", "--to", "oci-archive:tea.tar:1", "--to", "docker-archive:docker.tar:tea:1"];
    let built = setup.build(&[&["--compression", "estargz"], &to[..]].concat());
    if have("skopeo") {
        let seen = setup.peer("skopeo", &["inspect", "--format", "{{.Digest}}", "oci:layout:1"]);
        assert_eq!(seen.trim(), built["image"].as_str().unwrap());
        for (n, from) in ["oci:layout:1", "docker-archive:docker.tar:tea:1"].iter().enumerate() {
            setup.peer("skopeo", &["--insecure-policy", "copy", from, &format!("dir:copy-{n}")]);
        }
    }
    if have("umoci") {
        setup.peer("umoci", &["unpack", "--rootless", "--image", "layout:1", "bundle"]);
        let pour = setup.workspace.path().join("bundle/rootfs/opt/provenv/bin/pour");
        assert!(pour.exists());
    }
    if have("podman") && have("runc") && is_root() {
        assert_eq!(setup.poured_by_podman("oci-archive:tea.tar"), "poured green\n");
    }
}
