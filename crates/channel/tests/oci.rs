//! A channel in an OCI registry, as py-rattler finds it.

use provenv_channel::{Channel, Package};
use provenv_testing::proxy::Proxy;
use provenv_testing::server::{FileTree, Server};
use provenv_testing::tls::Front;

use crate::support::{Peer, names};

#[test]
fn rattler_finds_index_shards_and_packages() {
    let channel = Channel::new("team/demo")
        .add(Package::new("demo", "1!1.0+local").depends("_mutex").file("share/demo", "demo\n"))
        .add(Package::new("_mutex", "1").noarch_generic().old_format());
    let server = Server::start(channel.serve_oci(FileTree::new()));
    let front = Front::before(server.address());
    let proxy = Proxy::to(front.address);
    for form in ["json", "zst", "shards"] {
        let Some(mut peer) = Peer::new() else { return };
        peer.go_by(&proxy.url);
        let prefix = peer.folder().join("prefix");
        let records = peer.solve("oci://registry.test/team/demo", form, Some(&prefix), &["demo"]);
        assert_eq!(names(&records), ["_mutex-1-0.tar.bz2", "demo-1!1.0+local-0.conda"], "{form}");
        assert_eq!(fs_err::read_to_string(prefix.join("share/demo")).unwrap(), "demo\n", "{form}");
    }
    assert!(server.hits("/v2/team/demo/linux-64/repodata.json/manifests/latest") > 0);
    assert!(server.requests().iter().all(|request| request.path.starts_with("/v2/")));
}
