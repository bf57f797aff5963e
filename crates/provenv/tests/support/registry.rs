//! A real registry: Debian's `docker-registry`.

use std::net::{TcpListener, TcpStream};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use provenv_definition::Digest;
use provenv_testing::server::Server;

use super::have;

/// `me`, whose password is `hunter2`.
const HTPASSWD: &str = "me:$2b$05$abcdefghijklmnopqrstuuoXuKqgZXLiJqzfmMXDDhSFPIvxV7t8.\n";

/// A registry on this machine, which ends with the test.
pub struct Registry {
    child: Option<Child>,
    folder: tempfile::TempDir,
    port: u16,
}

impl Registry {
    /// One that answers; `None`, said aloud, where it is not installed.
    pub fn start(with_password: bool) -> Option<Self> {
        if !have("docker-registry") {
            return None;
        }
        let folder = tempfile::tempdir().unwrap();
        let port = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
        let path = |name: &str| folder.path().join(name).display().to_string();
        let mut config = format!(
            "version: 0.1\nlog: {{level: error, accesslog: {{disabled: true}}}}\nstorage: {{filesystem: \
             {{rootdirectory: {}}}, delete: {{enabled: true}}}}\nhttp: {{addr: '127.0.0.1:{port}'}}\n",
            path("data")
        );
        if with_password {
            fs_err::write(folder.path().join("htpasswd"), HTPASSWD).unwrap();
            config.push_str("auth: {htpasswd: {realm: test, path: ");
            config.push_str(&path("htpasswd"));
            config.push_str("}}\n");
        }
        fs_err::write(folder.path().join("config.yml"), config).unwrap();
        let mut registry = Self { child: None, folder, port };
        registry.go_on();
        Some(registry)
    }

    /// Starts it, again if it was stopped.
    pub fn go_on(&mut self) {
        let child = Command::new("docker-registry")
            .arg("serve")
            .arg(self.folder.path().join("config.yml"))
            .env("OTEL_TRACES_EXPORTER", "none")
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .unwrap();
        self.child = Some(child);
        let begun = Instant::now();
        while TcpStream::connect(("127.0.0.1", self.port)).is_err() {
            assert!(begun.elapsed() < Duration::from_mins(1), "the registry does not come up");
            std::thread::sleep(Duration::from_millis(20));
        }
    }

    /// Ends it; what was pushed stays.
    pub fn stop(&mut self) {
        if let Some(mut child) = self.child.take() {
            let _ = child.kill();
            let _ = child.wait();
        }
    }

    /// `127.0.0.1:PORT`.
    pub fn host(&self) -> String {
        format!("127.0.0.1:{}", self.port)
    }

    /// A reference in it.
    pub fn at(&self, name: &str) -> String {
        format!("{}/{name}", self.host())
    }

    /// Its storage, which tests may damage.
    pub fn data(&self) -> PathBuf {
        self.folder.path().join("data/docker/registry/v2")
    }

    /// A file with the login of `me`.
    pub fn auth_file(&self) -> PathBuf {
        let path = self.folder.path().join("auth.json");
        let auth = "bWU6aHVudGVyMg==";
        let text = format!(r#"{{"auths": {{"{}": {{"auth": "{auth}"}}}}}}"#, self.host());
        fs_err::write(&path, text).unwrap();
        path
    }
}

impl Drop for Registry {
    fn drop(&mut self) {
        self.stop();
    }
}

/// An image that a test makes up, for a server that stands for a registry: what it says need not be true.
pub struct Image {
    tar: tar::Builder<Vec<u8>>,
    config: serde_json::Value,
}

impl Image {
    /// One without files.
    pub fn new() -> Self {
        Self { tar: tar::Builder::new(Vec::new()), config: serde_json::json!({}) }
    }

    /// With a file.
    pub fn file(mut self, path: &str, bytes: &[u8]) -> Self {
        let mut header = tar::Header::new_ustar();
        header.set_size(bytes.len() as u64);
        header.set_mode(0o755);
        plain(&mut header);
        self.tar.append_data(&mut header, path, bytes).unwrap();
        self
    }

    /// With a link.
    pub fn link(mut self, path: &str, target: &str) -> Self {
        let mut header = tar::Header::new_ustar();
        header.set_entry_type(tar::EntryType::Symlink);
        header.set_size(0);
        header.set_mode(0o777);
        plain(&mut header);
        self.tar.append_link(&mut header, path, target).unwrap();
        self
    }

    /// With this in its configuration.
    pub fn config(mut self, config: serde_json::Value) -> Self {
        self.config = config;
        self
    }

    /// Serves it at `server` as `NAME:TAG`, its one layer as often as it says; the reference.
    pub fn serve(self, server: &Server, name: &str, tag: &str, layers: usize) -> String {
        let (blobs, manifest) = self.parts(layers);
        let put = |what: &str, named: &str, bytes: &[u8]| {
            server.put(&format!("/v2/{name}/{what}/{named}"), bytes.to_vec());
        };
        for blob in blobs {
            put("blobs", &Digest::of(&blob).to_string(), &blob);
        }
        for named in [tag, &Digest::of(manifest.as_bytes()).to_string()] {
            put("manifests", named, manifest.as_bytes());
        }
        format!("{}/{name}:{tag}", server.address())
    }

    /// Writes it into a folder as an OCI layout, which other programs read.
    pub fn lay_out(self, folder: &Path) {
        let (mut blobs, manifest) = self.parts(1);
        let of_blobs = folder.join("blobs/sha256");
        fs_err::create_dir_all(&of_blobs).unwrap();
        let index = serde_json::json!({ "schemaVersion": 2, "manifests": [{
            "mediaType": "application/vnd.oci.image.manifest.v1+json",
            "digest": Digest::of(manifest.as_bytes()), "size": manifest.len() }] });
        fs_err::write(folder.join("index.json"), index.to_string()).unwrap();
        fs_err::write(folder.join("oci-layout"), r#"{"imageLayoutVersion": "1.0.0"}"#).unwrap();
        blobs.push(manifest.into_bytes());
        for blob in blobs {
            fs_err::write(of_blobs.join(Digest::of(&blob).hex().to_string()), blob).unwrap();
        }
    }

    /// Its layer and its configuration, and the manifest.
    fn parts(self, layers: usize) -> (Vec<Vec<u8>>, String) {
        let layer = self.tar.into_inner().unwrap();
        let digest = Digest::of(&layer);
        let config = serde_json::json!({ "architecture": "amd64", "os": "linux", "config": self.config,
            "rootfs": { "type": "layers", "diff_ids": vec![digest; layers] } });
        let config = config.to_string();
        let descriptor = serde_json::json!({ "mediaType": "application/vnd.oci.image.layer.v1.tar",
            "digest": digest, "size": layer.len() });
        let manifest = serde_json::json!({ "schemaVersion": 2,
            "mediaType": "application/vnd.oci.image.manifest.v1+json", "layers": vec![descriptor; layers],
            "config": { "mediaType": "application/vnd.oci.image.config.v1+json",
                        "digest": Digest::of(config.as_bytes()), "size": config.len() } });
        (vec![layer, config.into_bytes()], manifest.to_string())
    }
}

/// Root's, from 1980.
fn plain(header: &mut tar::Header) {
    header.set_uid(0);
    header.set_gid(0);
    header.set_mtime(315_532_800);
}

/// An image with a shell and some programs of this machine: enough for steps, and quick.
pub fn shell(server: &Server) -> String {
    let mut image = Image::new();
    let mut libraries = Vec::new();
    for program in ["sh", "cat", "ls", "mkdir", "sleep", "date", "env"] {
        let path = format!("/bin/{program}");
        image = image.file(&format!("bin/{program}"), &fs_err::read(&path).unwrap());
        let output = Command::new("ldd").arg(&path).output().unwrap();
        let text = String::from_utf8(output.stdout).unwrap();
        libraries.extend(text.split_whitespace().filter(|word| word.starts_with("/lib")).map(str::to_owned));
    }
    libraries.sort();
    libraries.dedup();
    for library in libraries {
        image = image.file(library.trim_start_matches('/'), &fs_err::read(&library).unwrap());
    }
    let config = serde_json::json!({ "Env": ["PATH=/bin"], "Cmd": ["sh"] });
    image.config(config).serve(server, "team/shell", "1", 1)
}
