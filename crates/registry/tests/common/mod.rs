//! A real registry (Debian's `docker-registry`) and an image to push.

#![allow(dead_code, reason = "each test file uses a part")]

use std::io::Write as _;
use std::net::{TcpListener, TcpStream};
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use flate2::{Compression, write::GzEncoder};
use provenv_definition::{Digest, Platform};
use provenv_image::layer::Layer;
use provenv_image::oci::{self, Image, ImageConfig};
use provenv_registry::{Keychain, Options, Reference};
use provenv_store::Store;
use tempfile::TempDir;

/// `me`, whose password is `hunter2`.
const HTPASSWD: &str = "me:$2b$05$abcdefghijklmnopqrstuuoXuKqgZXLiJqzfmMXDDhSFPIvxV7t8.\n";

pub struct Server {
    child: Option<Child>,
    pub folder: TempDir,
    pub port: u16,
}

impl Server {
    /// A registry that is configured but does not run yet; `None` where it is not installed.
    pub fn prepare(with_password: bool) -> Option<Self> {
        let installed =
            Command::new("docker-registry").arg("--version").stdout(Stdio::null()).status().is_ok();
        if !installed {
            assert!(
                std::env::var("PROVENV_TEST_PEERS").as_deref() != Ok("required"),
                "PROVENV_TEST_PEERS=required, and docker-registry is not installed"
            );
            eprintln!("skipped: docker-registry is not installed");
            return None;
        }
        let folder = tempfile::tempdir().unwrap();
        let port = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
        let mut config = format!(
            "version: 0.1\nlog: {{level: error, accesslog: {{disabled: true}}}}\nstorage: {{filesystem: \
             {{rootdirectory: {0}/data}}}}\nhttp: {{addr: '127.0.0.1:{port}'}}\n",
            folder.path().display()
        );
        if with_password {
            fs_err::write(folder.path().join("htpasswd"), HTPASSWD).unwrap();
            let passwords = folder.path().join("htpasswd");
            config.push_str("auth: {htpasswd: {realm: test, path: ");
            config.push_str(passwords.to_str().unwrap());
            config.push_str("}}\n");
        }
        fs_err::write(folder.path().join("config.yml"), config).unwrap();
        Some(Self { child: None, folder, port })
    }

    pub fn start(&mut self) {
        let config = self.folder.path().join("config.yml");
        let child = Command::new("docker-registry")
            .arg("serve")
            .arg(config)
            .env("OTEL_TRACES_EXPORTER", "none")
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .unwrap();
        self.child = Some(child);
        let begun = Instant::now();
        while TcpStream::connect(("127.0.0.1", self.port)).is_err() {
            assert!(begun.elapsed() < Duration::from_secs(20), "the registry does not come up");
            std::thread::sleep(Duration::from_millis(20));
        }
    }

    pub fn started(with_password: bool) -> Option<Self> {
        let mut server = Self::prepare(with_password)?;
        server.start();
        Some(server)
    }

    pub fn stop(&mut self) {
        if let Some(mut child) = self.child.take() {
            let _ = child.kill();
            let _ = child.wait();
        }
    }

    pub fn reference(&self, name: &str) -> Reference {
        format!("127.0.0.1:{}/{name}", self.port).parse().unwrap()
    }

    /// A file with credentials for this registry.
    pub fn auth_file(&self, auth: &str) -> PathBuf {
        let path = self.folder.path().join("auth.json");
        fs_err::write(&path, format!(r#"{{"auths": {{"127.0.0.1:{}": {{"auth": "{auth}"}}}}}}"#, self.port))
            .unwrap();
        path
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        self.stop();
    }
}

pub fn options(auth_files: Vec<PathBuf>) -> Options {
    Options::new(Keychain::of_files(auth_files))
}

/// An image with a layer for each text.
pub fn image(store: &Store, texts: &[&[u8]]) -> Image {
    let layers: Vec<Layer> = texts.iter().map(|text| layer(store, text)).collect();
    oci::write(store, Platform::LinuxAmd64, &layers, &ImageConfig::default()).unwrap()
}

fn layer(store: &Store, text: &[u8]) -> Layer {
    let mut tar = tar::Builder::new(Vec::new());
    let mut header = tar::Header::new_ustar();
    header.set_size(text.len() as u64);
    header.set_mode(0o644);
    tar.append_data(&mut header, "file", text).unwrap();
    let tar = tar.into_inner().unwrap();
    let mut encoder = GzEncoder::new(Vec::new(), Compression::none());
    encoder.write_all(&tar).unwrap();
    let blob = encoder.finish().unwrap();
    Layer {
        digest: store.put(&blob).unwrap(),
        size: blob.len() as u64,
        diff_id: Digest::of(&tar),
        tar_size: tar.len() as u64,
        compression: provenv_image::layer::Compression::Gzip,
        toc: None,
        foreign: false,
        what: "a layer".into(),
        packages: vec![],
    }
}
