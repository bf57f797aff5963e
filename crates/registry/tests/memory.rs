//! The memory of a push does not grow with the image. Alone in its file: it looks at the whole process.

mod common;

use common::{Server, options};
use provenv_fetch::Silent;
use provenv_registry::{Elsewhere, push};
use provenv_store::Store;

/// The most memory that this process ever had, in bytes.
fn peak() -> u64 {
    let status = fs_err::read_to_string("/proc/self/status").unwrap();
    let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:")).unwrap();
    line.trim().trim_end_matches(" kB").trim().parse::<u64>().unwrap() * 1024
}

#[tokio::test]
async fn big_layers_are_streamed() {
    let Some(server) = Server::started(false) else { return };
    let store = Store::open(server.folder.path().join("store")).unwrap();
    let mut image = common::image(&store, &[b"base"]);
    // Blobs that no client looks into may as well be no gzip.
    let mut staged = store.stage().unwrap();
    for number in 0..300_000u64 {
        let mut block = [0; 1024];
        block[..8].copy_from_slice(&number.to_le_bytes());
        std::io::Write::write_all(&mut staged, &block).unwrap();
    }
    let blob = staged.commit().unwrap();
    image.layers[0].digest = blob.digest;
    image.layers[0].size = blob.size;
    let image = provenv_image::oci::write(
        &store,
        image.platform,
        &image.layers,
        &provenv_image::oci::ImageConfig::default(),
    )
    .unwrap();
    let before = peak();
    push(&store, &image, &server.reference("big:1"), &Elsewhere::new(), &options(vec![]), &Silent)
        .await
        .unwrap();
    let grown = peak() - before;
    assert!(grown < 64 << 20, "pushing {} MB took {} MB of memory", image.size() >> 20, grown >> 20);
}
