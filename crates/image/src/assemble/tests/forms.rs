//! The same lock in every form.

use std::collections::BTreeMap;

use provenv_lock::PlatformLock;
use tar::EntryType;

use super::*;
use crate::about::Known;
use crate::form::Packing;
use crate::layer::Compression;

fn packed(packing: Packing) -> Form {
    Form { packing, ..Form::default() }
}

/// Packages in each other's way, hard links whose target another package has, files of every size.
fn lock(world: &World) -> PlatformLock {
    let mut lock = world.lock(vec![
        world.wheel(
            "alpha",
            "1.0",
            &[
                ("shared.py", b"who = 'alpha'\n"),
                ("large.bin", &noise(2 << 20)),
                ("text.txt", &b"some text\n".repeat(10_000)),
                ("empty.txt", b""),
            ],
        ),
        world.wheel("beta", "1.0", &[("shared.py", b"who = 'beta'\n"), ("b.py", b"b = 1\n")]),
    ]);
    let file = TarMember::file("./usr/share/thing", b"the first one's");
    let link = |name: &str| TarMember::of(name, EntryType::Link, "./usr/share/thing");
    lock.debian.push(world.deb("one", &[file, link("./usr/share/again"), link("./usr/share/third")]));
    lock.debian.push(world.deb("two", &[TarMember::file("./usr/share/thing", &vec![7; 5 << 20])]));
    lock.debian.sort_by(|one, other| one.name.cmp(&other.name));
    lock
}

#[tokio::test]
async fn the_same_is_in_it_however_it_is_compressed() {
    let world = World::new();
    let lock = lock(&world);
    let gzip = world.assembler("store").image(&lock, PLATFORM).await.unwrap();
    let zstd = world.assembler("store").in_form(packed(Packing::Zstd)).image(&lock, PLATFORM).await.unwrap();
    let stargz =
        world.assembler("store").in_form(packed(Packing::Estargz)).image(&lock, PLATFORM).await.unwrap();
    let diff_ids = |image: &Image| image.layers.iter().map(|layer| layer.diff_id).collect::<Vec<_>>();
    assert_eq!(diff_ids(&gzip), diff_ids(&zstd));
    assert_eq!(gzip.config, zstd.config);
    assert!(zstd.layers.iter().all(|layer| layer.compression == Compression::Zstd && layer.toc.is_none()));
    assert!(stargz.layers.iter().all(|layer| layer.compression == Compression::Gzip && layer.toc.is_some()));
    let expected = world.contents("store", &gzip);
    assert_eq!(expected["usr/share/again"].bytes, b"the first one's");
    assert_eq!(world.contents("store", &zstd), expected);
    let mut seen = world.contents("store", &stargz);
    assert_eq!(seen.remove(".no.prefetch.landmark").unwrap().bytes, [0xf]);
    assert!(seen.remove("stargz.index.json").is_some());
    assert_eq!(seen, expected);
    // In a store where nothing was made before, they come out the same.
    for (n, image) in [(1, &zstd), (2, &stargz)] {
        let packing = [Packing::Gzip, Packing::Zstd, Packing::Estargz][n];
        let assembler = world.assembler("other").in_form(packed(packing));
        assert_eq!(assembler.image(&lock, PLATFORM).await.unwrap(), *image);
        assert_eq!(
            assembler.image_again(&lock, PLATFORM, &Known::new()).await.unwrap().0.manifest,
            image.manifest
        );
    }
}

/// A large file of a wheel is in an eStargz layer as the wheel has it, byte for byte.
#[tokio::test]
async fn what_a_wheel_has_compressed_is_not_compressed_again() {
    let world = World::new();
    let lock = lock(&world);
    let store = world.store("store");
    let blobs = |image: &Image| -> BTreeMap<String, Vec<u8>> {
        image.layers.iter().map(|layer| (layer.what.clone(), store.read(&layer.digest).unwrap())).collect()
    };
    let gzip = blobs(&world.assembler("store").image(&lock, PLATFORM).await.unwrap());
    let form = packed(Packing::Estargz);
    let stargz = blobs(&world.assembler("store").in_form(form).image(&lock, PLATFORM).await.unwrap());
    let PypiSource::Wheel(artifact) = &lock.pypi[0].source else { unreachable!() };
    let wheel = fs_err::read(artifact.url.as_url().to_file_path().unwrap()).unwrap();
    let mut zip = ::zip::ZipArchive::new(std::io::Cursor::new(&wheel)).unwrap();
    for name in ["large.bin", "text.txt"] {
        let member = zip.by_name(name).unwrap();
        if member.compression() != ::zip::CompressionMethod::Deflated {
            continue;
        }
        let begin = usize::try_from(member.data_start().unwrap()).unwrap();
        let raw = &wheel[begin..begin + usize::try_from(member.compressed_size()).unwrap()];
        // Small members are gathered with their neighbours.
        if raw.len() > 4096 {
            for layers in [&gzip, &stargz] {
                assert!(layers.values().any(|blob| memchr::memmem::find(blob, raw).is_some()), "{name}");
            }
        }
    }
}

#[tokio::test]
async fn a_segment_is_made_into_frames_once() {
    let world = World::new();
    let lock = lock(&world);
    let assembler = world.assembler("store").in_form(packed(Packing::Zstd));
    assembler.image(&lock, PLATFORM).await.unwrap();
    let before = world.store("store").stats().unwrap().blobs.count;
    let mut more = lock.clone();
    more.pypi.push(world.wheel("gamma", "1.0", &[("gamma.py", b"g = 1\n")]));
    assembler.image(&more, PLATFORM).await.unwrap();
    // The artifact, its segment, its bytecode, the frames of both, the layer, configuration and manifest.
    let after = world.store("store").stats().unwrap().blobs.count;
    assert!(after - before <= 8, "{} new blobs", after - before);
}

#[tokio::test]
async fn an_image_keeps_to_the_layers_that_it_is_allowed() {
    let world = World::new();
    let packages = (0..12).map(|n| {
        let name = format!("p{n}");
        // Two are large enough for layers of their own.
        let size = if n < 2 { 2 << 20 } else { 10 };
        world.wheel(
            &name,
            "1.0",
            &[(&format!("{name}.py"), b"x = 1\n"), (&format!("{name}.bin"), &noise(size))],
        )
    });
    let lock = world.lock(packages.collect());
    let usual = world.assembler("store").image(&lock, PLATFORM).await.unwrap();
    for most in [5, 9, 20] {
        let form = Form { layers: Some(most), ..Form::default() };
        let image = world.assembler("store").in_form(form).image(&lock, PLATFORM).await.unwrap();
        assert!(image.layers.len() <= most.into(), "{} layers, and {most} are allowed", image.layers.len());
        assert_eq!(world.contents("store", &image), world.contents("store", &usual));
    }
    let form = Form { layers: Some(4), ..Form::default() };
    let error = world.assembler("store").in_form(form).image(&lock, PLATFORM).await.unwrap_err();
    assert!(matches!(&error, Error::Layers(_)), "{error}");
    assert!(error.hint().unwrap().contains("--layers 5"));
}

#[tokio::test]
async fn collection_leaves_what_every_form_was_made_of() {
    let world = World::new();
    let lock = lock(&world);
    let forms = [Form::of_epoch(1), packed(Packing::Zstd), packed(Packing::Estargz)];
    for form in forms {
        world.assembler("store").in_form(form).image(&lock, PLATFORM).await.unwrap();
    }
    let store = world.store("store");
    let mut roots = Roots::default();
    reach(&store, &lock, PLATFORM, &forms, &mut roots).unwrap();
    store.collector().unwrap().collect(&roots, false).unwrap();
    world.heard.begun.lock().unwrap().clear();
    let before = store.stats().unwrap();
    for form in forms {
        let image = world.assembler("store").in_form(form).image(&lock, PLATFORM).await.unwrap();
        world.contents("store", &image);
    }
    assert_eq!(*world.heard.begun.lock().unwrap(), []);
    assert_eq!(store.stats().unwrap().blobs.count, before.blobs.count);
    assert_eq!(store.stats().unwrap().records.count, before.records.count);
}
