//! A channel: packages, their index, and how both are offered.

use std::collections::{BTreeMap, BTreeSet};
use std::io;
use std::path::Path;

use provenv_testing::server::FileTree;
use serde_json::Value;

use crate::archive::{Archive, zstd};
use crate::index::{Index, Record};

/// Packages and their index, which is written in all forms unless told otherwise.
#[derive(Clone, Debug)]
pub struct Channel {
    prefix: String,
    archives: Vec<Archive>,
    subdirs: BTreeSet<String>,
    patches: Vec<(String, String, Value)>,
    without_file: BTreeSet<String>,
    unlisted: BTreeSet<String>,
    without_zst: bool,
    without_shards: bool,
}

impl Channel {
    /// A channel without packages, served at `/name`.
    pub fn new(name: &str) -> Self {
        Self {
            prefix: format!("/{}", name.trim_matches('/')),
            archives: Vec::new(),
            subdirs: ["linux-64", "noarch"].map(str::to_owned).into(),
            patches: Vec::new(),
            without_file: BTreeSet::new(),
            unlisted: BTreeSet::new(),
            without_zst: false,
            without_shards: false,
        }
    }

    /// Adds a package.
    #[must_use]
    #[allow(clippy::should_implement_trait, reason = "it adds to a list, as a builder does")]
    pub fn add(mut self, package: impl Into<Archive>) -> Self {
        let archive = package.into();
        self.subdirs.insert(archive.subdir.clone());
        self.archives.push(archive);
        self
    }

    /// Changes a field of a package's record in the index only, as the patches of conda-forge's index do. `Value::Null` takes
    /// it away.
    #[must_use]
    pub fn patch(mut self, file_name: &str, field: &str, value: impl Into<Value>) -> Self {
        self.known(file_name);
        self.patches.push((file_name.to_owned(), field.to_owned(), value.into()));
        self
    }

    /// A package that the index lists and that cannot be fetched.
    #[must_use]
    pub fn vanish(mut self, file_name: &str) -> Self {
        self.known(file_name);
        self.without_file.insert(file_name.to_owned());
        self
    }

    /// A package that the index says is removed, and that can still be fetched by those who know it: what conda-forge does
    /// with broken ones.
    #[must_use]
    pub fn yank(mut self, file_name: &str) -> Self {
        self.known(file_name);
        self.unlisted.insert(file_name.to_owned());
        self
    }

    /// A package that was here once: the index says so, and its file is gone.
    #[must_use]
    pub fn remove(self, file_name: &str) -> Self {
        self.yank(file_name).vanish(file_name)
    }

    /// Leaves `repodata.json.zst` out.
    #[must_use]
    pub fn without_zst(mut self) -> Self {
        self.without_zst = true;
        self
    }

    /// Leaves the sharded index out.
    #[must_use]
    pub fn without_shards(mut self) -> Self {
        self.without_shards = true;
        self
    }

    /// Its packages.
    pub fn archives(&self) -> &[Archive] {
        &self.archives
    }

    /// The path of a package's file at the server that serves the channel.
    pub fn path_of(&self, file_name: &str) -> String {
        let archive = self.known(file_name);
        format!("{}/{}/{}", self.prefix, archive.subdir, archive.file_name)
    }

    /// Adds packages and index to what a server offers, at the channel's name.
    #[must_use]
    pub fn serve(&self, mut tree: FileTree) -> FileTree {
        for (path, bytes) in self.files() {
            tree = tree.with(&format!("{}/{path}", self.prefix), bytes);
        }
        tree
    }

    /// Adds the pages of an OCI registry that has the channel at its name. Clients want `https` for it.
    #[must_use]
    pub fn serve_oci(&self, tree: FileTree) -> FileTree {
        crate::oci::serve(tree, self.prefix.trim_matches('/'), &self.files())
    }

    /// Writes packages and index into `folder`, which then is a channel.
    pub fn write_to(&self, folder: &Path) -> io::Result<()> {
        for (path, bytes) in self.files() {
            let path = folder.join(path);
            if let Some(parent) = path.parent() {
                fs_err::create_dir_all(parent)?;
            }
            fs_err::write(path, bytes)?;
        }
        Ok(())
    }

    /// All files of the channel, by their paths in it.
    pub fn files(&self) -> BTreeMap<String, Vec<u8>> {
        let mut files = BTreeMap::new();
        for subdir in &self.subdirs {
            let index = self.index(subdir);
            let repodata = index.json(subdir);
            if !self.without_zst {
                files.insert(format!("{subdir}/repodata.json.zst"), zstd(&repodata));
            }
            files.insert(format!("{subdir}/repodata.json"), repodata);
            if !self.without_shards {
                let shards = index.shards(subdir).into_iter();
                files.extend(shards.map(|(path, bytes)| (format!("{subdir}/{path}"), bytes)));
            }
        }
        for archive in &self.archives {
            if !self.without_file.contains(&archive.file_name) {
                files.insert(format!("{}/{}", archive.subdir, archive.file_name), archive.bytes.clone());
            }
        }
        files
    }

    fn index(&self, subdir: &str) -> Index<'_> {
        let mut index = Index::default();
        for archive in self.archives.iter().filter(|archive| archive.subdir == subdir) {
            if self.unlisted.contains(&archive.file_name) {
                index.removed.push(&archive.file_name);
                continue;
            }
            let mut record = archive.record.clone();
            for (_, field, value) in self.patches.iter().filter(|(file, _, _)| *file == archive.file_name) {
                match value {
                    Value::Null => record.remove(field),
                    value => record.insert(field.clone(), value.clone()),
                };
            }
            index.records.insert(&archive.file_name, Record(record));
        }
        index.removed.sort_unstable();
        index
    }

    #[track_caller]
    fn known(&self, file_name: &str) -> &Archive {
        self.archives
            .iter()
            .find(|archive| archive.file_name == file_name)
            .unwrap_or_else(|| panic!("the channel has no {file_name}"))
    }
}
