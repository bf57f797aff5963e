//! The form of an image: what, beside its lock, its digest is a function of.
//!
//! An image says its form itself, so that whoever has it can make it again: epoch and number of layers are labels, because they
//! decide what is in configuration and layers; the compression is an annotation of the manifest, because the configuration of
//! gzip and zstd images is the same, and with it what clients call the image's ID.

use std::collections::BTreeMap;
use std::fmt;
use std::ops::RangeInclusive;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

/// The assembly epoch: version of the rules that turn a lock into an image. A change of any byte of any image takes a new one.
///
/// * 1: the first. The bytes of its segments and layers are those of all epochs so far ([`crate::segment::EPOCH`]).
/// * 2: other variables and labels in the configuration, other compressions, a most of layers.
pub const EPOCH: u32 = 2;

/// The epochs whose images can be made.
pub const EPOCHS: RangeInclusive<u32> = 1..=EPOCH;

/// The most layers that clients take, and docker not one more.
pub const CLIENTS_TAKE: u8 = 127;

/// The label with the epoch.
pub const EPOCH_LABEL: &str = "dev.provenv.epoch";
/// The label with the most layers that were allowed, if somebody said how many.
pub const LAYERS_LABEL: &str = "dev.provenv.layers";
/// The annotation of the manifest with the compression, if it is not gzip.
pub const COMPRESSION_ANNOTATION: &str = "dev.provenv.compression";

/// How the layers that are made here are compressed.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Packing {
    /// gzip: every client takes it, and wheels are copied into it as they are.
    #[default]
    Gzip,
    /// zstd: smaller and quicker to pull. Docker 20.10 and umoci 0.4 refuse it.
    Zstd,
    /// eStargz: gzip with a table of contents, from which containerd's stargz snapshotter pulls single files when they are read.
    Estargz,
}

impl Packing {
    /// As users write it.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Gzip => "gzip",
            Self::Zstd => "zstd",
            Self::Estargz => "estargz",
        }
    }
}

impl fmt::Display for Packing {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

impl FromStr for Packing {
    type Err = FormError;

    fn from_str(text: &str) -> Result<Self, FormError> {
        let all = [Self::Gzip, Self::Zstd, Self::Estargz];
        let found = all.into_iter().find(|packing| packing.as_str() == text);
        found.ok_or_else(|| FormError::Compression(text.escape_debug().to_string()))
    }
}

/// What, beside its lock, the digest of an image is a function of.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct Form {
    /// The assembly epoch.
    pub epoch: u32,
    /// How layers are compressed.
    #[serde(default)]
    pub packing: Packing,
    /// The most layers that the image may have, those of a base included; the rules' own most where nobody says.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub layers: Option<u8>,
}

impl Default for Form {
    fn default() -> Self {
        Self::of_epoch(EPOCH)
    }
}

/// A form that there is not.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum FormError {
    /// A compression that there is not.
    #[error("`{0}` is none of gzip, zstd and estargz")]
    Compression(String),
    /// An epoch that nobody knows here.
    #[error("images of assembly epoch {0} cannot be made: this provenv knows the epochs 1 to {EPOCH}")]
    Epoch(u32),
    /// What came later.
    #[error("images of assembly epoch 1 are gzip, and nobody could say how many layers they have")]
    Plain,
    /// More or fewer layers than there can be.
    #[error("an image has 1 to {CLIENTS_TAKE} layers, so it cannot have {0} at the most")]
    Layers(u64),
}

impl FormError {
    /// What the user can do about it.
    pub fn hint(&self) -> String {
        match self {
            Self::Compression(_) => "write gzip, zstd or estargz".to_owned(),
            Self::Epoch(_) => "an image of a later epoch takes a newer provenv".to_owned(),
            Self::Plain => {
                format!("leave the compression and the number of layers out, or take epoch {EPOCH}")
            }
            Self::Layers(_) => format!("clients take {CLIENTS_TAKE} layers and not more"),
        }
    }
}

impl Form {
    /// The form of that epoch's images where nobody says more.
    pub fn of_epoch(epoch: u32) -> Self {
        Self { epoch, packing: Packing::Gzip, layers: None }
    }

    /// Refuses a form that there is not.
    pub fn check(self) -> Result<(), FormError> {
        if !EPOCHS.contains(&self.epoch) {
            return Err(FormError::Epoch(self.epoch));
        }
        match self.layers {
            Some(layers) if !(1..=CLIENTS_TAKE).contains(&layers) => Err(FormError::Layers(layers.into())),
            _ if self.epoch == 1 && self != Self::of_epoch(1) => Err(FormError::Plain),
            _ => Ok(()),
        }
    }

    /// The form that an image says it has, by the annotations of its manifest and the labels of its configuration. What it does
    /// not say, or not so that it can be understood, is as where nobody says it.
    pub fn stated(annotations: &BTreeMap<String, String>, labels: &BTreeMap<String, String>) -> Self {
        let epoch = labels.get(EPOCH_LABEL).and_then(|text| text.parse().ok()).unwrap_or(EPOCH);
        if epoch == 1 {
            // What else it says comes from its base.
            return Self::of_epoch(1);
        }
        let packing = annotations.get(COMPRESSION_ANNOTATION).and_then(|text| text.parse().ok());
        let layers = labels.get(LAYERS_LABEL).and_then(|text| text.parse().ok());
        Self { epoch, packing: packing.unwrap_or_default(), layers }
    }

    /// What tells its images from those of other forms in the keys of records. Those of the first epoch had none.
    pub(crate) fn key(self) -> Option<String> {
        (self != Self::of_epoch(1)).then(|| format!("{self}"))
    }
}

impl fmt::Display for Form {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "epoch {}, {}", self.epoch, self.packing)?;
        match self.layers {
            Some(layers) => write!(f, ", at most {layers} layers"),
            None => Ok(()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn texts<const N: usize>(pairs: [(&str, &str); N]) -> BTreeMap<String, String> {
        pairs.map(|(key, value)| (key.to_owned(), value.to_owned())).into()
    }

    #[test]
    fn an_image_states_its_form() {
        let none = BTreeMap::new();
        assert_eq!(Form::stated(&none, &none), Form::default());
        assert_eq!(Form::stated(&none, &texts([(EPOCH_LABEL, "1"), (LAYERS_LABEL, "9")])), Form::of_epoch(1));
        let form = Form::stated(
            &texts([(COMPRESSION_ANNOTATION, "zstd")]),
            &texts([(EPOCH_LABEL, "2"), (LAYERS_LABEL, "20")]),
        );
        assert_eq!(form, Form { epoch: 2, packing: Packing::Zstd, layers: Some(20) });
        let odd = texts([(COMPRESSION_ANNOTATION, "rar"), (LAYERS_LABEL, "999"), (EPOCH_LABEL, "x")]);
        assert_eq!(Form::stated(&odd, &odd), Form::default());
    }

    #[test]
    fn what_there_is_not_is_refused() {
        assert_eq!(Form::of_epoch(3).check(), Err(FormError::Epoch(3)));
        assert_eq!(Form { packing: Packing::Zstd, ..Form::of_epoch(1) }.check(), Err(FormError::Plain));
        assert_eq!(Form { layers: Some(0), ..Form::default() }.check(), Err(FormError::Layers(0)));
        assert_eq!(Form { layers: Some(128), ..Form::default() }.check(), Err(FormError::Layers(128)));
        assert!(Form { layers: Some(127), packing: Packing::Estargz, ..Form::default() }.check().is_ok());
        assert_eq!("lz4".parse::<Packing>(), Err(FormError::Compression("lz4".to_owned())));
    }
}
