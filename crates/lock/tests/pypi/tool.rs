//! How uv itself is had.

use std::path::Path;
use std::sync::Arc;

use provenv_fetch::{Fetcher, Options, Silent};
use provenv_lock::pypi::{Error, Host, PypiConfig, Resolver};
use provenv_store::Store;
use provenv_testing::pypi::{Index, Wheel};
use provenv_testing::server::{FileTree, Server};

fn resolver(folder: &Path, variables: &[(&str, &str)]) -> Resolver {
    let store = Store::open(folder.join("store")).unwrap();
    let fetcher =
        Fetcher::new(store, Arc::new(Silent), Options { retries: 0, ..Options::default() }).unwrap();
    let variables = variables.iter().map(|&(name, value)| (name.to_owned(), value.to_owned()));
    Resolver::new(fetcher, PypiConfig { host: Host::new(variables, folder), ..PypiConfig::default() })
}

#[tokio::test]
async fn without_index_and_pip_the_ways_out_are_named() {
    let folder = tempfile::tempdir().unwrap();
    let error = resolver(folder.path(), &[]).tool().await.unwrap_err();
    insta::assert_snapshot!(format!("{error}\nhint: {}", error.hint().unwrap()));
}

#[tokio::test]
async fn another_wheel_than_the_pinned_one_is_refused() {
    let folder = tempfile::tempdir().unwrap();
    let wheel = folder.path().join("uv.whl");
    fs_err::write(&wheel, Wheel::new("uv", "1.0").build()).unwrap();
    let error =
        resolver(folder.path(), &[("PROVENV_UV_WHEEL", wheel.to_str().unwrap())]).tool().await.unwrap_err();
    assert!(matches!(error, Error::OtherUvWheel { .. }), "{error}");
}

#[tokio::test]
async fn an_index_that_lies_is_not_believed() {
    let folder = tempfile::tempdir().unwrap();
    // The right name and other bytes.
    let error = resolver(folder.path(), &[]).tool().await.unwrap_err();
    let hint = error.hint().unwrap();
    let file = hint.split('`').nth(1).unwrap();
    let tags = file.split("-py3-none-").nth(1).unwrap().strip_suffix(".whl").unwrap();
    let version = file.split('-').nth(1).unwrap();
    let fake = Wheel::new("uv", version).tag(&format!("py3-none-{tags}"));
    assert_eq!(fake.file_name(), file);
    let server = Server::start(Index::new().add(fake).serve(FileTree::new()));
    let index = server.at("/simple");
    let error = resolver(folder.path(), &[("PROVENV_PYPI_INDEX", &index)]).tool().await.unwrap_err();
    assert!(matches!(&error, Error::NoUv { reasons } if reasons[0].contains("digest")), "{error}");
    assert!(server.hits(&format!("/files/{file}")) > 0);
}
