//! An image's configuration, as far as an image on top of it keeps it (OCI image specification, `config.md`).

use std::collections::BTreeMap;

use provenv_definition::{Digest, Platform};
use serde::{Deserialize, Serialize};

use super::ManifestError;

/// How containers of the image start. Every field may be missing or null.
#[expect(clippy::zero_sized_map_values, reason = "as it is written")]
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "PascalCase", default)]
pub struct RuntimeConfig {
    /// Who runs it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub user: Option<String>,
    /// Ports that it answers at.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub exposed_ports: Option<BTreeMap<String, Nothing>>,
    /// Variables, `NAME=value`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub env: Option<Vec<String>>,
    /// What runs in any case.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub entrypoint: Option<Vec<String>>,
    /// What runs when nothing else is asked for.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub cmd: Option<Vec<String>>,
    /// Folders that are not the image's.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub volumes: Option<BTreeMap<String, Nothing>>,
    /// Where it runs.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub working_dir: Option<String>,
    /// Annotations that clients show.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub labels: Option<BTreeMap<String, String>>,
    /// What stops it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub stop_signal: Option<String>,
    /// Docker's: how to ask whether it is well.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub healthcheck: Option<Healthcheck>,
    /// Docker's: what commands in the form of a text are given to.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub shell: Option<Vec<String>>,
}

/// `{}`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Nothing {}

/// How to ask whether a container is well; times in nanoseconds.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "PascalCase", default)]
pub struct Healthcheck {
    #[serde(skip_serializing_if = "Option::is_none")]
    test: Option<Vec<String>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    interval: Option<i64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    timeout: Option<i64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    start_period: Option<i64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    start_interval: Option<i64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    retries: Option<i64>,
}

/// A line of what `docker history` shows.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct HistoryLine {
    /// When it was made.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub created: Option<String>,
    /// By what.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub created_by: Option<String>,
    /// By whom.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub author: Option<String>,
    /// What there is to say.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub comment: Option<String>,
    /// There is no layer of it.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub empty_layer: bool,
}

/// A configuration.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Config {
    pub runtime: RuntimeConfig,
    /// The digests of the layers' tars.
    pub diff_ids: Vec<Digest>,
    pub history: Vec<HistoryLine>,
}

#[derive(Deserialize)]
struct Document {
    #[serde(default)]
    architecture: String,
    #[serde(default)]
    os: String,
    config: Option<RuntimeConfig>,
    rootfs: RootFs,
    history: Option<Vec<HistoryLine>>,
}

#[derive(Deserialize)]
struct RootFs {
    diff_ids: Vec<String>,
}

impl Config {
    /// Reads the configuration of an image of so many layers.
    pub fn parse(bytes: &[u8], layers: usize, platform: Platform) -> Result<Self, ManifestError> {
        let malformed = |reason: String| ManifestError::Malformed { what: "configuration", reason };
        let document: Document =
            serde_json::from_slice(bytes).map_err(|error| malformed(error.to_string()))?;
        if document.os != "linux" || document.architecture != platform.architecture() {
            let found = format!("{}/{}", document.os, document.architecture).escape_debug().to_string();
            return Err(ManifestError::OtherPlatform { found, platform });
        }
        let diff_ids = document.rootfs.diff_ids.iter().map(|text| {
            text.parse().map_err(|_| malformed("the digest of a layer's tar is no sha256".to_owned()))
        });
        let diff_ids = diff_ids.collect::<Result<Vec<Digest>, _>>()?;
        if diff_ids.len() != layers {
            return Err(malformed(format!("it is of {} layers, and there are {layers}", diff_ids.len())));
        }
        let mut history = document.history.unwrap_or_default();
        if history.iter().filter(|line| !line.empty_layer).count() != layers {
            // It says nothing that could be believed, and clients count its lines.
            let line = HistoryLine { created_by: Some("a base".to_owned()), ..HistoryLine::default() };
            history = vec![line; layers];
        }
        Ok(Self { runtime: document.config.unwrap_or_default(), diff_ids, history })
    }
}

impl RuntimeConfig {
    /// Its variables, in their order.
    pub fn variables(&self) -> Vec<(String, String)> {
        let split =
            |text: &String| text.split_once('=').map(|(name, value)| (name.to_owned(), value.to_owned()));
        self.env.iter().flatten().filter_map(split).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn docker_writes_null_for_what_there_is_not() {
        let diff = Digest::of(b"tar");
        let text = format!(
            r#"{{"architecture": "amd64", "os": "linux", "container": "x", "config": {{"User": "me", "Env": ["PATH=/bin", "A=b=c"],
            "Entrypoint": null, "Cmd": ["sh"], "Volumes": {{"/data": {{}}}}, "OnBuild": null, "Labels": null,
            "Healthcheck": {{"Test": ["CMD", "true"], "Interval": 1000}}}},
            "rootfs": {{"type": "layers", "diff_ids": ["{diff}"]}},
            "history": [{{"created": "2024-01-01T00:00:00Z", "created_by": "ADD"}}, {{"empty_layer": true}}]}}"#
        );
        let config = Config::parse(text.as_bytes(), 1, Platform::LinuxAmd64).unwrap();
        assert_eq!(config.runtime.variables()[1], ("A".to_owned(), "b=c".to_owned()));
        assert_eq!((config.diff_ids, config.history.len()), (vec![diff], 2));
        let error = Config::parse(text.as_bytes(), 1, Platform::LinuxArm64).unwrap_err();
        assert!(matches!(error, ManifestError::OtherPlatform { .. }), "{error}");
        let error = Config::parse(text.as_bytes(), 2, Platform::LinuxAmd64).unwrap_err();
        assert!(error.to_string().contains("1 layers, and there are 2"), "{error}");
        assert!(Config::parse(b"{}", 1, Platform::LinuxAmd64).is_err());
    }
}
