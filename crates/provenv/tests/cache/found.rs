//! What one workspace built and pushed, another finds.

use super::{Shared, layer_bytes, packages, write};
use crate::support::Workspace;

/// Nothing is asked of Debian's archive: nobody is there.
const NOWHERE: &str = "http://127.0.0.1:1/debian";

fn one_builds_and_another_takes(shared: &Shared) {
    let packages = packages();
    let Some(first) = Workspace::new() else { return };
    write(&first, &packages, "tea", &["leaf"]);
    let built = shared.json(&first, &["build", "tea.yaml", "--push"]);
    assert_eq!(built["cached"], false);
    let tag = format!("lock-{}-e", built["lock"].as_str().unwrap().replace("sha256:", ""));
    assert!(built["shared"].as_str().unwrap().contains(&tag), "{built}");
    let bytes = layer_bytes(&first, &built["image"]);

    let second = Workspace::empty();
    write(&second, &packages, "tea", &["leaf"]);
    let asked = packages.total_hits();
    shared.tap.forget();
    let mut command = shared.command(&second, &["-o", "json", "build", "tea.yaml"]);
    let done = super::Done::from(command.env("PROVENV_DEBIAN_MIRROR", NOWHERE).output().unwrap()).ok();
    assert!(done.stderr.contains("lock and receipt are those that"), "{}", done.stderr);
    let found = done.json();
    for same in ["image", "lock", "definition"] {
        assert_eq!(found[same], built[same]);
    }
    assert_eq!((&found["cached"], found["found"].as_str()), (&true.into(), Some(&*shared.cache())));
    assert_eq!(packages.total_hits(), asked, "no index was asked, and no artifact fetched");
    let (_, received) = shared.tap.bytes();
    assert!(received < 200_000 && received < bytes / 10, "{received} of {bytes} bytes came for a look-up");
    let receipts =
        [&first, &second].map(|workspace| shared.json(workspace, &["lock", "tea.yaml", "--file", "-"]));
    assert_eq!(receipts[0], receipts[1]);

    // The bytes come when they are needed, and once.
    shared.tap.forget();
    let run = ["run", "tea.yaml", "--", "python", "-c", "import leaf, green; print(green.KIND)"];
    let mut command = shared.command(&second, &run);
    let done = super::Done::from(command.env("PROVENV_DEBIAN_MIRROR", NOWHERE).output().unwrap()).ok();
    assert_eq!(done.stdout, "green\n");
    assert!(shared.tap.bytes().1 >= bytes);
    assert_eq!(packages.total_hits(), asked);
    shared.tap.forget();
    assert_eq!(shared.run(&second, &run).ok().stdout, "green\n");
    assert_eq!(second.run(["--offline"].iter().chain(&run)).ok().stdout, "green\n");
    assert_eq!(shared.tap.requests(), [""; 0], "nobody is asked for what is here");
    assert_eq!(shared.json(&second, &["build", "tea.yaml"])["image"], built["image"]);

    // Of another image, only what is missing.
    write(&first, &packages, "both", &["leaf", "milk"]);
    shared.json(&first, &["build", "both.yaml", "--push"]);
    write(&second, &packages, "both", &["leaf", "milk"]);
    shared.tap.forget();
    let run = ["run", "both.yaml", "--", "python", "-c", "import leaf, milk, fat; print(fat.FAT)"];
    assert_eq!(shared.run(&second, &run).ok().stdout, "3.5\n");
    let (_, received) = shared.tap.bytes();
    assert!(received < bytes / 4, "{received} bytes came, though the base was here");
    assert_eq!(packages.total_hits() - asked, asked_by_first(&packages, asked), "by the first alone");
}

/// What the first workspace asked for its second image; the second one asks as much again if it asks at all.
fn asked_by_first(packages: &super::Packages, before: usize) -> usize {
    let wheels = packages
        .requests()
        .iter()
        .skip(before)
        .filter(|one| one.path.ends_with("milk-1.0-py3-none-any.whl"))
        .count();
    assert_eq!(wheels, 1, "the wheel was fetched once");
    packages.total_hits() - before
}

#[test]
fn what_one_built_another_takes_from_our_registry() {
    one_builds_and_another_takes(&Shared::own());
}

#[test]
fn what_one_built_another_takes_from_a_registry_of_docker() {
    let Some(shared) = Shared::peer() else { return };
    one_builds_and_another_takes(&shared);
}

#[test]
fn the_lock_of_a_file_finds_its_image() {
    let (shared, packages) = (Shared::own(), packages());
    let Some(first) = Workspace::new() else { return };
    write(&first, &packages, "tea", &["leaf"]);
    let built = shared.json(&first, &["build", "tea.yaml", "--push"]);
    shared.run(&first, &["lock", "tea.yaml"]).ok();
    let second = Workspace::empty();
    write(&second, &packages, "tea", &["leaf"]);
    fs_err::copy(first.path().join("tea.lock.json"), second.path().join("tea.lock.json")).unwrap();
    let asked = packages.total_hits();
    let found = shared.json(&second, &["build", "tea.yaml", "--lock", "tea.lock.json"]);
    assert_eq!((&found["image"], &found["found"]), (&built["image"], &shared.cache().into()));
    // What needs the bytes brings them.
    shared.json(&second, &["build", "tea.yaml", "--to", "oci:image:1"]);
    assert_eq!(packages.total_hits(), asked);
    let index = fs_err::read_to_string(second.path().join("image/index.json")).unwrap();
    assert!(index.contains(built["image"].as_str().unwrap()));
}

#[test]
fn settings_say_which_registry_and_whether_to_push() {
    let (shared, packages) = (Shared::own(), packages());
    let Some(first) = Workspace::new() else { return };
    write(&first, &packages, "tea", &["leaf"]);
    let file =
        first.write("config.toml", &format!("[cache]\nregistry = \"{}\"\npush = true\n", shared.cache()));
    let build = |workspace: &Workspace, more: &[&str]| {
        let mut command = workspace.command();
        command.env("PROVENV_CONFIG", &file).args(["-o", "json", "build", "tea.yaml"]).args(more);
        super::Done::from(command.output().unwrap()).ok().json()
    };
    assert!(build(&first, &[])["shared"].is_string());
    let Some(second) = Workspace::new() else { return };
    write(&second, &packages, "tea", &["leaf"]);
    shared.tap.forget();
    let found = build(&second, &["--no-cache-registry"]);
    assert_eq!((&found["cached"], found.get("shared")), (&false.into(), None));
    assert_eq!(shared.tap.requests(), [""; 0]);
    // Without one there is nothing to push to.
    let done = second.run(["build", "tea.yaml", "--push"]);
    assert_eq!(done.code, 2);
    assert!(done.stderr.contains("no shared cache") && done.stderr.contains("hint:"), "{}", done.stderr);
    let mut command = second.command();
    let done: super::Done =
        command.env("PROVENV_CACHE_REGISTRY", "tea:1").args(["build", "tea.yaml"]).output().unwrap().into();
    assert!(done.code != 0 && done.stderr.contains("PROVENV_CACHE_REGISTRY"), "{}", done.stderr);
}

#[test]
fn what_is_built_here_stays_what_it_is() {
    let (shared, packages) = (Shared::own(), packages());
    let (Some(first), Some(second)) = (Workspace::new(), Workspace::new()) else { return };
    for workspace in [&first, &second] {
        write(workspace, &packages, "tea", &["leaf"]);
    }
    let own = second.json(["build", "tea.yaml"]);
    // Another lock of the same definition: one with another receipt.
    let built = shared.json(&first, &["build", "tea.yaml", "--push"]);
    assert_eq!(own["image"], built["image"]);
    let receipt =
        |workspace: &Workspace| shared.json(workspace, &["env", "register", "tea.yaml"])["receipt"].clone();
    shared.tap.forget();
    let before = receipt(&second);
    shared.json(&second, &["build", "tea.yaml"]);
    assert_eq!(receipt(&second), before);
    assert_ne!(receipt(&first), before);
    assert_eq!(shared.requests("GET"), [""; 0], "a lock that is here is not looked for");
}

#[test]
fn a_registry_that_is_down_is_left_aside() {
    let packages = packages();
    let Some(workspace) = Workspace::new() else { return };
    write(&workspace, &packages, "tea", &["leaf"]);
    let mut command = workspace.command();
    command.env("PROVENV_CACHE_REGISTRY", "127.0.0.1:1/team").env("PROVENV_CACHE_PUSH", "1");
    let done = super::Done::from(command.args(["build", "tea.yaml"]).output().unwrap()).ok();
    assert_eq!(done.stderr.matches("the shared cache 127.0.0.1:1/team is left aside").count(), 1);
    // Who demands it hears of it.
    let mut command = workspace.command();
    command.env("PROVENV_CACHE_REGISTRY", "127.0.0.1:1/team").args(["build", "tea.yaml", "--push"]);
    let done: super::Done = command.output().unwrap().into();
    assert_eq!(done.code, 1);
    assert!(done.stderr.contains("failed to reach `127.0.0.1:1`"), "{}", done.stderr);
}

#[test]
fn collections_keep_what_was_found_and_is_registered() {
    let (shared, packages) = (Shared::own(), packages());
    let Some(first) = Workspace::new() else { return };
    write(&first, &packages, "tea", &["leaf"]);
    write(&first, &packages, "milk", &["milk"]);
    shared.json(&first, &["build", "tea.yaml", "--push"]);
    shared.json(&first, &["build", "milk.yaml", "--push"]);
    let second = Workspace::empty();
    write(&second, &packages, "tea", &["leaf"]);
    write(&second, &packages, "milk", &["milk"]);
    shared.json(&second, &["env", "register", "tea.yaml"]);
    let run = ["run", "tea:1", "--", "python", "-c", "import leaf"];
    shared.run(&second, &run).ok();
    let other = ["run", "milk.yaml", "--", "python", "-c", "import milk"];
    shared.run(&second, &other).ok();
    second.json(["store", "gc", "--all"]);
    second.run(["--offline"].iter().chain(&run)).ok();
    // What went is brought again.
    shared.run(&second, &other).ok();
}

#[test]
fn an_image_that_the_registry_lost_is_made_here() {
    let packages = packages();
    let Some(first) = Workspace::new() else { return };
    write(&first, &packages, "tea", &["leaf"]);
    let Some(second) = Workspace::new() else { return };
    write(&second, &packages, "tea", &["leaf"]);
    let shared = Shared::own();
    let built = shared.json(&first, &["build", "tea.yaml", "--push"]);
    let found = shared.json(&second, &["build", "tea.yaml"]);
    assert_eq!(found["found"], shared.cache());
    drop(shared);
    let run = ["run", "tea.yaml", "--", "python", "-c", "import leaf, green; print(green.KIND)"];
    let done = second.run(run).ok();
    assert_eq!(done.stdout, "green\n");
    assert!(done.stderr.contains("the image is assembled here"), "{}", done.stderr);
    assert_eq!(second.json(["build", "tea.yaml"])["image"], built["image"]);
}

#[test]
fn clients_take_an_image_by_the_tags_of_the_cache() {
    let (shared, packages) = (Shared::own(), packages());
    let Some(workspace) = Workspace::new() else { return };
    if !crate::support::have("skopeo") {
        return;
    }
    write(&workspace, &packages, "tea", &["leaf"]);
    let built = shared.json(&workspace, &["build", "tea.yaml", "--push"]);
    let tag = built["definition"].as_str().unwrap().replace("sha256:", "definition-");
    let copy = workspace.path().join("copy");
    let from = format!("docker://{}:{tag}", shared.cache());
    let mut skopeo = std::process::Command::new("skopeo");
    skopeo.args(["--insecure-policy", "copy", "--src-tls-verify=false", &from]);
    super::Done::from(skopeo.arg(format!("dir:{}", copy.display())).output().unwrap()).ok();
    let manifest = fs_err::read(copy.join("manifest.json")).unwrap();
    assert_eq!(provenv_definition::Digest::of(&manifest).to_string(), built["image"]);
}

#[test]
fn a_registry_that_wants_a_login_is_left_aside_with_the_way_to_log_in() {
    let packages = packages();
    let (Some(first), keeper) = (Workspace::new(), Workspace::empty()) else { return };
    write(&first, &packages, "tea", &["leaf"]);
    // `me`, whose password is `hunter2`.
    let user = "me:$2b$05$abcdefghijklmnopqrstuuoXuKqgZXLiJqzfmMXDDhSFPIvxV7t8.\n";
    let users = keeper.write("users", user).display().to_string();
    let server = crate::registry::server::Server::start(keeper.command(), &["--htpasswd", &users]);
    let mut command = first.command();
    command.env("PROVENV_CACHE_REGISTRY", server.at("team/environments")).args(["build", "tea.yaml"]);
    let done = super::Done::from(command.output().unwrap()).ok();
    assert!(done.stderr.contains("is left aside: "), "{}", done.stderr);
    let login = format!("`podman login {}`", server.address);
    assert!(done.stderr.contains(&login), "{}", done.stderr);
}

#[test]
fn a_registry_that_says_nothing_is_waited_for_only_so_long() {
    let packages = packages();
    let Some(first) = Workspace::new() else { return };
    write(&first, &packages, "tea", &["leaf"]);
    // Connections are taken by the kernel, and nobody answers.
    let mute = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let mut command = first.command();
    let cache = format!("{}/team", mute.local_addr().unwrap());
    command.env("PROVENV_CACHE_REGISTRY", &cache).args(["build", "tea.yaml"]);
    let done = super::Done::from(command.output().unwrap()).ok();
    let said = format!("the shared cache {cache} is left aside: it gave no answer within 20 s");
    // It is asked for the lock, and for the image no more.
    assert_eq!(done.stderr.matches(&said).count(), 1, "{}", done.stderr);
}
