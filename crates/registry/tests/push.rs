//! Pushes to a real registry.

use std::process::Command;
use std::time::Duration;

use provenv_fetch::Silent;
use provenv_registry::{Elsewhere, Error, push, resolve};
use provenv_store::Store;

use crate::common::{Server, image, options};

fn store(server: &Server) -> Store {
    Store::open(server.folder.path().join("store")).unwrap()
}

#[tokio::test]
async fn what_is_there_is_not_sent_again() {
    let Some(server) = Server::started(false) else { return };
    let store = store(&server);
    let one = image(&store, &[b"base", b"package one"]);
    let reference = server.reference("team/demo:1");
    assert_eq!(resolve(&reference, &options(vec![])).await.unwrap(), None);

    let first = push(&store, &one, &reference, &Elsewhere::new(), &options(vec![]), &Silent).await.unwrap();
    assert_eq!(first.reference, format!("127.0.0.1:{}/team/demo@{}", server.port, one.manifest));
    assert_eq!((first.sent, first.skipped), (one.size(), 0));
    assert_eq!(resolve(&reference, &options(vec![])).await.unwrap(), Some(one.manifest));

    let again = push(&store, &one, &reference, &Elsewhere::new(), &options(vec![]), &Silent).await.unwrap();
    assert_eq!((again.sent, again.skipped), (0, one.size()));

    let two = image(&store, &[b"base", b"package two"]);
    let next =
        push(&store, &two, &server.reference("team/demo:2"), &Elsewhere::new(), &options(vec![]), &Silent)
            .await
            .unwrap();
    assert_eq!(next.skipped, two.layers[0].size, "the layer that both have");
    assert_eq!(next.sent + next.skipped, two.size());
    // A tag moves when it is pushed to again.
    push(&store, &two, &reference, &Elsewhere::new(), &options(vec![]), &Silent).await.unwrap();
    assert_eq!(resolve(&reference, &options(vec![])).await.unwrap(), Some(two.manifest));
}

#[tokio::test]
async fn skopeo_pulls_what_was_pushed() {
    let Some(server) = Server::started(false) else { return };
    let store = store(&server);
    let image = image(&store, &[b"base", &vec![7; 3_000_000]]);
    let reference = server.reference("demo");
    push(&store, &image, &reference, &Elsewhere::new(), &options(vec![]), &Silent).await.unwrap();
    let copy = format!("dir:{}", server.folder.path().join("copy").display());
    let arguments =
        ["--insecure-policy", "copy", "--src-tls-verify=false", &format!("docker://{reference}"), &copy]
            .map(str::to_owned);
    match Command::new("skopeo").args(arguments).output() {
        Ok(output) => {
            assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
            let manifest = fs_err::read(server.folder.path().join("copy/manifest.json")).unwrap();
            assert_eq!(manifest, store.read(&image.manifest).unwrap());
        }
        Err(_) => assert!(
            std::env::var("PROVENV_TEST_PEERS").as_deref() != Ok("required"),
            "skopeo is not installed"
        ),
    }
}

#[tokio::test]
async fn passwords_are_needed_found_and_never_shown() {
    let Some(server) = Server::started(true) else { return };
    let store = store(&server);
    let image = image(&store, &[b"base"]);
    let reference = server.reference("demo:1");
    // "me:hunter2" and "me:wrong-hunter3"
    for (auth, authenticated) in [(None, false), (Some("bWU6d3JvbmctaHVudGVyMw=="), true)] {
        let files = auth.map(|auth| server.auth_file(auth)).into_iter().collect();
        let error =
            push(&store, &image, &reference, &Elsewhere::new(), &options(files), &Silent).await.unwrap_err();
        let Error::Denied { authenticated: sent, .. } = &error else { panic!("{error:?}") };
        assert_eq!(*sent, authenticated);
        assert!(error.hint().is_some());
        assert!(!format!("{error} {error:?}").contains("hunter3"), "{error:?}");
    }
    let files = vec![server.auth_file("bWU6aHVudGVyMg==")];
    push(&store, &image, &reference, &Elsewhere::new(), &options(files.clone()), &Silent).await.unwrap();
    assert_eq!(resolve(&reference, &options(files)).await.unwrap(), Some(image.manifest));
}

#[tokio::test]
async fn a_registry_that_comes_back_is_waited_for() {
    let Some(mut server) = Server::prepare(false) else { return };
    let store = store(&server);
    let image = image(&store, &[b"base"]);
    let reference = server.reference("demo:1");
    let starter = std::thread::spawn(move || {
        std::thread::sleep(Duration::from_millis(700));
        server.start();
        server
    });
    push(&store, &image, &reference, &Elsewhere::new(), &options(vec![]), &Silent).await.unwrap();
    drop(starter.join().unwrap());
}

#[tokio::test]
async fn a_registry_that_is_not_there_is_named() {
    let Some(server) = Server::prepare(false) else { return };
    let store = store(&server);
    let image = image(&store, &[b"base"]);
    let error =
        push(&store, &image, &server.reference("demo:1"), &Elsewhere::new(), &options(vec![]), &Silent)
            .await
            .unwrap_err();
    let text = error.to_string();
    assert!(matches!(error, Error::Connection { .. }), "{error:?}");
    assert!(text.contains(&format!("127.0.0.1:{}", server.port)) && text.contains("refused"), "{text}");
    assert!(text.starts_with("failed to reach ") && !error.hint().unwrap().contains("--insecure"), "{text}");
}

#[tokio::test]
async fn many_pushes_at_once_all_arrive() {
    let Some(server) = Server::started(false) else { return };
    let store = store(&server);
    let image = image(&store, &[b"base", b"one", b"two"]);
    // Few enough tags and blobs that a registry is caught while it writes one twice.
    let pushes = (0..12).map(|number| {
        let (store, image, reference) =
            (store.clone(), image.clone(), server.reference(&format!("demo:{}", number / 4)));
        async move {
            push(&store, &image, &reference, &Elsewhere::new(), &options(vec![]), &Silent).await.unwrap()
        }
    });
    futures::future::join_all(pushes).await;
    for number in 0..3 {
        let found = resolve(&server.reference(&format!("demo:{number}")), &options(vec![])).await.unwrap();
        assert_eq!(found, Some(image.manifest));
    }
}
