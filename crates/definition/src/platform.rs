//! What an image runs on, in OCI's words.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Deserializer, Serialize, Serializer};

use crate::secrets::shown;

/// An operating system and architecture, written as OCI does: `linux/amd64`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub enum Platform {
    /// x86-64 Linux.
    #[default]
    LinuxAmd64,
    /// 64-bit ARM Linux.
    LinuxArm64,
}

/// A platform that Provenv does not make images for.
#[derive(Debug, thiserror::Error)]
#[error("unknown platform `{0}`: use linux/amd64 or linux/arm64")]
pub struct PlatformParseError(String);

impl Platform {
    /// The platform of the machine this runs on.
    pub fn host() -> Self {
        if cfg!(target_arch = "aarch64") { Self::LinuxArm64 } else { Self::LinuxAmd64 }
    }

    /// `linux/amd64` and the like.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::LinuxAmd64 => "linux/amd64",
            Self::LinuxArm64 => "linux/arm64",
        }
    }

    /// OCI's and Debian's name of the architecture, which agree for these: `amd64`, `arm64`.
    pub fn architecture(self) -> &'static str {
        match self {
            Self::LinuxAmd64 => "amd64",
            Self::LinuxArm64 => "arm64",
        }
    }

    /// The kernel's and PyPA's name of the machine: `x86_64`, `aarch64`.
    pub fn machine(self) -> &'static str {
        match self {
            Self::LinuxAmd64 => "x86_64",
            Self::LinuxArm64 => "aarch64",
        }
    }

    /// Debian's multiarch triplet.
    pub fn multiarch(self) -> &'static str {
        match self {
            Self::LinuxAmd64 => "x86_64-linux-gnu",
            Self::LinuxArm64 => "aarch64-linux-gnu",
        }
    }
}

impl fmt::Display for Platform {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

impl FromStr for Platform {
    type Err = PlatformParseError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        match text {
            "linux/amd64" | "linux-64" => Ok(Self::LinuxAmd64),
            "linux/arm64" | "linux-aarch64" => Ok(Self::LinuxArm64),
            other => Err(PlatformParseError(shown(other))),
        }
    }
}

impl Serialize for Platform {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(self.as_str())
    }
}

impl<'de> Deserialize<'de> for Platform {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        String::deserialize(deserializer)?.parse().map_err(serde::de::Error::custom)
    }
}
