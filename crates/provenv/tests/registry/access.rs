//! Who may do what, and how clients are told.

use std::path::PathBuf;
use std::time::Duration;

use provenv_testing::tls::Front;

use super::client::Client;
use super::server::Server;
use crate::support::{Workspace, eventually};

/// `me`, whose password is `hunter2`, as `htpasswd -B` writes it.
pub const USERS: &str = "me:$2b$05$abcdefghijklmnopqrstuuoXuKqgZXLiJqzfmMXDDhSFPIvxV7t8.\n";
/// `me:hunter2`
pub const ME: &str = "Basic bWU6aHVudGVyMg==";
/// `me:hunter3`
const WRONG: &str = "Basic bWU6aHVudGVyMw==";

/// A workspace, and a file with its users.
pub fn with_users() -> (Workspace, PathBuf) {
    let workspace = Workspace::empty();
    let file = workspace.write("users", USERS);
    (workspace, file)
}

fn serve(workspace: &Workspace, arguments: &[&str]) -> Server {
    Server::start(workspace.command(), arguments)
}

/// Fills a workspace with an image.
fn fill(workspace: &Workspace) {
    Server::open(&workspace.root()).client().image("tea", "1", "leaves");
}

const PULL: &str = "/v2/tea/manifests/1";

/// Whether a client may push.
fn pushes(client: &Client) -> u16 {
    client.post("/v2/tea/blobs/uploads/", b"").status
}

#[test]
fn without_a_word_anybody_on_this_machine_pulls_and_nobody_pushes() {
    let workspace = Workspace::empty();
    fill(&workspace);
    let server = serve(&workspace, &[]);
    assert_eq!((&server.served["pull"], &server.served["push"]), (&"anybody".into(), &"nobody".into()));
    let client = server.client();
    client.get("/v2/").is(200);
    client.get(PULL).is(200);
    for client in [&client, &client.with("Authorization", ME)] {
        let refused = client.post("/v2/tea/blobs/uploads/", b"").fails(403, "DENIED");
        assert!(refused.text().contains("--htpasswd"), "{}", refused.text());
        client.manifest("tea", "2", super::client::IMAGE, b"{}").fails(403, "DENIED");
        client.delete(PULL).fails(403, "DENIED");
        client.get("/v2/tea/blobs/uploads/some").fails(403, "DENIED");
    }
}

#[test]
fn users_pull_and_push_and_nobody_else() {
    let (workspace, _) = with_users();
    fill(&workspace);
    let server = serve(&workspace, &["--htpasswd", "users"]);
    assert_eq!((&server.served["pull"], &server.served["push"]), (&"users".into(), &"users".into()));
    let nobody = server.client();
    let malformed = ["", "Basic", "Basic %%%", "Basic bWU=", "Bearer anything", "Digest x", "hunter2"];
    let others = [WRONG].into_iter().chain(malformed).map(|value| nobody.with("Authorization", value));
    for client in others.chain([nobody.clone()]) {
        for path in ["/v2/", PULL, "/v2/_catalog", "/v2/tea/tags/list"] {
            let refused = client.get(path).fails(401, "UNAUTHORIZED");
            assert_eq!(refused.must("WWW-Authenticate"), "Basic realm=\"provenv\"");
            assert_eq!(refused.must("Docker-Distribution-Api-Version"), "registry/2.0");
        }
        assert_eq!(pushes(&client), 401);
    }
    let me = nobody.with("Authorization", ME);
    me.get("/v2/").is(200);
    me.get(PULL).is(200);
    me.image("tea", "2", "more leaves");
    // Names of schemes have no case.
    nobody.with("Authorization", &ME.replace("Basic", "bAsIc")).get("/v2/").is(200);
}

#[test]
fn anybody_pulls_and_users_push() {
    let (workspace, _) = with_users();
    fill(&workspace);
    let server = serve(&workspace, &["--htpasswd", "users", "--anonymous-pull"]);
    let client = server.client();
    client.get(PULL).is(200);
    // Who begins without a name is told how to get a token, with one or without.
    let (realm, service) = (format!("{}/token", server.url), server.address);
    let base = client.get("/v2/").fails(401, "UNAUTHORIZED");
    assert_eq!(base.must("WWW-Authenticate"), format!("Bearer realm=\"{realm}\",service=\"{service}\""));
    let push = client.post("/v2/tea/blobs/uploads/", b"").fails(401, "UNAUTHORIZED");
    let scope = "scope=\"repository:tea:pull,push\"";
    assert_eq!(
        push.must("WWW-Authenticate"),
        format!("Bearer realm=\"{realm}\",service=\"{service}\",{scope}")
    );
    let forwarded = client.with("X-Forwarded-Proto", "https").get("/v2/").is(401);
    assert!(forwarded.must("WWW-Authenticate").contains("\"https://"), "{forwarded:?}");

    let token = |client: &Client| {
        let path = format!("/token?service={service}&scope=repository:tea:pull,push");
        let answer = client.get(&path).is(200).json();
        assert!(answer["expires_in"].as_u64().unwrap() >= 60 && answer["token"] == answer["access_token"]);
        client.with("Authorization", &format!("Bearer {}", answer["token"].as_str().unwrap()))
    };
    let anybody = token(&client);
    anybody.get(PULL).is(200);
    assert_eq!(pushes(&anybody), 401);
    let basic = client.with("Authorization", ME);
    let token = client.get("/token").is(200).json()["token"].clone();
    assert_ne!(token, basic.get("/token").is(200).json()["token"]);
    let mine = basic.get("/token").is(200).json()["token"].as_str().unwrap().to_owned();
    let me = client.with("Authorization", &format!("Bearer {mine}"));
    me.get("/v2/").is(200);
    me.image("tea", "2", "more leaves");
    // The name itself will do.
    basic.image("tea", "3", "other leaves");
    client.with("Authorization", WRONG).get("/token").fails(401, "UNAUTHORIZED");
    client.with("Authorization", WRONG).get(PULL).fails(401, "UNAUTHORIZED");
    client.post("/token", b"").fails(405, "UNSUPPORTED");
}

/// `reader`, whose password is `hunter2` too.
fn with_readers(workspace: &Workspace) {
    workspace.write("readers", &USERS.replace("me:", "reader:"));
}
/// `reader:hunter2`
const READER: &str = "Basic cmVhZGVyOmh1bnRlcjI=";

#[test]
fn readers_pull_and_do_not_push() {
    let (workspace, _) = with_users();
    with_readers(&workspace);
    fill(&workspace);
    let server = serve(&workspace, &["--htpasswd", "users", "--readers", "readers"]);
    assert_eq!(
        (&server.served["pull"], &server.served["push"]),
        (&"users and readers".into(), &"users".into())
    );
    let client = server.client();
    client.get(PULL).fails(401, "UNAUTHORIZED");
    let reader = client.with("Authorization", READER);
    let token = reader.get("/token").is(200).json()["token"].as_str().unwrap().to_owned();
    let by_token = client.with("Authorization", &format!("Bearer {token}"));
    let layer = format!("/v2/tea/blobs/{}", provenv_definition::Digest::of(b"leaves"));
    for reader in [&reader, &by_token] {
        for path in ["/v2/", PULL, &layer, "/v2/tea/tags/list", "/v2/_catalog"] {
            reader.get(path).is(200);
        }
        let mount = format!("/v2/mine/blobs/uploads/?mount={}&from=tea", &layer["/v2/tea/blobs/".len()..]);
        for path in ["/v2/tea/blobs/uploads/", &mount] {
            let refused = reader.post(path, b"").fails(403, "DENIED");
            assert!(refused.text().contains("`reader` may pull and not push"), "{}", refused.text());
        }
        reader.manifest("tea", "2", super::client::IMAGE, b"{}").fails(403, "DENIED");
        reader.delete(PULL).fails(403, "DENIED");
        reader.delete(&layer).fails(403, "DENIED");
    }
    // What one may not push, one may not mount; who may push mounts what they may read.
    let mount = format!("/v2/mine/blobs/uploads/?mount={}&from=tea", &layer["/v2/tea/blobs/".len()..]);
    client.post(&mount, b"").fails(401, "UNAUTHORIZED");
    client.get(&layer.replace("tea", "mine")).fails(401, "UNAUTHORIZED");
    client.with("Authorization", ME).post(&mount, b"").is(201);
    // A reader's name with another password, and one's password with another name.
    client.with("Authorization", "Basic cmVhZGVyOmh1bnRlcjM=").get(PULL).fails(401, "UNAUTHORIZED");
    fs_err::write(workspace.path().join("readers"), USERS.replace("me:", "another:")).unwrap();
    eventually("the reader is gone", || reader.get(PULL).status == 401);
    by_token.get(PULL).fails(401, "UNAUTHORIZED");
}

#[test]
fn where_there_are_readers_alone_nobody_pushes() {
    let workspace = Workspace::empty();
    with_readers(&workspace);
    fill(&workspace);
    let server = serve(&workspace, &["--readers", "readers"]);
    assert_eq!((&server.served["pull"], &server.served["push"]), (&"readers".into(), &"nobody".into()));
    let client = server.client();
    client.get(PULL).fails(401, "UNAUTHORIZED");
    assert_eq!(pushes(&client), 403);
    let reader = client.with("Authorization", READER);
    reader.get(PULL).is(200);
    assert_eq!(pushes(&reader), 403);
}

#[test]
fn users_come_and_go_while_it_serves() {
    let (workspace, file) = with_users();
    fill(&workspace);
    let server = serve(&workspace, &["--htpasswd", "users", "--anonymous-pull"]);
    let me = server.client().with("Authorization", ME);
    let token = me.get("/token").is(200).json()["token"].as_str().unwrap().to_owned();
    let by_token = server.client().with("Authorization", &format!("Bearer {token}"));
    assert_eq!((pushes(&me), pushes(&by_token)), (202, 202));
    // A token holds as long as the password that it was given for.
    fs_err::write(&file, USERS.replace("V7t8.", "V7t9.")).unwrap();
    eventually("the password is another", || pushes(&me) == 401);
    assert_eq!(pushes(&by_token), 401);
    fs_err::write(&file, USERS).unwrap();
    eventually("the password is that of before", || pushes(&me) == 202);
    // A file that cannot be used changes nothing.
    fs_err::write(&file, "me:hunter2\n").unwrap();
    std::thread::sleep(Duration::from_millis(1200));
    assert_eq!(pushes(&me), 202);
    fs_err::write(&file, USERS.replace("me:", "other:")).unwrap();
    eventually("the user is gone", || pushes(&me) == 401);
    assert_eq!(pushes(&by_token), 401);
}

#[test]
fn what_cannot_be_served_is_said_with_a_way_out() {
    let (workspace, _) = with_users();
    workspace.write("plain", "# all\nme:hunter2\n");
    workspace.write("none", "");
    workspace.write("key.pem", "no key\n");
    let taken = Server::open(&workspace.root());
    let taken = taken.address.to_string();
    for (arguments, code, words) in [
        (&["--listen", "0.0.0.0:0"][..], 1, &["others can reach `0.0.0.0:0`", "--anonymous-pull"][..]),
        (&["--listen", &taken], 1, &["could not listen at", "choose another port"]),
        (&["--listen", "nowhere"], 1, &["could not listen at `nowhere`", "ADDRESS:PORT"]),
        (&["--listen", "192.0.2.1:0"], 1, &["could not listen at `192.0.2.1:0`", "of this machine"]),
        (&["--htpasswd", "missing"], 1, &["could not read the passwords", "missing", "htpasswd -B"]),
        (&["--htpasswd", "plain"], 1, &["plain:2: the password is not hashed with bcrypt"]),
        (&["--htpasswd", "none"], 1, &["`none` names no users"]),
        (&["--tls-cert", "key.pem", "--tls-key", "key.pem"], 1, &["`key.pem` holds no certificate in PEM"]),
        (&["--tls-cert", "key.pem"], 2, &["--tls-key"]),
        (&["--anonymous-push", "--htpasswd", "users"], 2, &["cannot be used with"]),
        (&["--anonymous-pull", "--readers", "users"], 2, &["cannot be used with"]),
        (&["--readers", "plain"], 1, &["plain:2: the password is not hashed with bcrypt"]),
    ] {
        let mut command = workspace.command();
        let done =
            crate::support::Done::from(command.args(["registry", "serve"]).args(arguments).output().unwrap());
        assert_eq!(done.code, code, "{arguments:?}: {}", done.stderr);
        for word in words {
            assert!(done.stderr.contains(word), "{arguments:?}: {}", done.stderr);
        }
        assert!(!done.stderr.contains("hunter2") && done.stdout.is_empty(), "{}", done.stderr);
    }
}

#[test]
fn tls_is_spoken_where_a_certificate_is_given() {
    let workspace = Workspace::empty();
    fill(&workspace);
    let pair = Front::certificate();
    workspace.write("registry.pem", &pair.certificate);
    workspace.write("registry.key", &pair.key);
    let authority = workspace.write("authority.pem", &pair.authority);
    let server = serve(&workspace, &["--tls-cert", "registry.pem", "--tls-key", "registry.key"]);
    assert!(server.url.starts_with("https://127.0.0.1:"), "{}", server.url);
    if !crate::support::have("curl") {
        return;
    }
    let curl = |arguments: &[&str]| {
        let url = format!("https://localhost:{}{PULL}", server.address.port());
        let mut command = std::process::Command::new("curl");
        command.args(["--silent", "--show-error", "--fail", "--noproxy", "*"]).args(arguments).arg(url);
        crate::support::Done::from(command.output().unwrap())
    };
    let pulled = curl(&["--cacert", authority.to_str().unwrap()]).ok();
    assert!(pulled.stdout.contains("schemaVersion"), "{}", pulled.stdout);
    // Who does not trust it goes away, and others are served all the same.
    assert_ne!(curl(&[]).code, 0);
    curl(&["--cacert", authority.to_str().unwrap()]).ok();
}
