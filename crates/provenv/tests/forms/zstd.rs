//! Layers of zstd frames.

use super::{Setup, rebuilt};
use crate::support::{Done, have, is_root};

#[test]
fn the_same_tars_in_fewer_bytes_and_another_image() {
    let Some(setup) = Setup::new() else { return };
    let gzip = setup.build(&["--to", "oci:gzip:1"]);
    let zstd = setup.build(&["--compression", "zstd", "--to", "oci:zstd:1"]);
    assert_eq!((&gzip["compression"], &zstd["compression"]), (&"gzip".into(), &"zstd".into()));
    assert_eq!(gzip["lock"], zstd["lock"]);
    assert_ne!(gzip["image"], zstd["image"]);
    assert!(zstd["size"].as_u64() < gzip["size"].as_u64(), "{zstd} {gzip}");
    let (one, other) = (setup.layout("gzip"), setup.layout("zstd"));
    let (plain, packed) = (one.manifest(), other.manifest());
    assert_eq!(plain["config"], packed["config"], "the same tars, so the same configuration");
    assert!(plain.get("annotations").is_none(), "{plain}");
    assert_eq!(packed["annotations"]["dev.provenv.compression"], "zstd");
    let diff_ids = other.config()["rootfs"]["diff_ids"].as_array().unwrap().clone();
    let layers = packed["layers"].as_array().unwrap();
    assert_eq!(layers.len(), diff_ids.len());
    for (layer, diff_id) in layers.iter().zip(&diff_ids) {
        assert_eq!(layer["mediaType"], "application/vnd.oci.image.layer.v1.tar+zstd");
        // By the library itself, frame after frame.
        let tar = zstd::decode_all(&*fs_err::read(other.blob(&layer["digest"])).unwrap()).unwrap();
        assert_eq!(*diff_id, provenv_definition::Digest::of(&tar).to_string());
    }
    // Both are on record, and known by what they are.
    let images = setup.workspace.json(["image", "list"]);
    let mut kinds: Vec<&str> =
        images.as_array().unwrap().iter().map(|image| image["compression"].as_str().unwrap()).collect();
    kinds.sort_unstable();
    assert_eq!(kinds, ["gzip", "zstd"]);
    let shown = setup.workspace.json(["image", "show", zstd["image"].as_str().unwrap()]);
    assert_eq!(shown["compression"], "zstd");
    assert_eq!(setup.build(&["--compression", "zstd"])["cached"], true);
    // Assembled again it is the same, here and by whoever has but the layout.
    assert_eq!(setup.build(&["--compression", "zstd", "--force"])["reproduced"], true);
    for image in ["oci:zstd:1", "oci:gzip:1", zstd["image"].as_str().unwrap()] {
        assert_eq!(
            rebuilt(&setup.workspace, image),
            (true, "assembled again from the lock: the same, bit for bit".into())
        );
    }
    // What is there is run, in whatever form.
    let run = setup.workspace.run(["run", "environment.yaml", "--", "pour"]).ok();
    assert_eq!(run.stdout, "poured green\n");
}

#[test]
fn a_setting_makes_it_the_usual_form_and_runs_need_no_other() {
    let Some(setup) = Setup::new() else { return };
    setup.workspace.write("config.toml", "[image]\ncompression = \"zstd\"\nlayers = 30\n");
    let run = |arguments: &[&str]| {
        let mut command = setup.workspace.command();
        command.env("PROVENV_CONFIG", setup.workspace.path().join("config.toml")).args(arguments);
        Done::from(command.output().unwrap()).ok()
    };
    assert_eq!(run(&["run", "environment.yaml", "--", "pour"]).stdout, "poured green\n");
    let built = run(&["build", "environment.yaml", "-o", "json"]).json();
    assert_eq!((&built["compression"], &built["cached"]), (&"zstd".into(), &true.into()));
    let shown = run(&["image", "show", "environment.yaml", "-o", "json"]).json();
    assert_eq!((&shown["compression"], &shown["most_layers"]), (&"zstd".into(), &30.into()));
    assert!(shown["layers"].as_array().unwrap().len() <= 30, "{shown}");
    assert!(run(&["image", "show", "environment.yaml"]).stdout.contains("(at most 30), zstd"));
    // What is said in the command wins.
    let built = run(&["build", "environment.yaml", "--compression", "gzip", "-o", "json"]).json();
    assert_eq!((&built["compression"], &built["cached"]), (&"gzip".into(), &false.into()));
    // Collection leaves what the registered version's images were made of, in each form.
    run(&["env", "register", "environment.yaml"]);
    run(&["store", "gc"]);
    for form in ["gzip", "zstd"] {
        let built = run(&["build", "environment.yaml", "--compression", form, "-o", "json"]).json();
        assert_eq!(built["cached"], true, "{form}");
    }
}

#[test]
fn peers_take_it() {
    let Some(setup) = Setup::new() else { return };
    let built =
        setup.build(&["--compression", "zstd", "--to", "oci:layout:1", "--to", "oci-archive:tea.tar:1"]);
    // docker before 23 knows no zstd, so its archive is of tars. Its ID is the gzip image's.
    setup.build(&["--compression", "zstd", "--to", "docker-archive:zstd.tar:tea:1"]);
    setup.build(&["--to", "docker-archive:gzip.tar:tea:1"]);
    if have("skopeo") {
        let seen = setup.peer("skopeo", &["inspect", "--format", "{{.Digest}}", "oci:layout:1"]);
        assert_eq!(seen.trim(), built["image"].as_str().unwrap());
        // Reads every blob and checks its digest; of the archives, each tar against the configuration.
        for from in ["oci:layout:1", "docker-archive:zstd.tar:tea:1"] {
            let to = format!("dir:copy-{}", &from[..3]);
            setup.peer("skopeo", &["--insecure-policy", "copy", from, &to]);
        }
        let config = |archive: &str| {
            setup
                .peer("skopeo", &["inspect", "--config", "--raw", &format!("docker-archive:{archive}:tea:1")])
        };
        assert_eq!(config("zstd.tar"), config("gzip.tar"));
    }
    // One environment, whatever it is compressed with.
    let sides = ["docker-archive:zstd.tar:tea:1", "environment.yaml"];
    setup.workspace.run([&["env", "diff", "--exit-code"], &sides[..]].concat()).ok();
    if have("podman") && have("runc") && is_root() {
        assert_eq!(setup.poured_by_podman("oci-archive:tea.tar"), "poured green\n");
        assert_eq!(setup.poured_by_podman("docker-archive:zstd.tar"), "poured green\n");
    }
    if have("buildah") && is_root() {
        let container = setup.contained("buildah", &["from", "--quiet", "oci:layout:1"]);
        let run = ["run", "--isolation", "chroot", container.trim(), "--", "pour"];
        assert_eq!(setup.contained("buildah", &run), "poured green\n");
    }
}
