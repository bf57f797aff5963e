//! Channels that ask for credentials, lead elsewhere or break, as py-rattler meets them.

use provenv_channel::{Channel, Package};
use provenv_testing::server::{Fault, FileTree, Server};
use serde_json::{Value, json};

use crate::support::{Peer, names};

/// What makes a server ask for credentials.
type Requirement = fn(&Server);

const TOKEN: &str = "tk-0123456789abcdef";

fn channel() -> Channel {
    Channel::new("demo").add(Package::new("demo", "1.0").file("share/demo", "demo\n"))
}

fn statuses(server: &Server) -> Vec<u16> {
    server.requests().iter().map(|request| request.status).collect()
}

#[test]
fn each_kind_of_credentials_opens_the_channel() {
    let kinds: [(Requirement, Value); 3] = [
        (
            |server| server.require_auth("anna", TOKEN),
            json!({ "BasicHTTP": { "username": "anna", "password": TOKEN } }),
        ),
        (|server| server.require_bearer(TOKEN), json!({ "BearerToken": TOKEN })),
        (|server| server.require_token_path(TOKEN), json!({ "CondaToken": TOKEN })),
    ];
    for (require, credentials) in kinds {
        let Some(peer) = Peer::new() else { return };
        let server = Server::start(channel().serve(FileTree::new()));
        require(&server);
        let url = server.at("/demo");

        let refused = peer.ask(&url, "zst", None, &["demo"]);
        assert!(!refused.status.success(), "{credentials}: {refused:?}");
        assert!(
            statuses(&server).iter().all(|&status| status == 401),
            "{credentials}: {:?}",
            statuses(&server)
        );

        peer.authenticate(&credentials);
        let prefix = peer.folder().join("prefix");
        let records = peer.solve(&url, "zst", Some(&prefix), &["demo"]);
        assert_eq!(names(&records), ["demo-1.0-0.conda"], "{credentials}");
        assert_eq!(fs_err::read_to_string(prefix.join("share/demo")).unwrap(), "demo\n");
        assert!(
            !records[0].to_string().contains(TOKEN),
            "the token is no part of the record: {}",
            records[0]
        );
    }
}

#[test]
fn files_may_be_kept_elsewhere() {
    let Some(peer) = Peer::new() else { return };
    let elsewhere = Server::start(channel().serve(FileTree::new()));
    let server = Server::start(FileTree::new());
    server.redirect("/mirror", &elsewhere.at("/demo"));
    server.require_bearer(TOKEN);
    peer.authenticate(&json!({ "BearerToken": TOKEN }));
    let prefix = peer.folder().join("prefix");
    let records = peer.solve(&server.at("/mirror"), "shards", Some(&prefix), &["demo"]);
    assert_eq!(names(&records), ["demo-1.0-0.conda"]);
    assert!(prefix.join("share/demo").exists());
    assert!(statuses(&server).iter().all(|&status| status == 302), "{:?}", statuses(&server));
    assert_eq!(elsewhere.hits("/demo/linux-64/demo-1.0-0.conda"), 1);
}

#[test]
fn faults_are_where_the_channel_says_its_files_are() {
    let Some(peer) = Peer::new() else { return };
    let channel = channel();
    let server = Server::start(channel.serve(FileTree::new()));
    let path = channel.path_of("demo-1.0-0.conda");
    let prefix = peer.folder().join("prefix");
    server.fault_always(&path, Fault::Truncate(100));
    let broken = peer.ask(&server.at("/demo"), "json", Some(&prefix), &["demo"]);
    assert!(!broken.status.success(), "{broken:?}");
    assert!(server.hits(&path) > 0 && !prefix.join("share/demo").exists());
    server.clear_faults();
    server.require_token_path(TOKEN);
    server.fault(&path, Fault::Status(503));
    peer.authenticate(&json!({ "CondaToken": TOKEN }));
    peer.solve(&server.at("/demo"), "json", Some(&prefix), &["demo"]);
    assert!(prefix.join("share/demo").exists());
    let asked = format!("/t/{TOKEN}{path}");
    assert!(server.hits(&asked) > 1, "the fault was met on the token's path: {:?}", server.requests());
}
