//! Channels over http: every form of index, what is kept, and what goes wrong on the way.

use provenv_channel::{Channel, Package};
use provenv_fetch::{CredentialSources, Fetcher};
use provenv_lock::conda::{CondaResolution, Error};
use provenv_testing::server::{Fault, FileTree, Server};

use super::support::{Place, asked, shown, small};

const CHOSEN: [&str; 2] = ["library 2.0 0", "program 1.0 0"];

/// Brings all archives into the store, as building does.
pub fn fetch(place: &Place, resolution: &CondaResolution) -> Result<(), provenv_fetch::Error> {
    fetch_by(&place.fetcher(), resolution)
}

fn fetch_by(fetcher: &Fetcher, resolution: &CondaResolution) -> Result<(), provenv_fetch::Error> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    runtime.block_on(async {
        for package in &resolution.packages {
            let artifact = &package.artifact;
            fetcher.artifact(&artifact.url, &artifact.sha256, Some(artifact.size)).await?;
        }
        Ok(())
    })
}

fn text(resolution: &CondaResolution) -> String {
    serde_json::to_string(&resolution.packages).unwrap()
        + &serde_json::to_string(&resolution.indexes).unwrap()
}

#[test]
fn every_form_of_index_says_the_same() {
    let forms = [small(), small().without_shards(), small().without_shards().without_zst()];
    let indexes = ["repodata_shards.msgpack.zst", "repodata.json.zst", "repodata.json"];
    for (channel, index) in forms.into_iter().zip(indexes) {
        let place = Place::new();
        let server = Server::start(channel.serve(FileTree::new()));
        let question = asked(&[&server.at("/small")], &["program"]);
        assert_eq!(place.names(&question), CHOSEN, "{index}");
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
        let channel = |channel: Channel| if sharded { channel } else { channel.without_shards() };
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
fn a_server_that_says_nothing_of_what_has_not_changed_is_believed() {
    for sharded in [true, false] {
        let place = Place::new();
        let channel = if sharded { small() } else { small().without_shards() };
        let server = Server::start(channel.serve(FileTree::new()));
        server.only_dates();
        let question = asked(&[&server.at("/small")], &["program"]);
        for _ in 0..3 {
            assert_eq!(place.names(&question), CHOSEN, "{sharded}");
        }
        let unchanged = server.requests().into_iter().filter(|request| request.status == 304);
        assert!(unchanged.count() >= 2, "{sharded}");
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
    assert_eq!(place.names(&question), CHOSEN);
    assert_eq!(server.total_hits(), before);
    let error = place.resolve(&asked(&[&server.at("/small")], &["data"])).unwrap_err();
    assert_eq!(error.to_string(), "the index of `data` is not in the store, and the network may not be used");
}

#[test]
fn a_channel_that_is_not_there() {
    let place = Place::new();
    let server = Server::start(small().serve(FileTree::new()));
    let error = place.resolve(&asked(&[&server.at("/smal")], &["program"])).unwrap_err();
    assert_eq!(
        error.to_string(),
        format!("there is no channel `{}`: it has no folder `noarch`", server.at("/smal"))
    );
    assert!(error.hint().unwrap().contains("check its URL"));
    let folder = format!("file://{}", place.path().join("nowhere").display());
    let error = place.resolve(&asked(&[&folder], &["program"])).unwrap_err();
    assert_eq!(error.to_string(), format!("there is no channel `{folder}`: it has no folder `noarch`"));
    assert!(error.hint().unwrap().contains("check its URL"));
    let error = place.resolve(&asked(&["http://127.0.0.1:9/c"], &["program"])).unwrap_err();
    let gave_up = matches!(error, Error::Index { source: provenv_fetch::Error::GaveUp { .. }, .. });
    assert!(gave_up, "{error:?}");
    assert_eq!(error.to_string(), "failed to read the index of the channel `http://127.0.0.1:9/c`");
    assert!(error.hint().unwrap().contains("is there a network?"));
}

#[test]
fn a_server_that_stumbles_is_asked_again() {
    let place = Place::new();
    let server = Server::start(small().serve(FileTree::new()));
    server.fault("/small/noarch/repodata_shards.msgpack.zst", Fault::Status(503));
    server.fault("/small/linux-64/repodata_shards.msgpack.zst", Fault::DropAfter(40));
    let question = asked(&[&server.at("/small")], &["program"]);
    assert_eq!(place.names(&question), CHOSEN);
    let place = Place::new();
    let is_shard =
        |path: &String| path.ends_with(".msgpack.zst") && !path.ends_with("repodata_shards.msgpack.zst");
    let shard = server.requests().into_iter().map(|request| request.path).find(is_shard).unwrap();
    server.fault(&shard, Fault::DropAfter(40));
    assert_eq!(place.names(&question), CHOSEN);
    let place = Place::new();
    let whole = Server::start(small().without_shards().serve(FileTree::new()));
    whole.fault("/small/linux-64/repodata.json.zst", Fault::Status(503));
    whole.fault("/small/noarch/repodata.json.zst", Fault::DropAfter(40));
    assert_eq!(place.names(&asked(&[&whole.at("/small")], &["program"])), CHOSEN);
}

#[test]
fn a_channel_for_those_with_a_password() {
    let mut place = Place::new();
    let server = Server::start(small().serve(FileTree::new()));
    server.require_auth("anna", "s3cret");
    let question = asked(&[&server.at("/small")], &["program"]);
    let error = place.resolve(&question).unwrap_err();
    let refused = matches!(error, Error::Index { source: provenv_fetch::Error::Unauthorized { .. }, .. });
    assert!(refused, "{error:?}");
    assert!(error.hint().unwrap().contains("RATTLER_AUTH_FILE"));
    let file = place.path().join("auth.json");
    fs_err::write(&file, r#"{"127.0.0.1": {"BasicHTTP": {"username": "anna", "password": "s3cret"}}}"#)
        .unwrap();
    place.options.credentials = CredentialSources::new(|_| None, None, None).with_rattler_files(vec![file]);
    let resolution = place.resolve(&question).unwrap();
    assert_eq!(shown(&resolution), CHOSEN);
    fetch(&place, &resolution).unwrap();
    assert!(!text(&resolution).contains("s3cret") && !text(&resolution).contains("anna"));
}

#[test]
fn netrc_serves_for_channels_too() {
    let mut place = Place::new();
    let server = Server::start(small().serve(FileTree::new()));
    server.require_auth("anna", "s3cret");
    let netrc = place.path().join("netrc");
    fs_err::write(&netrc, "machine 127.0.0.1 login anna password s3cret\n").unwrap();
    place.options.credentials = CredentialSources::new(|_| None, Some(netrc), None);
    let resolution = place.resolve(&asked(&[&server.at("/small")], &["program"])).unwrap();
    fetch(&place, &resolution).unwrap();
}

#[test]
fn tokens_go_where_servers_look_for_them() {
    for (kept, path) in [("CondaToken", "t/s3cret/small"), ("BearerToken", "small")] {
        let mut place = Place::new();
        let server = Server::start(renamed(path).serve(FileTree::new()));
        let file = place.path().join("auth.json");
        fs_err::write(&file, format!(r#"{{"127.0.0.1": {{"{kept}": "s3cret"}}}}"#)).unwrap();
        place.options.credentials =
            CredentialSources::new(|_| None, None, None).with_rattler_files(vec![file]);
        let resolution = place.resolve(&asked(&[&server.at("/small")], &["program"])).unwrap();
        assert_eq!(shown(&resolution), CHOSEN);
        fetch(&place, &resolution).unwrap();
        assert!(!text(&resolution).contains("s3cret"), "{}", text(&resolution));
        for request in server.requests() {
            let bearer = request.header("authorization") == Some("Bearer s3cret");
            assert_eq!(bearer, kept == "BearerToken", "{request:?}");
        }
    }
}

/// The small channel under another name.
fn renamed(name: &str) -> Channel {
    small().archives().iter().cloned().fold(Channel::new(name), Channel::add)
}

#[test]
fn a_variable_in_a_channels_url_is_filled_in_at_use_only() {
    let mut place = Place::new();
    let server = Server::start(renamed("t/s3cret/small").serve(FileTree::new()));
    place.options.credentials =
        CredentialSources::new(|name| (name == "TOKEN").then(|| "s3cret".to_owned()), None, None);
    let url = server.at("/t/${TOKEN}/small");
    let resolution = place.resolve(&asked(&[&url], &["program"])).unwrap();
    assert_eq!(shown(&resolution), CHOSEN);
    assert_eq!(
        resolution.packages[0].artifact.url.to_string(),
        format!("{url}/linux-64/library-2.0-0.conda")
    );
    assert!(!text(&resolution).contains("s3cret"));
    fetch(&place, &resolution).unwrap();
    place.options.credentials = CredentialSources::new(|_| None, None, None);
    let error = place.resolve(&asked(&[&url], &["program"])).unwrap_err();
    let Error::Index { channel, source } = error else { panic!("{error:?}") };
    assert_eq!(channel, url);
    assert!(source.to_string().contains("TOKEN, which is not set"), "{source}");
}

#[test]
fn an_index_cannot_name_a_variable() {
    let channel = small().without_shards().without_zst();
    let path = "linux-64/repodata.json";
    let index: serde_json::Value = serde_json::from_slice(&channel.files()[path]).unwrap();
    for with_sha256 in [true, false] {
        for base in
            ["/${SECRET}/linux-64", "%24%7BSECRET%7D/", "$%7bSECRET%7d/", "x${SECRET}%24%7BSECRET%7D/"]
        {
            let mut place = Place::new();
            let server = Server::start(renamed("t0ken/small").serve(FileTree::new()));
            let mut index = index.clone();
            index["info"]["base_url"] =
                if base.starts_with('/') { server.at(base) } else { base.into() }.into();
            if !with_sha256 {
                let packages = index["packages.conda"].as_object_mut().unwrap();
                packages.values_mut().for_each(|package| {
                    package.as_object_mut().unwrap().remove("sha256");
                });
            }
            server.put(&format!("/t0ken/small/{path}"), serde_json::to_vec(&index).unwrap());
            for gone in ["repodata_shards.msgpack.zst", "repodata.json.zst"] {
                server.remove(&format!("/t0ken/small/linux-64/{gone}"));
            }
            let variable = |name: &str| Some(if name == "TOKEN" { "t0ken" } else { "s3cret" }.to_owned());
            place.options.credentials = CredentialSources::new(variable, None, None);
            let error = place.resolve(&asked(&[&server.at("/${TOKEN}/small")], &["program"])).unwrap_err();
            assert!(matches!(error, Error::StrangeUrl { .. }), "{base}: {error:?}");
            assert!(server.requests().iter().all(|request| !request.path.contains("s3cret")), "{base}");
        }
    }
}

#[test]
fn an_index_cannot_name_a_variable_at_a_mirror() {
    let mut place = Place::new();
    let server = Server::start(renamed("t0ken/small").serve(FileTree::new()));
    let path = "/t0ken/small/linux-64/repodata_shards.msgpack.zst";
    let index = renamed("t0ken/small").files()["linux-64/repodata_shards.msgpack.zst"].clone();
    server.put(path, with_shards_at(&index, "./${SECRET}/"));
    let variable = |name: &str| Some(if name == "TOKEN" { "t0ken" } else { "s3cret" }.to_owned());
    place.options.credentials = CredentialSources::new(variable, None, None);
    let mirror = server.at("/${TOKEN}/small").parse().unwrap();
    place.options.mirrors = vec![("https://conda.invalid/small".parse().unwrap(), vec![mirror])];
    place.resolve(&asked(&["https://conda.invalid/small"], &["program"])).unwrap_err();
    let asked_for: Vec<String> = server.requests().into_iter().map(|request| request.path).collect();
    assert!(
        asked_for.iter().any(|path| path.starts_with("/t0ken/small/linux-64/${SECRET}/")),
        "{asked_for:?}"
    );
    assert!(!asked_for.iter().any(|path| path.contains("s3cret")), "{asked_for:?}");
}

/// An index whose shards are elsewhere.
fn with_shards_at(index: &[u8], base: &str) -> Vec<u8> {
    let mut index = zstd::decode_all(index).unwrap();
    // Texts of MessagePack that are as short begin with a byte that holds their length.
    let text = |text: &str| [&[0xa0 | u8::try_from(text.len()).unwrap()], text.as_bytes()].concat();
    let own = text("./shards/");
    let at = index.windows(own.len()).position(|part| part == own).unwrap();
    index.splice(at..at + own.len(), text(base));
    zstd::encode_all(&index[..], 0).unwrap()
}

#[test]
fn a_host_that_an_index_names_gets_only_credentials_that_name_it() {
    for with_sha256 in [true, false] {
        let mut place = Place::new();
        let channel = small().without_shards().without_zst();
        let (own, other) =
            (Server::start(channel.serve(FileTree::new())), Server::start(channel.serve(FileTree::new())));
        let path = "linux-64/repodata.json";
        let mut index: serde_json::Value = serde_json::from_slice(&channel.files()[path]).unwrap();
        let port = other.address().port();
        index["info"]["base_url"] = format!("http://localhost:{port}/small/linux-64/").into();
        if !with_sha256 {
            let packages = index["packages.conda"].as_object_mut().unwrap();
            packages.values_mut().for_each(|package| drop(package.as_object_mut().unwrap().remove("sha256")));
        }
        own.put(&format!("/small/{path}"), serde_json::to_vec(&index).unwrap());
        let netrc = place.path().join("netrc");
        fs_err::write(&netrc, "default login anna password s3cret\n").unwrap();
        place.options.credentials = CredentialSources::new(|_| None, Some(netrc), None);
        let fetcher = place.fetcher();
        let resolution = place.resolve_by(&fetcher, &asked(&[&own.at("/small")], &["program"])).unwrap();
        fetch_by(&fetcher, &resolution).unwrap();
        assert!(own.requests().iter().all(|request| request.header("authorization").is_some()));
        assert!(other.total_hits() > 0);
        assert!(other.requests().iter().all(|request| request.header("authorization").is_none()));
    }
}

#[test]
fn mirrors_are_asked_in_place_of_the_channel_and_locks_name_the_channel() {
    let mut place = Place::new();
    let (broken, good) = (Server::start(FileTree::new()), Server::start(small().serve(FileTree::new())));
    let channel = "https://conda.invalid/small";
    let mirrors = vec![broken.at("/small").parse().unwrap(), good.at("/small").parse().unwrap()];
    place.options.mirrors = vec![(channel.parse().unwrap(), mirrors)];
    let resolution = place.resolve(&asked(&[channel], &["program"])).unwrap();
    assert_eq!(shown(&resolution), CHOSEN);
    fetch(&place, &resolution).unwrap();
    for package in &resolution.packages {
        assert!(package.artifact.url.to_string().starts_with(channel));
    }
    assert!(broken.total_hits() > 0);
    assert!(!text(&resolution).contains("127.0.0.1"), "{}", text(&resolution));
}

#[test]
fn whose_index_is_broken_is_said() {
    let place = Place::new();
    let good = Server::start(small().serve(FileTree::new()));
    for index in ["repodata_shards.msgpack.zst", "repodata.json"] {
        let channel = if index == "repodata.json" { small().without_shards().without_zst() } else { small() };
        let broken = Server::start(channel.serve(FileTree::new()));
        broken.put(&format!("/small/linux-64/{index}"), "<html>");
        let broken = broken.at("/small");
        for channels in [vec![&broken[..]], vec![&good.at("/small")[..], &broken]] {
            let error = place.resolve(&asked(&channels, &["program"])).unwrap_err();
            assert!(matches!(error, Error::Broken { .. }), "{error:?}");
            let said = format!("failed to read the index of the channel `{broken}`: ");
            assert!(error.to_string().starts_with(&said), "{error}");
        }
    }
}

#[test]
fn a_part_of_an_index_that_is_gone_is_said() {
    let place = Place::new();
    let channel = small();
    let server = Server::start(channel.serve(FileTree::new()));
    let shards: Vec<String> = channel.files().into_keys().filter(|path| path.contains("/shards/")).collect();
    assert!(!shards.is_empty());
    for path in &shards {
        server.remove(&format!("/small/{path}"));
    }
    let error = place.resolve(&asked(&[&server.at("/small")], &["program"])).unwrap_err();
    assert!(matches!(error, Error::Reindexed), "{error:?}");
    assert!(error.hint().unwrap().contains("try again"));
}

#[test]
fn an_index_that_unpacks_to_more_than_is_allowed_is_not_read() {
    let bomb = zstd::encode_all(&vec![0; 64 << 20][..], 0).unwrap();
    let long = vec![b' '; 2 << 20];
    let whole = || small().without_shards();
    for (channel, index, bytes) in [
        (small(), "repodata_shards.msgpack.zst", &bomb),
        (whole(), "repodata.json.zst", &bomb),
        (whole().without_zst(), "repodata.json", &long),
    ] {
        let mut place = Place::new();
        place.options.document_limit = 100_000;
        let server = Server::start(channel.serve(FileTree::new()));
        assert_eq!(place.names(&asked(&[&server.at("/small")], &["program"])), CHOSEN);
        server.put(&format!("/small/linux-64/{index}"), bytes.clone());
        let error = place.resolve(&asked(&[&server.at("/small")], &["program"])).unwrap_err();
        assert!(matches!(error, Error::Fetch(provenv_fetch::Error::TooLong { .. })), "{index}: {error:?}");
        assert!(error.to_string().contains(index), "{error}");
    }
}

#[test]
fn the_state_of_indexes_is_kept() {
    let place = Place::new();
    let server = Server::start(small().serve(FileTree::new()));
    let question = asked(&[&server.at("/small")], &["program"]);
    let states = |resolution: CondaResolution| -> Vec<(String, bool)> {
        resolution.indexes.iter().map(|state| (state.url.to_string(), state.date.is_some())).collect()
    };
    let index = |subdir| (server.at(&format!("/small/{subdir}/repodata_shards.msgpack.zst")), true);
    let expected = [index("linux-64"), index("noarch")];
    assert_eq!(states(place.resolve(&question).unwrap()), expected);
    // The second time nothing is sent, and the date is known all the same.
    assert_eq!(states(place.resolve(&question).unwrap()), expected);
}
