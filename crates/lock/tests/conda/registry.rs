//! Channels in a real registry (Debian's `docker-registry`), laid out as mirrors of conda channels lay them out.

use std::net::{TcpListener, TcpStream};
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use provenv_channel::{Channel, Package, skip};
use provenv_definition::Digest;
use provenv_fetch::CredentialSources;
use provenv_lock::conda::Error;
use serde_json::json;

use super::serving::fetch;
use super::support::{Place, asked, shown, small};

/// `me`, whose password is `hunter2`.
const HTPASSWD: &str = "me:$2b$05$abcdefghijklmnopqrstuuoXuKqgZXLiJqzfmMXDDhSFPIvxV7t8.\n";

struct Registry {
    child: Child,
    address: String,
}

impl Drop for Registry {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

impl Registry {
    /// A registry with a password that keeps its data in `folder`.
    fn start(folder: &Path) -> Option<Self> {
        if Command::new("docker-registry").arg("--version").stdout(Stdio::null()).status().is_err() {
            skip("docker-registry is not installed");
            return None;
        }
        let port = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
        let folder = folder.display();
        let config = format!(
            "version: 0.1\nlog: {{level: error, accesslog: {{disabled: true}}}}\n\
             storage: {{filesystem: {{rootdirectory: {folder}/data}}}}\nhttp: {{addr: '127.0.0.1:{port}'}}\n\
             auth: {{htpasswd: {{realm: test, path: {folder}/htpasswd}}}}\n"
        );
        fs_err::write(format!("{folder}/config.yml"), config).unwrap();
        fs_err::write(format!("{folder}/htpasswd"), HTPASSWD).unwrap();
        let child = Command::new("docker-registry")
            .args(["serve", &format!("{folder}/config.yml")])
            .env("OTEL_TRACES_EXPORTER", "none")
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .unwrap();
        let begun = Instant::now();
        while TcpStream::connect(("127.0.0.1", port)).is_err() {
            assert!(begun.elapsed() < Duration::from_secs(20), "the registry does not come up");
            std::thread::sleep(Duration::from_millis(20));
        }
        Some(Self { child, address: format!("127.0.0.1:{port}") })
    }

    /// Pushes every index and package of a channel.
    fn publish(&self, name: &str, channel: &Channel) {
        let files = channel.files();
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        for subdir in ["linux-64", "noarch"] {
            let file = |file: &str| files.get(&format!("{subdir}/{file}")).cloned();
            let indexes = [
                ("repodata.json", "application/vnd.conda.repodata.v1+json"),
                ("repodata.json.zst", "application/vnd.conda.repodata.v1+json+zst"),
                ("repodata_shards.msgpack.zst", "application/vnd.conda.repodata.shards.v1+msgpack+zst"),
            ];
            let layers = indexes.into_iter().filter_map(|(name, kind)| Some((kind, file(name)?))).collect();
            let repository = format!("{name}/{subdir}/repodata.json");
            runtime.block_on(self.push(&repository, "latest", layers));
        }
        for (path, bytes) in &files {
            let (subdir, file) = path.split_once('/').unwrap_or_default();
            if let Some(shard) =
                file.strip_prefix("shards/").and_then(|file| file.strip_suffix(".msgpack.zst"))
            {
                let layer = ("application/vnd.conda.repodata.shard.v1+msgpack+zst", bytes.clone());
                let repository = format!("{name}/{subdir}/repodata.json/shards");
                runtime.block_on(self.push(&repository, shard, vec![layer]));
            }
            let (stem, kind) = match (file.strip_suffix(".conda"), file.strip_suffix(".tar.bz2")) {
                (Some(stem), _) => (stem, "application/vnd.conda.package.v2"),
                (_, Some(stem)) => (stem, "application/vnd.conda.package.v1"),
                _ => continue,
            };
            let (package, tag) = stem.split_once('-').unwrap();
            let package = if package.starts_with('_') { format!("zzz{package}") } else { package.to_owned() };
            let repository = format!("{name}/{subdir}/{package}");
            runtime.block_on(self.push(&repository, &tag.replace('+', "__p__"), vec![(kind, bytes.clone())]));
        }
    }

    async fn push(&self, repository: &str, tag: &str, layers: Vec<(&str, Vec<u8>)>) {
        let client = reqwest::Client::new();
        let base = format!("http://{}/v2/{repository}", self.address);
        let mut descriptors = Vec::new();
        let config = ("application/vnd.oci.empty.v1+json", b"{}".to_vec());
        for (kind, bytes) in layers.into_iter().chain([config]) {
            let digest = Digest::of(&bytes).to_string();
            let begun =
                client.post(format!("{base}/blobs/uploads/")).basic_auth("me", Some("hunter2")).send();
            let location = begun.await.unwrap().headers()["location"].to_str().unwrap().to_owned();
            descriptors.push(json!({"mediaType": kind, "digest": digest, "size": bytes.len()}));
            let whole = client.put(format!("{location}&digest={digest}")).basic_auth("me", Some("hunter2"));
            assert!(whole.body(bytes).send().await.unwrap().status().is_success());
        }
        let config = descriptors.pop();
        let kind = "application/vnd.oci.image.manifest.v1+json";
        let manifest =
            json!({"schemaVersion": 2, "mediaType": kind, "config": config, "layers": descriptors})
                .to_string();
        let put = client.put(format!("{base}/manifests/{tag}")).basic_auth("me", Some("hunter2"));
        assert!(put.header("content-type", kind).body(manifest).send().await.unwrap().status().is_success());
    }
}

fn with_password(place: &mut Place) {
    let netrc = place.path().join("netrc");
    fs_err::write(&netrc, "machine 127.0.0.1 login me password hunter2\n").unwrap();
    place.options.credentials = CredentialSources::new(|_| None, Some(netrc), None);
}

#[test]
fn a_channel_in_a_registry() {
    let mut place = Place::new();
    let Some(registry) = Registry::start(place.path()) else { return };
    let strange = || small().add(Package::new("_odd", "1.0+1").old_format());
    registry.publish("whole", &strange().without_shards());
    registry.publish("sharded", &strange());
    let channel = |name: &str| format!("oci://{}/{name}", registry.address);
    let refused = place.resolve(&asked(&[&channel("whole")], &["program"])).unwrap_err();
    let is_refused =
        matches!(refused, Error::Index { source: provenv_fetch::Error::Unauthorized { .. }, .. });
    assert!(is_refused, "{refused:?}");
    with_password(&mut place);
    for name in ["whole", "sharded"] {
        let resolution = place.resolve(&asked(&[&channel(name)], &["program", "_odd"])).unwrap();
        assert_eq!(shown(&resolution), ["_odd 1.0+1 0", "library 2.0 0", "program 1.0 0"], "{name}");
        let url = resolution.packages[1].artifact.url.to_string();
        assert_eq!(url, format!("{}/linux-64/library-2.0-0.conda", channel(name)));
        fetch(&place, &resolution).unwrap();
    }
    let error = place.resolve(&asked(&[&channel("nowhere")], &["program"])).unwrap_err();
    assert!(matches!(error, Error::NoChannel { .. }), "{error:?}");
}

#[test]
fn a_registry_may_be_a_mirror_and_its_new_index_is_noticed() {
    let mut place = Place::new();
    let Some(registry) = Registry::start(place.path()) else { return };
    with_password(&mut place);
    registry.publish("small", &small());
    let mirror = format!("oci://{}/small", registry.address).parse().unwrap();
    place.options.mirrors = vec![("https://conda.invalid/small".parse().unwrap(), vec![mirror])];
    let question = asked(&["https://conda.invalid/small"], &["program"]);
    assert_eq!(place.names(&question), ["library 2.0 0", "program 1.0 0"]);
    registry.publish("small", &small().add(Package::new("library", "3.0")));
    let resolution = place.resolve(&question).unwrap();
    assert_eq!(shown(&resolution), ["library 3.0 0", "program 1.0 0"]);
    fetch(&place, &resolution).unwrap();
}
