//! Prefixes laid out elsewhere.

use std::path::{Path, PathBuf};

use provenv_fetch::Silent;
use provenv_lock::PlatformLock;

use super::{PLATFORM, World};
use crate::assemble::Error;
use crate::conda_meta::Asked;
use crate::export::prefix;
use crate::post_link;
use crate::unpack;

impl World {
    /// The layers of the image of `lock`, unpacked.
    async fn unpacked(&self, lock: &PlatformLock) -> Vec<PathBuf> {
        let image = self.assembler("store").image(lock, PLATFORM).await.unwrap();
        unpack::layers(&self.store("store"), &image.layers, &Silent).unwrap()
    }

    async fn export(&self, lock: &PlatformLock, layers: &[PathBuf], to: &Path) -> Result<(), Error> {
        let assembler = self.assembler("store");
        assembler.export_prefix(lock, PLATFORM, layers.to_vec(), &Asked::new(), to).await
    }

    /// A layer as an evil one would be unpacked, with a link.
    fn with_link(&self, name: &str, path: &str, target: &Path) -> PathBuf {
        let layer = self.folder.path().join(name);
        let link = layer.join(path);
        fs_err::create_dir_all(link.parent().unwrap()).unwrap();
        fs_err::os::unix::fs::symlink(target, link).unwrap();
        layer
    }
}

#[tokio::test]
async fn a_module_that_is_written_anew_has_no_bytecode_of_what_it_was() {
    let world = World::new();
    let lock = world.conda_lock(Vec::new());
    let layers = world.unpacked(&lock).await;
    let place = world.folder.path().join("elsewhere");
    world.export(&lock, &layers, &place).await.unwrap();
    let (modules, tag) =
        (place.join(format!("lib/python3.{}", world.minor)), format!("cpython-3{}", world.minor));
    let text = fs_err::read_to_string(modules.join("_prefix.py")).unwrap();
    assert_eq!(text, format!("P = '{}'\n", place.display()));
    let bytecode = |name: &str| modules.join(format!("__pycache__/{name}.{tag}.pyc")).exists();
    assert!(bytecode("os") && !bytecode("_prefix"));
}

#[tokio::test]
async fn nothing_is_written_through_a_link_of_a_layer() {
    let world = World::new();
    let lock = world.conda_lock(Vec::new());
    let layers = world.unpacked(&lock).await;
    let (place, victim) = (world.folder.path().join("elsewhere"), world.folder.path().join("victim"));
    for (n, path) in ["opt/provenv/bin", "opt/provenv/lib", "opt/provenv/conda-meta", "opt/provenv", "opt"]
        .into_iter()
        .enumerate()
    {
        fs_err::create_dir_all(victim.join("provenv")).unwrap();
        let evil = world.with_link(&format!("evil{n}"), path, &victim);
        let error = world.export(&lock, &[&layers[..], &[evil]].concat(), &place).await.unwrap_err();
        let Error::Prefix(error) = error else { panic!("{error}") };
        assert!(
            matches!(&error, prefix::Error::Copy(post_link::Error::Covered(at)) if at == path),
            "{path}: {error}"
        );
        assert!(error.hint().is_some());
    }
    // A link where a record or the history is written.
    let history = "opt/provenv/conda-meta/history";
    let evil = world.with_link("records", history, &victim.join("history"));
    let error = world.export(&lock, &[&layers[..], &[evil]].concat(), &place).await.unwrap_err();
    assert!(matches!(error, Error::Prefix(prefix::Error::Io { .. })), "{error}");
    assert!(!place.exists());
    assert_eq!(fs_err::read_dir(&victim).unwrap().count(), 1, "only the folder that was made here");
    assert_eq!(fs_err::read_dir(victim.join("provenv")).unwrap().count(), 0);
    // Below other layers, what they have in its place hides it.
    let hidden = world.with_link("hidden", "opt", &victim);
    world.export(&lock, &[&[hidden], &layers[..]].concat(), &place).await.unwrap();
    assert!(fs_err::symlink_metadata(place.join("bin")).unwrap().is_dir());
}
