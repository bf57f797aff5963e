//! Curated environments: shipped, read-only, used as they are or as a beginning.

use provenv_testing::pypi::{Index, Wheel};

use crate::support::{Done, Workspace, serve, skip};

#[test]
fn they_are_listed_shown_and_nobody_elses_to_name() {
    let workspace = Workspace::empty();
    let listed = workspace.json(["env", "list", "--curated"]);
    let names: Vec<&str> =
        listed.as_array().unwrap().iter().map(|one| one["name"].as_str().unwrap()).collect();
    for name in ["curated/data-science", "curated/inference", "curated/minimal", "curated/pytorch-cuda"] {
        assert!(names.contains(&name), "{names:?}");
    }
    assert!(workspace.run(["env", "list", "--curated"]).ok().stdout.contains("scikit-learn with pandas"));
    assert!(workspace.json(["env", "list"]).as_array().unwrap().is_empty());
    let versions = workspace.json(["env", "list", "curated/minimal"]);
    assert_eq!(versions[0]["version"], "1");
    let shown = workspace.json(["env", "show", "curated/inference:1"]);
    assert_eq!(shown["environment"]["inference_config"]["scoring_route"]["path"], "/score");
    assert_eq!(shown["environment"]["tags"]["kind"], "inference");
    let exported = workspace.run(["env", "export", "curated/sklearn", "-f", "requirements"]).ok().stdout;
    assert!(exported.contains("scikit-learn"), "{exported}");

    let refused = |arguments: &[&str], code: i32, said: &[&str]| {
        let done = workspace.run(arguments);
        assert_eq!(done.code, code, "{}", done.stdout);
        for said in said {
            assert!(done.stderr.contains(said), "{said}: {}", done.stderr);
        }
    };
    refused(
        &["env", "show", "curated/sklaern"],
        1,
        &["no curated environment", "did you mean `curated/sklearn`"],
    );
    refused(&["env", "show", "curated/minimal:77"], 1, &["has no version 77: there is 1"]);
    refused(&["upgrade", "curated/minimal"], 2, &["is shipped", "--from curated/minimal"]);
    for name in ["curated/mine", "curated/minimal", "AzureML-mine", "azureml-mine", "Microsoft-x"] {
        refused(
            &["env", "register", "--from", "curated/minimal", "--name", name],
            2,
            &["PV101", "are reserved"],
        );
        workspace.write("named.yaml", &format!("# mine\nname: {name}\n"));
        refused(&["env", "register", "named.yaml"], 2, &["PV101", "--> named.yaml:2:7"]);
    }
    refused(&["env", "register", "--from", "curated/minimal"], 2, &["has no name"]);
    workspace.write("job.yaml", "environment: {name: curated/minimal, base: debian}\ncommand: 'true'\n");
    refused(&["submit", "job.yaml"], 125, &["PV101"]);
}

#[test]
fn one_is_built_run_submitted_and_made_ones_own() {
    let Some(workspace) = Workspace::new() else { return };
    let python = ["run", "curated/minimal", "--", "python", "-c", "import sys; print(sys.version_info[:2])"];
    assert_eq!(workspace.run(python).ok().stdout, "(3, 11)\n");
    let built = workspace.json(["build", "curated/minimal:1"]);
    assert_eq!(built["cached"], true);
    workspace.write("job.yaml", "environment: curated/minimal\ncommand: python -c 'print(7)'\n");
    workspace.run(["submit", "job.yaml"]).ok();
    let run = workspace.json(["runs", "show", "latest"]);
    assert_eq!((&run["environment"], &run["image"]), (&"curated/minimal:1".into(), &built["image"]));
    assert!(workspace.json(["env", "list"]).as_array().unwrap().is_empty(), "it is nobody's own by that");
    workspace.run(["submit", "job.yaml"]).ok();
    workspace.json(["lock", "curated/minimal"]);
    assert!(workspace.path().join("curated-minimal.lock.json").exists());

    // The same under a name of one's own has the same lock and image.
    let own = workspace.json(["env", "register", "--from", "curated/minimal", "--name", "mine"]);
    assert_eq!(own["lock"], built["lock"]);
    assert_eq!(workspace.json(["build", "mine"])["image"], built["image"]);
    // With something on top.
    let server = serve(&Index::new().add(Wheel::new("tea", "1.0")));
    workspace.write("more.yaml", &format!("pip: ['--index-url {}', tea]\n", server.at("/simple/")));
    let more = ["env", "register", "more.yaml", "--from", "curated/minimal", "--name", "mine"];
    assert_eq!(workspace.json(more)["version"], "2");
    workspace.run(["run", "mine:2", "--", "python", "-c", "import tea"]).ok();
    let diff = workspace.json(["env", "diff", "curated/minimal", "mine:2"]);
    assert_eq!(diff["packages"]["linux/amd64"]["ecosystems"]["pypi"]["added"][0]["name"], "tea");
}

#[test]
fn scikit_learn_from_pypi_and_debian_trains() {
    let Some(workspace) = Workspace::new() else { return };
    let built: Done = workspace.run(["build", "curated/sklearn"]);
    if built.code != 0 {
        let unreachable = ["could not connect", "network", "dns", "could not be reached", "failed to fetch"];
        let said = built.stderr.to_lowercase();
        assert!(unreachable.iter().any(|word| said.contains(word)), "{}", built.stderr);
        return skip(&format!("PyPI cannot be reached:\n{}", built.stderr));
    }
    let script = "from sklearn.linear_model import LinearRegression as L; import pandas as p; \
                  d = p.DataFrame({'x': [1, 2, 3]}); print(round(L().fit(d, [2, 4, 6]).predict(d)[2], 6))";
    let done = workspace.run(["run", "curated/sklearn", "--no-network", "--", "python", "-c", script]).ok();
    assert_eq!(done.stdout, "6.0\n");
}
