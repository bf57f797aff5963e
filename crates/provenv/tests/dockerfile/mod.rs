//! Dockerfiles: run by a real buildah and by a real BuildKit on images of a registry, their results pinned, packages on top of
//! them.

mod buildkit;
mod contexts;
mod engine;
mod failures;
mod policies;

use std::collections::BTreeSet;

use engine::{Engine, by_each};
use provenv_testing::pypi::{Index, Wheel};
use provenv_testing::server::{FileTree, Server};
use serde_json::Value;

use crate::support::registry::{Image, Registry, shell};
use crate::support::{Workspace, serve};

by_each!(
    a_dockerfile_is_run_once_and_what_it_made_is_pinned,
    where_the_result_is_gone_the_dockerfile_is_run_again_and_compared,
    packages_go_on_top_of_what_steps_made,
    stages_and_images_that_are_copied_from_are_pinned_too,
);

/// A definition of a Dockerfile in a text.
fn definition(dockerfile: &str) -> String {
    let lines: Vec<String> = dockerfile.lines().map(|line| format!("  {line}\n")).collect();
    format!("name: made\nuser_managed: true\ndockerfile: |\n{}", lines.concat())
}

/// What the lock of a file says of its base.
fn made(workspace: &Workspace, file: &str) -> Value {
    let done = workspace.run(["lock", file, "--file", "-"]).ok();
    let lock: Value = serde_json::from_str(&done.stdout).unwrap();
    assert_eq!(lock["format"], 3);
    lock["platforms"]["linux/amd64"]["base"]["dockerfile"].clone()
}

/// How many Dockerfiles were run.
fn runs(workspace: &Workspace) -> Vec<Value> {
    let builds = workspace.json(["builds", "list"]);
    builds.as_array().unwrap().iter().filter(|build| build["step"] == "dockerfile").cloned().collect()
}

fn a_dockerfile_is_run_once_and_what_it_made_is_pinned(engine: &Engine) {
    let server = Server::start(FileTree::new());
    let base = shell(&server);
    let workspace = engine.workspace();
    let text = format!(
        "FROM {base}\nENV GREETING=hello\nRUN mkdir /srv && echo made > /srv/made\nCMD [\"cat\", \"/srv/made\"]\n"
    );
    workspace.write("made.yaml", &definition(&text));
    let done = workspace.run(["lock", "made.yaml"]).ok();
    assert!(
        done.stderr.contains(&engine.begins(3, 4, "RUN mkdir /srv")),
        "it is shown while it goes on: {}",
        done.stderr
    );
    assert!(done.stderr.contains(&engine.takes(4, &base)), "{}", done.stderr);
    let pinned = made(&workspace, "made.yaml");
    assert_eq!(pinned["from"][0]["reference"], base.as_str());
    assert!(pinned["from"][0]["manifest"].as_str().unwrap().starts_with("sha256:"));

    let built = workspace.json(["build", "made.yaml"]);
    let said = workspace.run(["run", "made.yaml", "--", "sh", "-c", "cat /srv/made; echo $GREETING"]).ok();
    assert_eq!(said.stdout, "made\nhello\n");
    assert_eq!(workspace.json(["build", "made.yaml", "--force"])["reproduced"], true);
    let shown = workspace.json(["image", "show", "made.yaml"]);
    assert_eq!(
        shown["base"].as_str(),
        Some(&*format!("Dockerfile ({})", pinned["manifest"].as_str().unwrap()))
    );
    assert_eq!(shown["layers"].as_array().unwrap().len(), 2, "the layer of the image, and that of the steps");

    // Once, with a record and a log that the build of the image has too.
    let all = runs(&workspace);
    assert_eq!(
        (all.len(), &all[0]["status"], &all[0]["image"]),
        (1, &"succeeded".into(), &pinned["manifest"])
    );
    for build in ["latest", all[0]["id"].as_str().unwrap()] {
        let log = workspace.run(["builds", "logs", build]).ok().stdout;
        assert!(log.contains(&engine.begins(3, 4, "RUN mkdir /srv")) && log.contains(&base), "{log}");
    }
    // Another definition with the same Dockerfile.
    let other = definition(&text).replace("user_managed: true\n", "platforms: [linux/amd64]\n");
    workspace.write("other.yaml", &other);
    let done = workspace.run(["lock", "other.yaml", "--file", "-"]).ok();
    assert!(done.stderr.contains("the Dockerfile was run before"), "{}", done.stderr);
    assert_eq!((made(&workspace, "other.yaml"), runs(&workspace).len()), (pinned.clone(), 1));

    // What says of itself when and where it was made would be another image each time.
    workspace.run(["lock", "made.yaml", "--upgrade"]).ok();
    assert_eq!((made(&workspace, "made.yaml"), runs(&workspace).len()), (pinned.clone(), 2));
    let receipt = workspace.run(["env", "show", "made.yaml"]);
    assert!(receipt.code == 0, "{}", receipt.stderr);

    // Nothing is fetched and nothing is run for what is in the store.
    let hits = server.total_hits();
    let done = workspace.run(["--offline", "build", "made.yaml", "--force"]).ok();
    assert!(done.stdout.contains(built["image"].as_str().unwrap()), "{}", done.stdout);
    assert_eq!((server.total_hits(), runs(&workspace).len()), (hits, 2));
}

fn where_the_result_is_gone_the_dockerfile_is_run_again_and_compared(engine: &Engine) {
    let server = Server::start(FileTree::new());
    let base = shell(&server);
    let workspace = engine.workspace();
    workspace.write("same.yaml", &definition(&format!("FROM {base}\nRUN echo same > /same\n")));
    workspace.write("other.yaml", &definition(&format!("FROM {base}\nRUN date +%N > /other\n")));
    for name in ["same", "other"] {
        workspace.run(["lock", &format!("{name}.yaml")]).ok();
    }
    let built = workspace.json(["build", "same.yaml"]);

    let machine = engine.workspace();
    for name in ["same", "other"] {
        for file in [format!("{name}.yaml"), format!("{name}.lock.json")] {
            fs_err::copy(workspace.path().join(&file), machine.path().join(&file)).unwrap();
        }
    }
    let there = |name: &str| {
        let (file, lock) = (format!("{name}.yaml"), format!("{name}.lock.json"));
        machine.run(["-o", "json", "build", &file, "--lock", &lock])
    };
    let again = there("same").ok();
    assert!(again.stderr.contains("it is run again"), "{}", again.stderr);
    assert_eq!(again.json()["image"], built["image"], "the same steps make the same bytes");
    let refused = there("other");
    assert!(refused.code == 1 && refused.stderr.contains("makes something else now"), "{}", refused.stderr);
    assert!(refused.stderr.contains("lock FILE --upgrade"), "{}", refused.stderr);
    assert_eq!(machine.json(["image", "list"]).as_array().unwrap().len(), 1, "nothing was built of it");
    let offline = engine.workspace();
    for file in ["same.yaml", "same.lock.json"] {
        fs_err::copy(workspace.path().join(file), offline.path().join(file)).unwrap();
    }
    let done = offline.run(["--offline", "build", "same.yaml", "--lock", "same.lock.json"]);
    assert!(done.code == 1 && done.stderr.contains("is not in the store"), "{}", done.stderr);
    // Who says so takes what it makes now.
    machine.run(["lock", "other.yaml", "--upgrade"]).ok();
    machine.run(["build", "other.yaml"]).ok();
    // Collection leaves what a registered version stands on.
    machine.run(["env", "register", "other.yaml"]).ok();
    machine.run(["store", "gc"]).ok();
    machine.run(["--offline", "build", "made:1", "--force"]).ok();
}

fn packages_go_on_top_of_what_steps_made(engine: &Engine) {
    let Some(registry) = Registry::start(false) else { return };
    let Some(workspace) = engine.workspace_with_base() else { return };
    workspace.write(
        "base.yaml",
        "name: base\nuser_managed: true\nbase: debian/bookworm\nsystem_packages: [python3]\n",
    );
    let base = registry.at("team/base:1");
    workspace.run(["build", "base.yaml", "--to", &base]).ok();
    let server = serve(
        &Index::new().add(
            Wheel::new("tea", "1.0")
                .entry_point("console_scripts", "pour", "tea:main")
                .file("tea/__init__.py", "def main():\n    print('poured')\n"),
        ),
    );
    workspace.write(
        "on.yaml",
        &format!(
            "name: on\ndockerfile: |\n  FROM {base}\n  RUN mkdir -p /srv/lib && echo 'cup = 3' > /srv/lib/cup.py && \
             python3 -c 'import compileall; compileall.compile_dir(\"/srv/lib\")'\n  ENV PYTHONPATH=/srv/lib\n\
             system_packages: [ed]\npip:\n- --index-url {}\n- tea\n",
            server.at("/simple/")
        ),
    );
    workspace.run(["env", "register", "on.yaml"]).ok();
    let script = "import cup, tea, sys; tea.main(); print(cup.cup, sys.prefix)";
    let said = workspace.run(["run", "on:1", "--", "python", "-c", script]).ok().stdout;
    assert_eq!(said, "poured\n3 /opt/provenv\n");
    workspace.run(["run", "on:1", "--", "sh", "-c", "pour && ed --version"]).ok();
    assert_eq!(workspace.json(["build", "on:1", "--force"])["reproduced"], true);
    // Bytecode that steps compiled is not older or newer than its source.
    let fresh = "import importlib.util as u, os, struct; p = '/srv/lib/cup.py'; c = open(u.cache_from_source(p), 'rb').read(); \
                 print(struct.unpack('<I', c[8:12])[0] == int(os.stat(p).st_mtime))";
    assert_eq!(workspace.run(["run", "on:1", "--", "python", "-c", fresh]).ok().stdout, "True\n");

    // What is said of it is true of what steps and base have.
    let bill = workspace.run(["image", "sbom", "on:1", "--format", "cyclonedx"]).ok().stdout;
    for part in
        ["\"name\": \"Dockerfile\"", "pkg:deb/debian/libc6@", "pkg:deb/debian/ed@", "pkg:pypi/tea@1.0"]
    {
        assert!(bill.contains(part), "{part}: {bill}");
    }
    for (ecosystem, package) in [("Debian:12", "glibc"), ("Debian:12", "ed"), ("PyPI", "tea")] {
        let record = serde_json::json!({
            "schema_version": "1.6.0", "id": format!("TEST-{package}"), "modified": "2026-11-01T00:00:00Z",
            "affected": [{ "package": { "ecosystem": ecosystem, "name": package },
                "ranges": [{ "type": "ECOSYSTEM", "events": [{ "introduced": "0" }] }] }],
        });
        workspace.write(&format!("osv/{ecosystem}/TEST-{package}.json"), &record.to_string());
    }
    let audited = workspace.run(["-o", "json", "image", "audit", "on:1", "--database", "osv"]);
    assert_eq!(audited.code, 1, "{}", audited.stderr);
    let audited = audited.json();
    let found: BTreeSet<&str> =
        audited["findings"].as_array().unwrap().iter().map(|one| one["id"].as_str().unwrap()).collect();
    assert_eq!(found, BTreeSet::from(["TEST-ed", "TEST-glibc", "TEST-tea"]), "of base, packages and wheels");
    let unchecked = audited["unchecked"].to_string();
    assert!(unchecked.contains("Dockerfile"), "what its steps did is no package: {unchecked}");
    // Signed, the image is checked and made again from the lock, Dockerfile's result and all.
    workspace.run(["key", "new", "me"]).ok();
    workspace.run(["image", "sign", "on:1", "--key", "me"]).ok();
    let verified = workspace.run(["image", "verify", "on:1", "--rebuild", "--key", "me"]);
    assert_eq!(verified.code, 0, "{}{}", verified.stdout, verified.stderr);
    let provenance = workspace.run(["image", "provenance", "on:1"]).ok().stdout;
    assert!(
        provenance.contains("urn:provenv:base:dockerfile:sha256:") && provenance.contains(&base),
        "{provenance}"
    );
    let written = workspace.run(["env", "export", "on:1", "--format", "dockerfile", "--locked"]);
    assert!(written.stdout.contains("FROM base"), "{}{}", written.stdout, written.stderr);
    // An upgrade runs it again, and says nothing of a base that comes out the same.
    let dry = workspace.run(["upgrade", "on", "--dry-run"]).ok();
    assert!(!dry.stdout.contains("base Dockerfile"), "{}", dry.stdout);
    let checked = workspace.run(["env", "check", "on.yaml"]).ok();
    assert!(!checked.stdout.contains("PV113"), "{}", checked.stdout);
    // Another step is another base.
    let text = fs_err::read_to_string(workspace.path().join("on.yaml")).unwrap();
    workspace.write("on.yaml", &text.replace("cup = 3", "cup = 4"));
    let diff = workspace.run(["env", "diff", "on:1", "on.yaml"]);
    assert!(diff.stdout.contains("Dockerfile"), "{}{}", diff.stdout, diff.stderr);
}

fn stages_and_images_that_are_copied_from_are_pinned_too(engine: &Engine) {
    let server = Server::start(FileTree::new());
    let base = shell(&server);
    let tools = Image::new().file("tool.txt", b"of another image\n").serve(&server, "team/tools", "2", 1);
    let workspace = engine.workspace();
    workspace.write(
        "stages.yaml",
        &definition(&format!(
            "ARG BASE={base}\nFROM $BASE AS first\nRUN echo first > /first\nFROM scratch\nCOPY --from={tools} /tool.txt /\n\
             COPY --from=first /first /bin/ls /\nLABEL team=ours\n"
        )),
    );
    let pinned = made(&workspace, "stages.yaml");
    let names: Vec<&str> =
        pinned["from"].as_array().unwrap().iter().map(|one| one["reference"].as_str().unwrap()).collect();
    assert_eq!(names, [&base, &tools]);
    let layout = workspace.path().join("layout");
    let done = workspace.run(["build", "stages.yaml", "--to", &format!("oci:{}", layout.display())]);
    done.ok();
    let shown = workspace.json(["image", "show", "stages.yaml"]);
    // BuildKit makes a layer of each step, buildah one of all.
    let layers = if engine.is_buildkit() { 2 } else { 1 };
    assert_eq!(
        shown["layers"].as_array().unwrap().len(),
        layers,
        "of the first stage nothing is left but what was copied"
    );
    // The registry's tag moves; what is locked does not, and nor does a new run of the lock's.
    Image::new().file("tool.txt", b"moved\n").serve(&server, "team/tools", "2", 1);
    assert_eq!(made(&workspace, "stages.yaml"), pinned);
    workspace.run(["lock", "stages.yaml", "--upgrade"]).ok();
    assert_ne!(made(&workspace, "stages.yaml"), pinned);
}
