//! What must be so after each round.

use std::collections::BTreeMap;
use std::io::Read as _;
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};

use provenv_definition::Digest;
use serde_json::Value;

use super::steps::{Kind, Outcome, Step};
use super::world::{World, name_of, package_of};
use crate::registry::client::Client;
use crate::support::Done;

/// Larger blobs are looked at only where they lie: they come from the base, and are the same all the time.
const SMALL: u64 = 1 << 20;

impl World {
    /// Takes note of how a step ended. One that nobody killed must have ended well.
    pub fn learn(&mut self, step: &Step, outcome: &Outcome, registry_was_killed: bool) {
        let Some(done) = outcome else { return };
        let excused = registry_was_killed && matches!(step.kind, Kind::Push(_) | Kind::Pull(_));
        if done.code != 0 && excused {
            return;
        }
        assert_eq!(done.code, 0, "{step}\nstdout:\n{}\nstderr:\n{}", done.stdout, done.stderr);
        match &step.kind {
            Kind::Build | Kind::Push(_) => {
                let built = done.json();
                let image = built["image"].as_str().unwrap().to_owned();
                let known = self.images.entry(step.file).or_insert_with(|| image.clone());
                assert_eq!(*known, image, "{} comes out the same", step.file);
                self.keep(step);
                if let Kind::Push(repository) = &step.kind {
                    self.pushed.insert(repository.clone(), image);
                }
            }
            Kind::Register => {
                let version = done.json()["version"].as_str().unwrap().to_owned();
                self.registered.insert(step.file, format!("{}:{version}", name_of(step.file)));
            }
            Kind::Run => self.keep(step),
            Kind::Scrub => assert_eq!(done.json()["corrupt"], serde_json::json!([]), "{step}"),
            _ => {}
        }
    }

    /// What was registered when its build began stays from then on.
    fn keep(&mut self, step: &Step) {
        if let Some(version) = &step.registered {
            self.kept.insert(step.file, version.clone());
        }
    }

    /// Looks at everything.
    pub fn check(&mut self, when: &str) {
        // Whoever opens the store next removes what the dead have left; the registry is alive.
        self.workspace.json(["store", "stats"]);
        let left = files_below(&self.workspace.root().join("store/tmp"));
        let left: Vec<_> = left.iter().filter(|path| !path.ends_with(".alive")).collect();
        assert!(left.is_empty(), "{when}: what dead processes left is gone: {left:?}");
        for record in files_below(&self.workspace.root().join("store/records")) {
            let text = fs_err::read(&record).unwrap();
            assert!(serde_json::from_slice::<Value>(&text).is_ok(), "{when}: {}", record.display());
        }
        let blobs = self.blobs();
        for (digest, path) in &blobs {
            if self.seen.insert(digest.clone()) {
                assert_eq!(digest_of(path), *digest, "{when}");
            }
        }
        self.seen.retain(|digest| blobs.contains_key(digest));
        let versions = self.workspace.json(["env", "list", "--all"]);
        let versions: Vec<(String, String)> = versions
            .as_array()
            .unwrap()
            .iter()
            .map(|row| (text(&row["name"]), text(&row["version"])))
            .collect();
        for version in self.registered.values() {
            let (name, number) = version.split_once(':').unwrap();
            let found = versions.iter().filter(|(known, version)| known == name && version == number).count();
            assert_eq!(found, 1, "{when}: {version}");
        }
        self.newest.clear();
        for (name, number) in versions {
            let newest = self.newest.entry(name).or_default();
            if newest.parse().unwrap_or(0) < number.parse::<u32>().unwrap() {
                *newest = number;
            }
        }
        for (file, version) in self.kept.clone() {
            self.is_whole(file, &version, &blobs, when);
        }
        let client = self.registry.as_ref().unwrap().client();
        for (repository, image) in &self.pushed {
            let done = pull(&client, repository).unwrap();
            assert_eq!(done.code, 0, "{when}: {repository}: {}", done.stderr);
            assert_eq!(done.stdout, *image, "{when}: {repository}");
        }
        let kept: Vec<_> = self.kept.clone().into_iter().collect();
        if !kept.is_empty() {
            let (file, version) = &kept[self.random.usize(..kept.len())];
            self.runs_offline(file, version);
        }
    }

    /// The image of a registered environment is there to the last blob, without a network.
    fn is_whole(&self, name: &str, version: &str, blobs: &BTreeMap<String, PathBuf>, when: &str) {
        let built = self.workspace.json(["--offline", "build", version]);
        let image = built["image"].as_str().unwrap();
        assert_eq!(image, self.images.get(name).map_or(image, String::as_str), "{when}: {name}");
        let manifest = blobs.get(image.strip_prefix("sha256:").unwrap());
        let manifest = manifest.unwrap_or_else(|| panic!("{when}: {name}: the manifest is gone"));
        let manifest: Value = serde_json::from_slice(&fs_err::read(manifest).unwrap()).unwrap();
        for part in manifest["layers"].as_array().unwrap().iter().chain([&manifest["config"]]) {
            let digest = part["digest"].as_str().unwrap().strip_prefix("sha256:").unwrap();
            let path = blobs.get(digest).unwrap_or_else(|| panic!("{when}: {name}: {digest} is gone"));
            assert_eq!(
                fs_err::metadata(path).unwrap().len(),
                part["size"].as_u64().unwrap(),
                "{when}: {name}"
            );
        }
    }

    /// It runs without the network, from what is in the store alone.
    pub fn runs_offline(&self, name: &str, version: &str) {
        let import = format!("import {0}; print({0}.NAME)", package_of(name));
        let done = self.workspace.run(["--offline", "run", version, "--", "python", "-c", &import]);
        assert_eq!(done.ok().stdout, format!("{}\n", package_of(name)));
    }

    /// Flips a bit of something that was made here, and has it repaired.
    pub fn damage(&mut self) {
        let blobs = self.blobs();
        let made: Vec<&String> = blobs.keys().filter(|digest| !self.from_before.contains(*digest)).collect();
        if made.is_empty() {
            return;
        }
        let digest = made[self.random.usize(..made.len())].clone();
        let path = &blobs[&digest];
        let mut bytes = fs_err::read(path).unwrap();
        if bytes.is_empty() {
            return;
        }
        let at = self.random.usize(..bytes.len());
        let whole = bytes.clone();
        bytes[at] ^= 1 << self.random.u8(..8);
        // Another file, because those of the base are linked to the seed's.
        fs_err::remove_file(path).unwrap();
        fs_err::write(path, &bytes).unwrap();
        fs_err::set_permissions(path, std::fs::Permissions::from_mode(0o444)).unwrap();
        eprintln!("bit {at} of {digest} is flipped");
        let done = self.scrub();
        let found = done.json();
        assert_eq!(found["corrupt"][0]["digest"], format!("sha256:{digest}"), "{found}");
        if done.code != 0 {
            // What was pushed, and is in no image any more that could be made again, comes back by a push alone.
            let needed = found["corrupt"][0]["needed_by"].as_array().unwrap();
            let repositories = needed.iter().map(|who| who.as_str().unwrap().strip_prefix("repository "));
            let repositories: Option<Vec<&str>> = repositories.collect();
            let repositories =
                repositories.filter(|all| !all.is_empty()).unwrap_or_else(|| panic!("{found}"));
            let client = self.registry.as_ref().unwrap().client();
            let upload = format!("/v2/{}/blobs/uploads/?digest=sha256:{digest}", repositories[0]);
            let kind = [("Content-Type", "application/octet-stream")];
            assert_eq!(client.try_send("POST", &upload, &kind, &whole).unwrap().status, 201, "{found}");
            let again = self.scrub();
            assert_eq!(again.code, 0, "{}", again.stdout);
        }
        self.seen.remove(&digest);
    }

    fn scrub(&self) -> Done {
        let mut command = self.workspace.command();
        command.args(["-o", "json", "store", "scrub", "--repair"]).output().unwrap().into()
    }

    /// The blobs of the store, by the hexadecimal digits of their digests.
    pub fn blobs(&self) -> BTreeMap<String, PathBuf> {
        let folder = self.workspace.root().join("store/blobs/sha256");
        files_below(&folder)
            .into_iter()
            .map(|path| {
                let name = path.strip_prefix(&folder).unwrap().to_str().unwrap().replace('/', "");
                (name, path)
            })
            .collect()
    }
}

/// Pulls an image as clients do, and checks what is small by its digest. Gives back the manifest's digest; an exit code as if
/// it were a process's.
pub fn pull(client: &Client, repository: &str) -> Outcome {
    let failed = |why: String| Some(Done { code: 1, stdout: String::new(), stderr: why });
    let (name, tag) = repository.rsplit_once(':').unwrap();
    let get = |method: &str, path: String| client.try_send(method, &path, &[], b"");
    let answer = match get("GET", format!("/v2/{name}/manifests/{tag}")) {
        Ok(answer) if answer.status == 200 => answer,
        Ok(answer) => return failed(format!("{}: {}", answer.status, answer.text())),
        Err(error) => return failed(error.to_string()),
    };
    let digest = Digest::of(&answer.body).to_string();
    let Ok(manifest) = serde_json::from_slice::<Value>(&answer.body) else {
        return failed("the manifest was cut".to_owned());
    };
    for part in manifest["layers"].as_array().unwrap().iter().chain([&manifest["config"]]) {
        let (blob, size) = (part["digest"].as_str().unwrap(), part["size"].as_u64().unwrap());
        let method = if size < SMALL { "GET" } else { "HEAD" };
        match get(method, format!("/v2/{name}/blobs/{blob}")) {
            Ok(answer) if answer.status != 200 => {
                return failed(format!("{blob}: {}: {}", answer.status, answer.text()));
            }
            Ok(answer) if method == "GET" && Digest::of(&answer.body).to_string() != blob => {
                return failed(format!("{blob} has other bytes"));
            }
            Ok(_) => {}
            Err(error) => return failed(error.to_string()),
        }
    }
    Some(Done { code: 0, stdout: digest, stderr: String::new() })
}

fn text(value: &Value) -> String {
    value.as_str().unwrap().to_owned()
}

fn digest_of(path: &Path) -> String {
    let mut bytes = Vec::new();
    fs_err::File::open(path).unwrap().read_to_end(&mut bytes).unwrap();
    Digest::of(&bytes).hex()
}

fn files_below(folder: &Path) -> Vec<PathBuf> {
    let files = walkdir::WalkDir::new(folder).into_iter().filter_map(Result::ok);
    files.filter(|entry| entry.file_type().is_file()).map(walkdir::DirEntry::into_path).collect()
}
