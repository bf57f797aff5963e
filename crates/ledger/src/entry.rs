//! What an entry says.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

/// A change that somebody made.
///
/// The bytes that are hashed are its JSON without spaces, fields in this order, as it was when it was written: they are kept
/// as they are and never made anew, so that fields may be added later.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Entry {
    /// Which entry it is, from 0: two that changed places are found.
    pub number: u64,
    /// When.
    pub at: jiff::Timestamp,
    /// Who.
    pub by: String,
    /// What was done, such as `label.set`.
    pub action: String,
    /// In which workspace, if in one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub workspace: Option<String>,
    /// To what.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub subject: String,
    /// What else is to be known of it. Never a secret.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub details: BTreeMap<String, String>,
    /// Random, so that whoever has the hash alone cannot try out what was said.
    pub salt: String,
}

impl Entry {
    /// The bytes that are hashed.
    pub fn to_text(&self) -> Result<String, serde_json::Error> {
        serde_json::to_string(self)
    }
}
