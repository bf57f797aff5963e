//! Audits through the front door: what is found, what is not, and what stays on record.

use std::io::Write as _;

use provenv_channel::{Channel, Package};
use provenv_testing::pypi::{Index, Wheel};
use provenv_testing::server::{FileTree, Server};
use serde_json::{Value, json};

use crate::support::{Workspace, definition, serve};

/// A record as OSV writes it.
fn record(id: &str, ecosystem: &str, package: &str, events: &Value) -> Value {
    json!({
        "schema_version": "1.6.0",
        "id": id,
        "modified": "2026-11-01T00:00:00Z",
        "published": "2026-10-01T00:00:00Z",
        "summary": format!("{package} spills"),
        "details": "At length.",
        "affected": [{
            "package": {"ecosystem": ecosystem, "name": package, "purl": "pkg:x/y"},
            "ranges": [{"type": "ECOSYSTEM", "events": events}],
            "database_specific": {"source": "https://example.org"}
        }],
        "references": [{"type": "WEB", "url": "https://example.org"}]
    })
}

fn with(mut record: Value, key: &str, value: Value) -> Value {
    record[key] = value;
    record
}

/// Records on `tea-pot`, told of twice; on another version; withdrawn; and on Debian's zlib.
fn records() -> Vec<(&'static str, Value)> {
    let fixed = json!([{"introduced": "0"}, {"fixed": "1.1"}]);
    let critical = json!([{"type": "CVSS_V3", "score": "CVSS:3.1/AV:N/AC:L/PR:N/UI:N/S:U/C:H/I:H/A:H"}]);
    let ghsa = record("GHSA-aaaa-bbbb-cccc", "PyPI", "Tea_Pot", &fixed);
    let ghsa = with(with(ghsa, "aliases", json!(["CVE-2026-0001", "PYSEC-2026-1"])), "severity", critical);
    let pysec = with(record("PYSEC-2026-1", "PyPI", "tea-pot", &fixed), "aliases", json!(["CVE-2026-0001"]));
    let later = record("PYSEC-2026-2", "PyPI", "tea-pot", &json!([{"introduced": "1.5"}]));
    let withdrawn = record("PYSEC-2026-3", "PyPI", "tea-pot", &json!([{"introduced": "0"}]));
    let withdrawn = with(withdrawn, "withdrawn", json!("2026-11-02T00:00:00Z"));
    let other = record("PYSEC-2026-4", "PyPI", "someone-elses", &json!([{"introduced": "0"}]));
    let vendored =
        record("PYSEC-2026-5", "PyPI", "colour", &json!([{"introduced": "0"}, {"last_affected": "3.0"}]));
    let zlib = record("DEBIAN-CVE-2026-0002", "Debian:12", "zlib", &json!([{"introduced": "0"}]));
    let zlib = with(zlib, "upstream", json!(["CVE-2026-0002"]));
    let advisory =
        record("DSA-9999-1", "Debian:12", "zlib", &json!([{"introduced": "0"}, {"fixed": "1:99"}]));
    let advisory = with(advisory, "upstream", json!(["CVE-2026-0002", "CVE-2026-0003"]));
    let older = record("DEBIAN-CVE-2026-0004", "Debian:11", "zlib", &json!([{"introduced": "0"}]));
    vec![
        ("PyPI", ghsa),
        ("PyPI", pysec),
        ("PyPI", later),
        ("PyPI", withdrawn),
        ("PyPI", other),
        ("PyPI", vendored),
        ("Debian:12", zlib),
        ("Debian:12", advisory),
        ("Debian:11", older),
    ]
}

/// The export of an ecosystem, as OSV publishes it.
fn archive(ecosystem: &str) -> Vec<u8> {
    let mut archive = zip::ZipWriter::new(std::io::Cursor::new(Vec::new()));
    for (own, record) in records() {
        if own == ecosystem {
            let options = zip::write::SimpleFileOptions::default();
            archive.start_file(format!("{}.json", record["id"].as_str().unwrap()), options).unwrap();
            archive.write_all(record.to_string().as_bytes()).unwrap();
        }
    }
    archive.finish().unwrap().into_inner()
}

/// The same as folders of files.
fn folder(workspace: &Workspace) {
    for (ecosystem, record) in records() {
        workspace
            .write(&format!("osv/{ecosystem}/{}.json", record["id"].as_str().unwrap()), &record.to_string());
    }
}

fn index() -> Index {
    let colour = "Metadata-Version: 2.1\nName: Colour\nVersion: 3.0\n";
    Index::new()
        .add(Wheel::new("tea-pot", "1.0").file("tea_pot/_vendor/colour-3.0.dist-info/METADATA", colour))
        .add(Wheel::new("cup", "1.0"))
}

struct Setup {
    workspace: Workspace,
    _server: Server,
    image: String,
}

impl Setup {
    fn new(packages: &[&str]) -> Option<Self> {
        let workspace = Workspace::new()?;
        let server = serve(&index());
        workspace.write("environment.yaml", &definition(&server, "tea", packages));
        let built = workspace.json(["build", "environment.yaml"]);
        folder(&workspace);
        Some(Self { image: built["image"].as_str().unwrap().to_owned(), workspace, _server: server })
    }

    /// The report, and the exit code.
    fn audit(&self, arguments: &[&str]) -> (Value, i32) {
        let arguments = [&["-o", "json", "image", "audit", "environment.yaml"], arguments].concat();
        let done = self.workspace.run(arguments);
        (done.json(), done.code)
    }
}

fn ids(report: &Value) -> Vec<&str> {
    report["findings"].as_array().unwrap().iter().map(|one| one["id"].as_str().unwrap()).collect()
}

#[test]
fn each_vulnerability_is_found_once_whatever_the_records_that_tell_of_it() {
    let Some(setup) = Setup::new(&["tea-pot", "cup"]) else { return };
    let (report, code) = setup.audit(&["--database", "osv"]);
    assert_eq!(code, 1);
    let mut found = ids(&report);
    assert_eq!(found[0], "CVE-2026-0001", "the worst comes first");
    found.sort_unstable();
    // The advisory tells of one more than the records do.
    assert_eq!(found, ["CVE-2026-0001", "CVE-2026-0002", "CVE-2026-0003", "PYSEC-2026-5"]);
    let findings = report["findings"].as_array().unwrap();
    let find = |id: &str| findings.iter().find(|one| one["id"] == id).unwrap();
    let pot = find("CVE-2026-0001");
    assert_eq!(pot["aliases"], json!(["GHSA-aaaa-bbbb-cccc", "PYSEC-2026-1"]));
    assert_eq!((&pot["severity"], &pot["score"]), (&json!("critical"), &json!(9.8)));
    assert_eq!((&pot["fixed"], &pot["version"]), (&json!(["1.1"]), &json!("1.0")));
    assert_eq!(pot["found_as"], json!(["tea-pot"]));
    let zlib = find("CVE-2026-0002");
    assert_eq!((&zlib["package"], &zlib["found_as"]), (&json!("zlib"), &json!(["zlib1g"])));
    assert_eq!(zlib["aliases"], json!(["DEBIAN-CVE-2026-0002", "DSA-9999-1"]));
    assert_eq!(zlib["fixed"], json!(["1:99"]));
    assert_eq!(find("PYSEC-2026-5")["found_as"], json!(["colour in tea-pot 1.0"]));
    assert_eq!(report["database_newest"], "2026-11-01T00:00:00Z");
    let table = setup.workspace.run(["image", "audit", "environment.yaml", "--database", "osv"]);
    assert_eq!(table.code, 1);
    assert!(table.stdout.contains("CVE-2026-0001  critical 9.8  tea-pot"), "{}", table.stdout);
    assert!(table.stdout.contains("4 found, 3 of them with a fix"), "{}", table.stdout);
}

#[test]
fn what_is_ignored_does_not_count_and_is_said() {
    let Some(setup) = Setup::new(&["tea-pot"]) else { return };
    let ignore = ["--ignore", "pysec-2026-1", "--ignore", "PYSEC-2026-5", "--only", "pypi"];
    let (report, code) = setup.audit(&[&["--database", "osv"][..], &ignore].concat());
    assert_eq!((code, ids(&report)), (0, vec![]));
    assert_eq!(report["ignored"].as_array().unwrap().len(), 2);
    let done =
        setup.workspace.run(["image", "audit", "environment.yaml", "--database", "osv", "--ignore", "CVE-1"]);
    assert!(done.code == 1 && done.stderr.contains("nothing called CVE-1 was found"), "{}", done.stderr);
}

#[test]
fn a_database_is_fetched_once_and_then_taken_offline() {
    let Some(setup) = Setup::new(&["cup"]) else { return };
    let mut tree = FileTree::new();
    for ecosystem in ["PyPI", "Debian:12"] {
        tree = tree.with(&format!("/osv/{ecosystem}/all.zip"), archive(ecosystem));
    }
    let server = Server::start(tree);
    let url = server.at("/osv");
    let nowhere = ["image", "audit", "environment.yaml", "--offline", "--database", "http://127.0.0.1:1/osv"];
    let done = setup.workspace.run(nowhere);
    assert!(done.code != 0 && done.stderr.contains("could not fetch the database"), "{}", done.stderr);
    assert!(done.stderr.contains("--database FOLDER"), "{}", done.stderr);
    let (report, code) = setup.audit(&["--database", &url, "--only", "pypi"]);
    assert_eq!((code, ids(&report)), (0, vec![]));
    let (report, code) = setup.audit(&["--database", &url]);
    assert_eq!((code, ids(&report).len()), (1, 2));
    drop(server);
    let (offline, code) = setup.audit(&["--database", &url, "--offline"]);
    assert_eq!((code, &offline["findings"]), (1, &report["findings"]));
}

#[test]
fn results_are_kept_and_outlive_the_image() {
    let Some(setup) = Setup::new(&["tea-pot"]) else { return };
    let none = setup.workspace.run(["image", "audit", "environment.yaml", "--last"]);
    assert!(none.code == 2 && none.stderr.contains("was never audited"), "{}", none.stderr);
    let (first, _) = setup.audit(&["--database", "osv", "--only", "pypi"]);
    let (second, _) = setup.audit(&["--database", "osv"]);
    setup.workspace.run(["store", "gc"]).ok();
    let (last, code) = setup.audit(&["--last"]);
    assert_eq!((&last, code), (&second, 1));
    let history = setup.workspace.json(["image", "audit", &setup.image, "--history"]);
    let counts: Vec<&Value> = history.as_array().unwrap().iter().map(|one| &one["findings"]).collect();
    assert_eq!(counts, [&json!(4), &json!(2)]);
    assert_ne!(first["id"], second["id"]);
    // Its bytes are gone, and it is still audited.
    let (again, code) = setup.audit(&["--database", "osv"]);
    assert_eq!((&again["findings"], code), (&second["findings"], 1));
    let all = setup.workspace.run(["-o", "json", "image", "audit", "--all", "--database", "osv"]);
    assert_eq!((all.code, all.json().as_array().unwrap().len()), (1, 1));
}

#[test]
fn python_in_conda_packages_is_checked_and_the_rest_of_conda_is_said_not_to_be() {
    let (Some(real), Some(workspace)) = (provenv_channel::real(), Workspace::new()) else { return };
    let tiny = Channel::new("tiny")
        .add(
            Package::new("pot", "7")
                .noarch_python()
                .depends("python >=3.8")
                .file("site-packages/tea_pot/__init__.py", "")
                .python_dist("tea-pot", "1.0", &[]),
        )
        .add(Package::new("kettle", "2.0").noarch_generic().file("share/kettle", "hot"));
    let server = Server::start(tiny.serve(real.tree()));
    let text = format!(
        "name: mixed\nchannels:\n- {}\n- {}\ndependencies:\n- python=3.11\n- pot\n- kettle\n",
        server.at("/tiny"),
        server.at("/real"),
    );
    workspace.write("environment.yml", &text);
    workspace.run(["build", "environment.yml"]).ok();
    folder(&workspace);
    let done = workspace.run([
        "-o",
        "json",
        "image",
        "audit",
        "environment.yml",
        "--database",
        "osv",
        "--only",
        "pypi",
    ]);
    let report = done.json();
    assert_eq!(ids(&report), ["CVE-2026-0001"]);
    assert_eq!(report["findings"][0]["found_as"], json!(["tea-pot in pot 7"]));
    let unchecked: Vec<&Value> =
        report["unchecked"].as_array().unwrap().iter().map(|one| &one["name"]).collect();
    assert!(unchecked.contains(&&json!("kettle")) && !unchecked.contains(&&json!("pot")), "{unchecked:?}");
}

#[test]
fn records_by_one_name_in_two_ecosystems_all_count() {
    let Some(setup) = Setup::new(&["tea-pot"]) else { return };
    let open = json!([{"introduced": "0"}]);
    let of = |ecosystem: &str, package: &str| record("CVE-2026-0009", ecosystem, package, &open);
    // As PyPI's advisories and Debian's tracker have them.
    setup.workspace.write("two/PyPI/CVE-2026-0009.json", &of("PyPI", "tea-pot").to_string());
    setup.workspace.write("two/Debian:12/CVE-2026-0009.json", &of("Debian:12", "zlib").to_string());
    let (report, code) = setup.audit(&["--database", "two"]);
    let mut found: Vec<&str> =
        report["findings"].as_array().unwrap().iter().map(|one| one["package"].as_str().unwrap()).collect();
    found.sort_unstable();
    assert_eq!((code, &*found), (1, &["tea-pot", "zlib"][..]), "{report}");
    // A second copy of a record tells nothing new.
    setup.workspace.write("two/again/CVE-2026-0009.json", &of("PyPI", "tea-pot").to_string());
    assert_eq!(ids(&setup.audit(&["--database", "two"]).0).len(), 2);
}

#[test]
fn a_record_that_cannot_be_read_as_versions_is_said_and_is_no_all_clear() {
    let Some(setup) = Setup::new(&["tea-pot", "cup"]) else { return };
    let events = json!([{"introduced": "first of all"}, {"fixed": "9"}]);
    setup.workspace.write("odd/PyPI/1.json", &record("CVE-2026-0006", "PyPI", "cup", &events).to_string());
    let ask = ["--database", "odd", "--only", "pypi"];
    let (report, code) = setup.audit(&ask);
    assert_eq!((code, &report["findings"]), (2, &json!([])), "{report}");
    let unchecked = report["unchecked"].as_array().unwrap();
    let doubt = unchecked.iter().find(|one| one["uncertain"] == true).unwrap();
    assert_eq!(
        (&doubt["name"], &doubt["version"], &doubt["ecosystem"]),
        (&json!("cup"), &json!("1.0"), &json!("pypi"))
    );
    let why = doubt["why"].as_str().unwrap();
    assert!(why.contains("CVE-2026-0006") && why.contains("`first of all`"), "{why}");
    let text = setup.workspace.run(["image", "audit", "environment.yaml", "--last"]);
    assert!(
        text.code == 2 && text.stdout.contains("not certain: cup 1.0: whether CVE-2026-0006"),
        "{}",
        text.stdout
    );
    // Whoever has looked for himself says so; and what a record lists by name needs no order.
    assert_eq!(setup.audit(&[&ask[..], &["--ignore", "CVE-2026-0006"]].concat()).1, 0);
    let mut listed = record("CVE-2026-0006", "PyPI", "cup", &events);
    listed["affected"][0]["versions"] = json!(["1.0"]);
    setup.workspace.write("odd/PyPI/1.json", &listed.to_string());
    let (report, code) = setup.audit(&ask);
    assert_eq!((code, ids(&report)), (1, vec!["CVE-2026-0006"]), "{report}");
    assert!(!report["unchecked"].as_array().unwrap().iter().any(|one| one["uncertain"] == true), "{report}");
}

#[test]
fn databases_that_cannot_be_used_are_refused() {
    let Some(setup) = Setup::new(&["tea-pot"]) else { return };
    let workspace = &setup.workspace;
    workspace.write("bad/PyPI.json", "{\"id\": 7}");
    workspace.write("nameless/PyPI.json", "{\"summary\": \"x\"}");
    workspace.write("broken/all.zip", "PK, and no more");
    workspace.write("python/one.json", &records()[0].1.to_string());
    for (database, said) in [
        ("nowhere", "could not read the database"),
        ("bad", "is not a record of a vulnerability"),
        ("nameless", "is not a record of a vulnerability"),
        ("broken", "is not an archive of vulnerabilities"),
        ("python", "has no record for Debian:12"),
        ("http://[", "cannot be read"),
    ] {
        let done = workspace.run(["image", "audit", "environment.yaml", "--database", database]);
        assert!(done.code == 2 && done.stderr.contains(said), "{database}: {} {}", done.code, done.stderr);
    }
    assert!(
        workspace.json(["image", "audit", "environment.yaml", "--history"]).as_array().unwrap().is_empty()
    );
    let (report, code) = setup.audit(&["--database", "python", "--only", "pypi"]);
    assert_eq!((code, ids(&report)), (1, vec!["CVE-2026-0001"]));
}
