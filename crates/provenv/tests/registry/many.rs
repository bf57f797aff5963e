//! Many at once: clients, servers, collections; and the end.

use std::collections::BTreeMap;
use std::io::Write as _;
use std::path::PathBuf;
use std::process::Command;
use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use nix::sys::signal::Signal;
use provenv_definition::Digest;
use serde_json::json;

use super::client::{IMAGE, descriptor, image, read, with_digest};
use super::server::{Server, in_the_making, served};
use crate::support::{Workspace, command, eventually, is_root, skip};

/// The most memory that a process ever had, in MiB.
fn peak(id: u32) -> u64 {
    let status = fs_err::read_to_string(format!("/proc/{id}/status")).unwrap();
    let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:")).unwrap();
    line.trim().trim_end_matches(" kB").trim().parse::<u64>().unwrap() / 1024
}

#[test]
fn sixty_four_uploads_at_once_take_little_memory() {
    let (workspace, server) = served();
    let client = server.client();
    let piece = vec![7; 1 << 20];
    let length = 6 * piece.len();
    // All have begun and sent most before any ends.
    let mut connections: Vec<_> = (0..64u8)
        .map(|number| {
            let location = client.upload(&format!("tea{number}"));
            let connection = client.begin("PATCH", &location, &[("Content-Length", &length.to_string())]);
            (number, location, connection)
        })
        .collect();
    std::thread::scope(|scope| {
        for (number, _, connection) in &mut connections {
            scope.spawn(|| {
                connection.write_all(&[*number]).unwrap();
                connection.write_all(&piece[1..]).unwrap();
                for _ in 1..5 {
                    connection.write_all(&piece).unwrap();
                }
            });
        }
    });
    assert_eq!(in_the_making(&workspace).len(), 64);
    std::thread::scope(|scope| {
        for (number, location, mut connection) in connections {
            let (client, piece) = (&client, &piece);
            scope.spawn(move || {
                connection.write_all(piece).unwrap();
                read(connection, "PATCH").is(202);
                let mut bytes = piece.repeat(6);
                bytes[0] = number;
                let digest = Digest::of(&bytes);
                client.put(&with_digest(&location, &digest), b"").is(201);
                assert!(client.get(&format!("/v2/tea{number}/blobs/{digest}")).is(200).body == bytes);
            });
        }
    });
    assert!(peak(server.id()) < 200, "{} MiB", peak(server.id()));
}

#[test]
fn two_servers_and_collections_on_one_store_lose_nothing() {
    let (workspace, one) = served();
    let two = Server::open(&workspace.root());
    let ended = AtomicBool::new(false);
    std::thread::scope(|scope| {
        let collecting = scope.spawn(|| {
            while !ended.load(Ordering::SeqCst) {
                workspace.run(["store", "gc"]).ok();
            }
        });
        let pushing: Vec<_> = (0..6)
            .map(|number| {
                // What one takes, the other gives; all share a layer, which comes and goes.
                let (here, there) = if number % 2 == 0 { (&one, &two) } else { (&two, &one) };
                scope.spawn(move || {
                    let repository = format!("tea{}", number % 3);
                    for round in 0..4 {
                        let own = format!("{number} {round}");
                        let client = here.client();
                        client.blob(&repository, b"{}");
                        client.blob(&repository, b"shared");
                        client.blob(&repository, own.as_bytes());
                        let layers = [b"shared", own.as_bytes()]
                            .map(|bytes| descriptor("application/vnd.oci.image.layer.v1.tar", bytes));
                        let manifest = image(b"", &json!({ "layers": layers }));
                        let tag = format!("{number}-{round}");
                        client.manifest(&repository, &tag, IMAGE, &manifest).is(201);
                        let client = there.client();
                        let path = format!("/v2/{repository}/manifests/{tag}");
                        assert_eq!(client.get(&path).is(200).body, manifest);
                        for bytes in [&b"{}"[..], b"shared", own.as_bytes()] {
                            let path = format!("/v2/{repository}/blobs/{}", Digest::of(bytes));
                            assert_eq!(client.get(&path).is(200).body, bytes);
                        }
                        if round % 2 == 0 {
                            let digest = Digest::of(&manifest);
                            client.delete(&format!("/v2/{repository}/manifests/{digest}")).is(202);
                            client
                                .delete(&format!("/v2/{repository}/blobs/{}", Digest::of(own.as_bytes())))
                                .is(202);
                        }
                    }
                })
            })
            .collect();
        for pushing in pushing {
            pushing.join().unwrap();
        }
        ended.store(true, Ordering::SeqCst);
        collecting.join().unwrap();
    });
    let client = one.client();
    for number in 0..6 {
        let tags = client.get(&format!("/v2/tea{}/tags/list", number % 3)).json()["tags"].to_string();
        for round in 0..4 {
            assert_eq!(tags.contains(&format!("\"{number}-{round}\"")), round % 2 == 1, "{tags}");
        }
    }
    assert_eq!(workspace.json(["store", "scrub"])["corrupt"], json!([]));
}

#[test]
fn servers_that_are_killed_lose_nothing_that_they_have_taken() {
    let workspace = Workspace::empty();
    let taken: Mutex<BTreeMap<String, (String, Vec<u8>)>> = Mutex::default();
    for round in 1..=5 {
        let server = Server::open(&workspace.root());
        let client = server.client();
        std::thread::scope(|scope| {
            for number in 0..4 {
                let (client, taken) = (&client, &taken);
                scope.spawn(move || {
                    for image in 0.. {
                        let tag = format!("{round}-{number}-{image}");
                        // Half of them share their layer with others.
                        let text = if image % 2 == 0 { tag.clone() } else { format!("shared {image}") };
                        let Ok(manifest) = client.try_image("tea", &tag, &text) else { break };
                        taken.lock().unwrap().insert(tag, (text, manifest));
                    }
                });
            }
            // In the midst of whatever they do.
            eventually("some were taken", || taken.lock().unwrap().len() >= round * 12);
            server.kill();
        });
        workspace.run(["store", "gc"]).ok();
        let server = Server::open(&workspace.root());
        let client = server.client();
        for (tag, (text, manifest)) in &*taken.lock().unwrap() {
            assert_eq!(client.get(&format!("/v2/tea/manifests/{tag}")).is(200).body, *manifest);
            let layer = client.get(&format!("/v2/tea/blobs/{}", Digest::of(text.as_bytes()))).is(200);
            assert_eq!(layer.text(), *text);
        }
    }
    assert_eq!(in_the_making(&workspace).len(), 0);
    assert_eq!(workspace.json(["store", "scrub"])["corrupt"], json!([]));
}

#[test]
fn a_full_disk_is_said_and_nothing_half_made_stays() {
    let workspace = Workspace::empty();
    fs_err::create_dir(workspace.path().join("disk")).unwrap();
    let script = "mount -t tmpfs -o size=20m tmpfs disk || exit 77; exec \"$@\"";
    let mut unshare = Command::new("unshare");
    unshare.args(if is_root() { &["--mount"][..] } else { &["--map-root-user", "--mount"] });
    unshare.args(["sh", "-c", script, "sh"]).current_dir(workspace.path());
    let mut probe = Command::new("unshare");
    probe.args(unshare.get_args()).arg("true").current_dir(workspace.path());
    if !probe.output().is_ok_and(|probed| probed.status.success()) {
        skip("no file system can be mounted here");
        return;
    }
    let root = workspace.path().join("disk/workspace");
    for (name, value) in command(&root).get_envs() {
        unshare.env(name, value.unwrap_or_default());
    }
    unshare.arg(env!("CARGO_BIN_EXE_provenv"));
    let server = Server::start(unshare, &["--anonymous-push"]);
    let client = server.client();
    let before = client.image("tea", "1", "leaves");
    let large = vec![5; 30 << 20];
    let path = format!("/v2/tea/blobs/uploads/?digest={}", Digest::of(&large));
    client.post(&path, &large).fails(507, "UNKNOWN");
    let location = client.upload("tea");
    client.patch(&location, None, &large).fails(507, "UNKNOWN");
    client.get(&location).fails(404, "BLOB_UPLOAD_UNKNOWN");
    // Seen from where the server is.
    let seen = PathBuf::from(format!("/proc/{}/root{}", server.id(), root.join("store").display()));
    let files = walkdir::WalkDir::new(seen).into_iter().filter_map(Result::ok);
    let largest = files.filter_map(|entry| Some(entry.metadata().ok()?.len())).max();
    assert!(largest.unwrap() < 1 << 20, "{largest:?}");
    // There is room again.
    assert_eq!(client.get("/v2/tea/manifests/1").is(200).body, before);
    client.image("tea", "2", "more leaves");
    let (code, said) = server.stop();
    assert_eq!(code, Some(0));
    assert!(said.contains("no space left for the store"), "{said}");
}

#[test]
fn the_same_blob_from_many_at_once_is_one_blob() {
    let (workspace, server) = served();
    let bytes = vec![3; 2_000_000];
    std::thread::scope(|scope| {
        for number in 0..16 {
            let (client, bytes) = (server.client(), &bytes);
            scope.spawn(move || client.blob(&format!("tea{}", number % 2), bytes));
        }
    });
    assert_eq!(super::server::blobs(&workspace).len(), 1);
    assert_eq!(in_the_making(&workspace).len(), 0);
}

#[test]
fn what_is_sent_when_it_is_told_to_stop_comes_to_its_end() {
    let workspace = Workspace::empty();
    for signal in [Signal::SIGTERM, Signal::SIGINT] {
        let server = Server::start(workspace.listening(), &["--anonymous-push"]);
        let client = server.client();
        // Beyond what is written at once, so that one can see that the request has begun.
        let bytes = signal.as_str().repeat(100_000).into_bytes();
        let location = client.upload("tea");
        let end = with_digest(&location, &Digest::of(&bytes));
        let length = bytes.len().to_string();
        let mut connection = client.begin("PUT", &end, &[("Content-Length", &length)]);
        let (most, rest) = bytes.split_at(bytes.len() - 3);
        connection.write_all(most).unwrap();
        eventually("it has begun", || client.get(&location).is(204).must("Range") != "0-0");
        server.signal(signal);
        eventually("it takes no new connections", || std::net::TcpStream::connect(server.address).is_err());
        connection.write_all(rest).unwrap();
        read(connection, "PUT").is(201);
        assert_eq!(server.wait(), Some(0));
    }
    let server = Server::open(&workspace.root());
    for signal in [Signal::SIGTERM, Signal::SIGINT] {
        let digest = Digest::of(signal.as_str().repeat(100_000).as_bytes());
        server.client().get(&format!("/v2/tea/blobs/{digest}")).is(200);
    }
}

#[test]
fn a_connection_that_says_nothing_does_not_keep_it_from_ending() {
    let (_workspace, server) = served();
    let client = server.client();
    let idle = std::net::TcpStream::connect(server.address).unwrap();
    let location = client.upload("tea");
    let mut stuck = client.begin("PATCH", &location, &[("Content-Length", "10")]);
    stuck.write_all(b"lea").unwrap();
    std::thread::sleep(Duration::from_millis(50));
    let (code, said) = server.stop();
    assert_eq!((code, said.as_str()), (Some(0), ""));
    drop((idle, stuck));
}
