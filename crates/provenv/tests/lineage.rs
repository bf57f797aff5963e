//! Versions are found by what is in them, and say where they are used and where they come from.

use provenv_channel::{Channel, Package};
use provenv_testing::pypi::{Index, Wheel};
use provenv_testing::server::{FileTree, Server};
use serde_json::{Value, json};

use crate::support::{Workspace, definition, serve};

fn names(listed: &Value) -> Vec<String> {
    let name =
        |one: &Value| format!("{}:{}", one["name"].as_str().unwrap(), one["version"].as_str().unwrap());
    listed.as_array().unwrap().iter().map(name).collect()
}

fn texts(list: &Value, part: &str) -> Vec<String> {
    list.as_array().unwrap().iter().map(|one| one[part].as_str().unwrap().to_owned()).collect()
}

fn register(workspace: &Workspace, server: &Server, name: &str, packages: &[&str]) {
    workspace.write("environment.yaml", &definition(server, name, packages));
    workspace.run(["env", "register", "environment.yaml"]).ok();
}

#[test]
fn versions_are_found_by_what_is_in_them() {
    let mut index = Index::new();
    for version in ["1.9", "1.10", "2.0"] {
        index = index.add(Wheel::new("tea-pot", version));
    }
    let server = serve(&index.add(Wheel::new("cup", "1.0")));
    let Some(workspace) = Workspace::new() else { return };
    register(&workspace, &server, "a", &["Tea_Pot==1.9"]);
    register(&workspace, &server, "a", &["tea-pot==2.0"]);
    register(&workspace, &server, "b", &["tea-pot==1.10", "cup"]);
    let channel = Channel::new("demo").add(Package::new("tea-pot", "1.9.1"));
    let conda = Server::start(channel.serve(FileTree::new()));
    let text = format!("name: c\nchannels: [{}]\ndependencies: [tea-pot]\n", conda.at("/demo"));
    workspace.write("environment.yml", &text);
    workspace.run(["env", "register", "environment.yml"]).ok();

    let search = |terms: &[&str]| names(&workspace.json([&["env", "search"], terms].concat()));
    assert_eq!(search(&["package:tea-pot"]), ["a:2", "a:1", "b:1", "c:1"]);
    assert_eq!(search(&["package:Tea_Pot<1.10"]), ["a:1", "c:1"]);
    assert_eq!(search(&["package:pypi:tea-pot<1.10"]), ["a:1"]);
    assert_eq!(search(&["package:conda:tea-pot"]), ["c:1"]);
    assert_eq!(search(&["package:tea-pot>=1.10,<2"]), ["b:1"]);
    assert_eq!(search(&["package:tea-pot==1.*", "package:cup"]), ["b:1"]);
    assert_eq!(search(&["package:tea-pot", "--newest"]), ["a:2", "b:1", "c:1"]);
    assert_eq!(search(&["package:tea-pot", "--limit", "1", "--after", "a:1"]), ["b:1"]);
    assert_eq!(search(&["package:debian:libc6>=2.0"]).len(), 4);
    assert!(search(&["package:debian:libc6<<2.0"]).is_empty());
    assert_eq!(search(&["package:python<3.12", "a"]), ["a:2", "a:1"]);
    assert_eq!(search(&["base:bookworm", "--name", "b"]), ["b:1"]);
    assert!(search(&["base:trixie"]).is_empty());
    assert!(search(&["package:nowhere"]).is_empty());

    let lock: Value =
        serde_json::from_str(&workspace.run(["lock", "b:1", "--file", "-"]).ok().stdout).unwrap();
    let pypi = lock["platforms"]["linux/amd64"]["pypi"].as_array().unwrap();
    let cup = pypi.iter().find(|package| package["name"] == "cup").unwrap();
    let digest = cup["source"]["wheel"]["sha256"].as_str().unwrap();
    assert_eq!(search(&[&format!("artifact:{digest}")]), ["b:1"]);

    workspace.run(["env", "archive", "a:1"]).ok();
    assert_eq!(search(&["package:tea-pot<1.10"]), ["c:1"]);
    assert_eq!(search(&["package:tea-pot<1.10", "--include-archived"]), ["a:1", "c:1"]);
    assert_eq!(search(&["package:tea-pot<1.10", "--archived"]), ["a:1"]);

    for (arguments, said) in [
        (vec![], "nothing is looked for"),
        (vec!["numpy<1"], "write `package:numpy<1`"),
        (vec!["package:npm:left-pad"], "is no ecosystem"),
        (vec!["package:numpy<"], "is no range of versions"),
        (vec!["artifact:abc"], "64 digits"),
        (vec!["holds:numpy"], "is not known"),
    ] {
        let done = workspace.run([vec!["env", "search"], arguments.clone()].concat());
        assert_eq!(done.code, 2, "{arguments:?}: {}", done.stderr);
        assert!(done.stderr.contains(said), "{said}: {}", done.stderr);
    }
}

#[test]
fn what_an_audit_found_is_found() {
    let server = serve(&Index::new().add(Wheel::new("tea", "1.0")).add(Wheel::new("tea", "2.0")));
    let Some(workspace) = Workspace::new() else { return };
    let record = json!({
        "schema_version": "1.6.0",
        "id": "PYSEC-2026-1",
        "aliases": ["CVE-2026-0001"],
        "modified": "2026-11-01T00:00:00Z",
        "affected": [{
            "package": {"ecosystem": "PyPI", "name": "tea"},
            "ranges": [{"type": "ECOSYSTEM", "events": [{"introduced": "0"}, {"fixed": "2.0"}]}],
        }],
    });
    workspace.write("osv/PyPI/PYSEC-2026-1.json", &record.to_string());
    for version in ["1.0", "2.0"] {
        register(&workspace, &server, "a", &[&format!("tea=={version}")]);
        workspace.run(["build", "a"]).ok();
        workspace.run(["image", "audit", "a", "--database", "osv", "--only", "pypi"]);
    }
    for name in ["CVE-2026-0001", "cve-2026-0001", "PYSEC-2026-1"] {
        let found = workspace.json(["env", "search", &format!("vulnerability:{name}")]);
        assert_eq!(names(&found), ["a:1"], "{name}");
    }
    assert!(names(&workspace.json(["env", "search", "vulnerability:CVE-2026-0002"])).is_empty());
}

#[test]
fn a_version_says_where_it_is_used_and_everything_where_it_comes_from() {
    let server = serve(&Index::new().add(Wheel::new("tea", "1.0")));
    let Some(workspace) = Workspace::new() else { return };
    register(&workspace, &server, "a", &["tea"]);
    workspace.run(["env", "register", "--from", "a", "--name", "b"]).ok();
    workspace.run(["env", "label", "a:1", "prod"]).ok();
    workspace.write("job.yaml", "environment: a@prod\ncommand: 'true'\n");
    let run = workspace.json(["submit", "job.yaml"])["run"].clone();
    let (id, image) = (run["id"].as_str().unwrap(), run["image"].as_str().unwrap());
    let shown = workspace.json(["env", "show", "a:1"]);
    let (receipt, lock) = (shown["receipt"].as_str().unwrap(), shown["lock"].as_str().unwrap());

    let uses = workspace.json(["env", "uses", "a"]);
    assert_eq!(uses["environment"], "a:1");
    assert_eq!(uses["labels"], json!(["latest", "prod"]));
    assert_eq!(texts(&uses["runs"], "id"), [id]);
    assert_eq!(texts(&uses["images"], "digest"), [image]);
    assert_eq!((&uses["derived"], &uses["same_lock"]), (&json!(["b:1"]), &json!(["b:1"])));
    let unused = workspace.json(["env", "uses", "b:1"]);
    assert_eq!((&unused["runs"], &unused["derived"]), (&json!([]), &json!([])));
    let text = workspace.run(["env", "uses", "a:1"]).ok().stdout;
    assert!(text.contains(id) && text.contains(image), "{text}");

    let whole = |lineage: &Value, environments: &[&str]| {
        assert_eq!(texts(&lineage["runs"], "id"), [id], "{lineage}");
        assert_eq!(texts(&lineage["environments"], "environment"), environments, "{lineage}");
        assert_eq!(texts(&lineage["receipts"], "digest"), [receipt], "{lineage}");
        assert_eq!(texts(&lineage["locks"], "digest"), [lock], "{lineage}");
        assert_eq!(texts(&lineage["locks"][0]["images"], "digest"), [image], "{lineage}");
    };
    let of_run = workspace.json(["env", "lineage", id]);
    whole(&of_run, &["a:1"]);
    assert_eq!((of_run["of"].as_str(), of_run["id"].as_str()), (Some("run"), Some(id)));
    let artifacts = of_run["artifacts"].as_array().unwrap();
    let wheel = artifacts.iter().find(|one| one["name"] == "tea").unwrap();
    assert_eq!((wheel["ecosystem"].as_str(), wheel["version"].as_str()), (Some("pypi"), Some("1.0")));
    whole(&workspace.json(["env", "lineage", "latest"]), &["a:1"]);
    whole(&workspace.json(["env", "lineage", "a@prod"]), &["a:1"]);
    for digest in [receipt, lock, image, wheel["digest"].as_str().unwrap()] {
        whole(&workspace.json(["env", "lineage", digest]), &["a:1", "b:1"]);
    }
    let of_wheel = workspace.json(["env", "lineage", wheel["digest"].as_str().unwrap()]);
    assert_eq!((of_wheel["of"].as_str(), &of_wheel["artifacts"]), (Some("artifact"), &json!([wheel])));
    let text = workspace.run(["env", "lineage", id]).ok().stdout;
    assert!(text.contains("a:1") && text.contains("which --artifacts lists"), "{text}");
    let nothing = workspace.run(["env", "lineage", "nothing"]);
    assert_eq!(nothing.code, 1);
    assert!(nothing.stderr.contains("there is no run, environment"), "{}", nothing.stderr);
}
