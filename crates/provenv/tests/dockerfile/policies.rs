//! Policies on what Dockerfiles made: nothing is said of what their steps did, and the images they take from count.

use provenv_testing::server::{FileTree, Server};

use super::engine::{Engine, by_each};
use super::{definition, shell};
use crate::support::registry::Image;

by_each!(steps_are_no_published_artifacts_and_the_images_they_take_from_are_bases);

fn steps_are_no_published_artifacts_and_the_images_they_take_from_are_bases(engine: &Engine) {
    let server = Server::start(FileTree::new());
    let base = shell(&server);
    let tools = Image::new().file("tool.txt", b"of another image\n").serve(&server, "team/tools", "2", 1);
    let workspace = engine.workspace();
    let key = workspace.json(["key", "new", "release"]);
    assert!(key["id"].is_string() || key["key"].is_string(), "{key}");
    let files = [
        ("steps.yaml", format!("FROM {base}\nRUN echo anything > /anything\n")),
        ("copied.yaml", format!("FROM {base}\nCOPY --from={tools} /tool.txt /\n")),
        ("nothing.yaml", "FROM scratch\nWORKDIR /srv\n".to_owned()),
    ];
    for (file, dockerfile) in &files {
        workspace.write(file, &definition(dockerfile));
    }
    workspace.write("plain.yaml", &format!("name: plain\nuser_managed: true\nimage: {base}\n"));
    // The words of the check that failed; nothing where all passed.
    let verify = |file: &str, rule: &str| {
        let policy = format!("keys = [\"workspace/keys/release.pub\"]\n{rule}\n");
        workspace.write("policy.toml", &policy);
        let done = workspace.run(["image", "verify", file, "--policy", "policy.toml"]);
        let failed: Vec<&str> =
            done.stdout.lines().filter(|line| line.trim_start().starts_with("failed")).collect();
        assert_eq!(done.code, i32::from(!failed.is_empty()), "{}{}", done.stdout, done.stderr);
        failed.join("\n")
    };
    let anywhere = "sources = [\"https://files.pythonhosted.org/\"]";
    let asked = "indexes = [\"https://pypi.org/simple\"]";
    for file in ["plain.yaml", "steps.yaml", "copied.yaml"] {
        workspace.run(["build", file, "--sign", "release"]).ok();
        for (rule, said) in [
            ("published_only = true", "made by the steps of a Dockerfile"),
            (anywhere, "where its steps took things from is not known"),
            (asked, "which indexes its steps asked is not known"),
        ] {
            let failed = verify(file, rule);
            if file == "plain.yaml" {
                assert_eq!(failed, "", "{rule}");
            } else {
                assert!(failed.contains(said), "{file}, {rule}: {failed}");
            }
        }
    }
    let bases = |names: &[&str]| format!("bases = {names:?}");
    let repository = |image: &str| format!("{}*", image.rsplit_once(':').unwrap().0);
    let (shells, tool) = (repository(&base), repository(&tools));
    assert_eq!(verify("steps.yaml", &bases(&[&base])), "");
    assert_eq!(verify("steps.yaml", &bases(&[&shells])), "");
    assert_eq!(verify("copied.yaml", &bases(&[&shells, &tool])), "");
    // Whoever lets one image in lets in no other, and the word alone lets in none.
    for (file, allowed) in [
        ("steps.yaml", &[&*tool][..]),
        ("copied.yaml", &[&shells]),
        ("copied.yaml", &[&tool]),
        ("steps.yaml", &["Dockerfile"]),
        ("copied.yaml", &["Dockerfile", "debian:bookworm"]),
    ] {
        let failed = verify(file, &bases(allowed));
        assert!(
            failed.contains(&base) && failed.contains("by a Dockerfile"),
            "{file}, {allowed:?}: {failed}"
        );
    }
    // What begins from nothing has a name too.
    workspace.run(["build", "nothing.yaml", "--sign", "release"]).ok();
    assert_eq!(verify("nothing.yaml", &bases(&["scratch"])), "");
    assert!(verify("nothing.yaml", &bases(&[&shells])).contains("stands on scratch by a Dockerfile"));
}
