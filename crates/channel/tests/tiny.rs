//! The tiny channel is what clients of conda take for a real one: py-rattler reads each form of its index, solves, and installs.

use std::collections::BTreeMap;
use std::path::Path;
use std::process::Command;

use provenv_channel::{Channel, Package};
use provenv_testing::server::{FileTree, Server};
use rattler_conda_types::{Shard, ShardedRepodata};
use serde_json::Value;

use crate::support::{Peer, names};

fn python() -> Package {
    Package::new("python", "3.11.2")
        .build("h0_0_cpython", 0)
        .executable("bin/python3.11", "#!/bin/sh\n")
        .symlink("bin/python", "python3.11")
        .file("lib/python3.11/os.py", "")
        .field("python_site_packages_path", "lib/python3.11/site-packages")
}

fn tool() -> Package {
    Package::new("tool", "1.0")
        .build("py311_0", 0)
        .depends("python >=3.11,<3.12.0a0")
        .constrains("old <2")
        .prefixed_text("bin/tool", "#!/bin/sh\necho {PREFIX}\n")
        .prefixed_binary("lib/libtool.so", b"\x7fELF{PREFIX}/share\0rest")
        .symlink("lib/libtool.so.1", "libtool.so")
        .entry_point("second = tool:main")
        .python_dist("tool", "1.0", &["library>=1"])
}

fn library() -> Package {
    Package::new("library", "2.0")
        .noarch_python()
        .depends("python >=3.9")
        .file("site-packages/library/__init__.py", "def main(): pass\n")
        .python_dist("library", "2.0", &[])
        .entry_point("library = library:main")
}

fn old() -> Package {
    Package::new("old", "1")
        .old_format()
        .prefixed_text("share/old.txt", "{PREFIX}\n")
        .hardlink("share/other.txt", "share/old.txt")
}

fn channel() -> Channel {
    Channel::new("demo")
        .add(python())
        .add(tool())
        .add(library())
        .add(old())
        .add(Package::new("old", "2").old_format())
        .add(Package::new("broken", "2"))
        .add(Package::new("broken", "1"))
        .yank("broken-2-0.conda")
        .add(Package::new("avoided", "1").build("featured_0", 1).track_features("slow"))
        .add(Package::new("avoided", "1").build("plain_0", 0))
}

#[test]
fn the_same_calls_give_the_same_bytes() {
    assert_eq!(channel().files(), channel().files());
    assert_ne!(tool().make().bytes, tool().timestamp(1).make().bytes);
}

#[test]
fn switches_leave_forms_of_the_index_out() {
    let files = channel().without_shards().without_zst().files();
    assert!(files.contains_key("noarch/repodata.json") && files.contains_key("linux-64/repodata.json"));
    assert!(!files.keys().any(|path| path.contains("shards") || path.ends_with(".json.zst")));
}

#[test]
fn what_left_the_index_or_the_server_is_said_to_have() {
    let channel = channel().vanish("old-1-0.tar.bz2").remove("old-2-0.tar.bz2").patch(
        "tool-1.0-py311_0.conda",
        "depends",
        vec!["x"],
    );
    let files = channel.files();
    let repodata: Value = serde_json::from_slice(&files["linux-64/repodata.json"]).unwrap();
    assert_eq!(repodata["removed"], serde_json::json!(["broken-2-0.conda", "old-2-0.tar.bz2"]));
    assert!(files.contains_key("linux-64/broken-2-0.conda"), "a broken package can still be had");
    assert!(
        !repodata["packages"]["old-1-0.tar.bz2"].is_null() && !files.contains_key("linux-64/old-1-0.tar.bz2")
    );
    assert!(
        repodata["packages"]["old-2-0.tar.bz2"].is_null() && !files.contains_key("linux-64/old-2-0.tar.bz2")
    );
    assert_eq!(repodata["packages.conda"]["tool-1.0-py311_0.conda"]["depends"], serde_json::json!(["x"]));
}

#[test]
fn rattler_reads_solves_and_installs_each_form() {
    let Some(peer) = Peer::new() else { return };
    let server = Server::start(channel().serve(FileTree::new()));
    for (form, file) in
        [("json", "repodata.json"), ("zst", "repodata.json.zst"), ("shards", "repodata_shards.msgpack.zst")]
    {
        let prefix = peer.folder().join(format!("prefix-{form}"));
        let records = peer.solve(
            &server.at("/demo"),
            form,
            Some(&prefix),
            &["tool", "library", "old", "broken", "avoided"],
        );
        assert!(server.hits(&format!("/demo/linux-64/{file}")) > 0, "{form} was asked for");
        assert_eq!(
            names(&records),
            [
                "avoided-1-plain_0.conda",
                "broken-1-0.conda",
                "library-2.0-0.conda",
                "old-1-0.tar.bz2",
                "python-3.11.2-h0_0_cpython.conda",
                "tool-1.0-py311_0.conda",
            ],
            "{form}"
        );
        let said = Command::new(prefix.join("bin/tool")).output().unwrap();
        assert_eq!(String::from_utf8(said.stdout).unwrap(), format!("{}\n", prefix.display()));
        let library = fs_err::read(prefix.join("lib/libtool.so.1")).unwrap();
        let begin = format!("\x7fELF{}/share\0", prefix.display());
        assert!(library.starts_with(begin.as_bytes()) && library.ends_with(b"\0rest"));
        assert_eq!(
            fs_err::read_to_string(prefix.join("share/other.txt")).unwrap(),
            format!("{}\n", prefix.display())
        );
        for path in ["bin/second", "bin/library", "lib/python3.11/site-packages/library-2.0.dist-info/RECORD"]
        {
            assert!(prefix.join(path).exists(), "{path}");
        }
    }
}

#[test]
fn packages_of_every_age_and_kind_are_installed() {
    let Some(peer) = Peer::new() else { return };
    let ancient = Package::new("ancient", "0.1")
        .old_format()
        .without_paths()
        .prefixed_text("share/text", "{PREFIX}/share")
        .prefixed_binary("share/binary", b"{PREFIX}/share\0end");
    let data =
        Package::new("data", "1").noarch_generic().file("site-packages/stays", "here\n").license("CC0-1.0");
    let newer = Package::new("data", "2").constrains("ancient >=1").noarch_generic();
    let other = Package::new("other", "1").subdir("linux-aarch64");
    let channel = Channel::new("kinds").add(ancient).add(data).add(newer).add(other);
    assert!(channel.files().contains_key("linux-aarch64/other-1-0.conda"));
    let server = Server::start(channel.serve(FileTree::new()));
    let prefix = peer.folder().join("prefix");
    let records = peer.solve(&server.at("/kinds"), "shards", Some(&prefix), &["ancient", "data"]);
    assert_eq!(
        names(&records),
        ["ancient-0.1-0.tar.bz2", "data-1-0.conda"],
        "a constraint keeps the newer one out"
    );
    let read = |path: &str| fs_err::read_to_string(prefix.join(path)).unwrap();
    assert_eq!(read("share/text"), format!("{}/share", prefix.display()));
    assert!(read("share/binary").starts_with(&format!("{}/share\0", prefix.display())));
    assert_eq!(read("site-packages/stays"), "here\n");

    let refused = peer.ask(&server.at("/kinds"), "shards", None, &["ancient", "data >=2"]);
    let why = String::from_utf8_lossy(&refused.stderr);
    assert!(!refused.status.success() && why.contains("ancient") && why.contains("data"), "{why}");
}

#[test]
fn a_post_link_script_is_found_where_conda_looks_for_it() {
    let Some(peer) = Peer::new() else { return };
    let script = "#!/bin/sh\necho \"$PKG_NAME $PKG_VERSION\" > \"$PREFIX/linked\"\n";
    let channel = Channel::new("scripts").add(Package::new("scripted", "1").post_link(script));
    let server = Server::start(channel.serve(FileTree::new()));
    let prefix = peer.folder().join("prefix");
    peer.solve(&server.at("/scripts"), "json", Some(&prefix), &["scripted"]);
    assert!(prefix.join("bin/.scripted-post-link.sh").exists());
    assert_eq!(fs_err::read_to_string(prefix.join("linked")).unwrap(), "scripted 1\n");
}

#[test]
fn rattler_indexes_the_packages_alike() {
    let Some(peer) = Peer::new() else { return };
    let (ours, theirs) = (peer.folder().join("ours"), peer.folder().join("theirs"));
    let channel = Channel::new("demo").add(python()).add(tool()).add(library()).add(old());
    channel.write_to(&ours).unwrap();
    for archive in channel.archives() {
        let folder = theirs.join(&archive.subdir);
        fs_err::create_dir_all(&folder).unwrap();
        fs_err::write(folder.join(&archive.file_name), &archive.bytes).unwrap();
    }
    peer.index(&theirs);
    for subdir in ["linux-64", "noarch"] {
        assert_eq!(records(&ours.join(subdir)), records(&theirs.join(subdir)), "{subdir}");
        assert_eq!(shards(&ours.join(subdir)), shards(&theirs.join(subdir)), "the shards of {subdir}");
    }
}

/// The records of `repodata.json`.
fn records(subdir: &Path) -> BTreeMap<String, Value> {
    let text = fs_err::read_to_string(subdir.join("repodata.json")).unwrap();
    let repodata: Value = serde_json::from_str(&text).unwrap();
    let records = KINDS.iter().flat_map(|kind| repodata[kind].as_object().unwrap().clone());
    records.map(|(file, record)| (file, comparable(record))).collect()
}

/// The records of all shards, by the name that leads to each.
fn shards(subdir: &Path) -> BTreeMap<String, BTreeMap<String, Value>> {
    fn read<T: serde::de::DeserializeOwned>(path: &Path) -> T {
        rmp_serde::from_slice(&zstd::decode_all(&fs_err::read(path).unwrap()[..]).unwrap()).unwrap()
    }
    let index: ShardedRepodata = read(&subdir.join("repodata_shards.msgpack.zst"));
    let shard = |digest: &[u8]| -> BTreeMap<String, Value> {
        let digest = hex::encode(digest);
        let shard: Shard = read(&subdir.join("shards").join(format!("{digest}.msgpack.zst")));
        let records = shard.packages.into_iter().chain(shard.conda_packages);
        records
            .map(|(file, record)| (file.to_string(), comparable(serde_json::to_value(record).unwrap())))
            .collect()
    };
    index.shards.into_iter().map(|(name, digest)| (name, shard(&digest))).collect()
}

const KINDS: [&str; 2] = ["packages", "packages.conda"];

/// A record without what rattler says besides: again what the subdir says, and when it was indexed.
fn comparable(mut record: Value) -> Value {
    let fields = record.as_object_mut().unwrap();
    for field in ["arch", "platform", "indexed_timestamp"] {
        fields.remove(field);
    }
    assert!(fields["sha256"].is_string() && fields["depends"].is_array(), "{fields:?}");
    record
}
