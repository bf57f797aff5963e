//! Channels over http: every form of index, what is kept, and what goes wrong on the way.

use provenv_channel::Package;
use provenv_testing::server::{FileTree, Server};

use crate::support::{Place, asked, small};

#[test]
fn every_form_of_index_says_the_same() {
    let forms = [small(), small().without_shards(), small().without_shards().without_zst()];
    let indexes = ["repodata_shards.msgpack.zst", "repodata.json.zst", "repodata.json"];
    for (channel, index) in forms.into_iter().zip(indexes) {
        let place = Place::new();
        let server = Server::start(channel.serve(FileTree::new()));
        let question = asked(&[&server.at("/small")], &["program"]);
        assert_eq!(place.names(&question), ["library 2.0 0", "program 1.0 0"], "{index}");
        let got = server.requests().into_iter().filter(|request| request.method == "GET");
        let got: Vec<String> = got.map(|request| request.path).collect();
        assert!(got.contains(&format!("/small/linux-64/{index}")), "{index}: {got:?}");
        if index.contains("shards") {
            assert!(!got.iter().any(|path| path.contains("repodata.json")), "{got:?}");
        }
    }
}

#[test]
fn a_new_index_is_noticed_at_once_and_an_old_one_is_not_fetched_again() {
    for sharded in [true, false] {
        let place = Place::new();
        let channel =
            |channel: provenv_channel::Channel| if sharded { channel } else { channel.without_shards() };
        let server = Server::start(channel(small()).serve(FileTree::new()));
        let question = asked(&[&server.at("/small")], &["program"]);
        place.names(&question);
        let before = server.requests().len();
        place.names(&question);
        let again = server.requests().split_off(before);
        let fetched = again.iter().filter(|request| request.status == 200 && request.method == "GET");
        assert_eq!(fetched.count(), 0, "{again:?}");
        for (path, bytes) in channel(small().add(Package::new("library", "3.0"))).files() {
            server.put(&format!("/small/{path}"), bytes);
        }
        assert_eq!(place.names(&question), ["library 3.0 0", "program 1.0 0"]);
    }
}

#[test]
fn without_the_network_what_was_read_is_still_there() {
    let mut place = Place::new();
    let server = Server::start(small().serve(FileTree::new()));
    let question = asked(&[&server.at("/small")], &["program"]);
    place.names(&question);
    let before = server.total_hits();
    place.options.offline = true;
    assert_eq!(place.names(&question), ["library 2.0 0", "program 1.0 0"]);
    assert_eq!(server.total_hits(), before);
    let error = place.resolve(&asked(&[&server.at("/small")], &["data"])).unwrap_err();
    assert_eq!(error.to_string(), "the index of `data` is not in the store, and the network may not be used");
}
