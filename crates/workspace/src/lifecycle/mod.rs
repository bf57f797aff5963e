//! What becomes of registered versions: described, labelled, archived, restored, deleted, with who did it on record.
//!
//! Whoever calls says `who` acts: the user of this machine, or the one who signed in at a server.

mod archive;
mod delete;
mod history;
mod labels;
mod target;
mod update;

pub(crate) use delete::must_be_meant;
pub(crate) use labels::{name_the_version, sound_label};
pub(crate) use target::Subject;

pub use delete::{DeleteOptions, Deleted, Unneeded};
pub use history::{Change, ChangeKind, HistoryOptions};
pub use labels::Label;
pub use target::Archived;
pub use update::{Updated, VersionUpdate};
