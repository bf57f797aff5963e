//! A copy of a server's folder while it runs, and a folder made of such a copy.
//!
//! What names other things is copied first, and what is named last: users and builds, then the catalogues, then the stores. So
//! all that the copy names is in the copy, whatever is registered and built meanwhile. Blobs never change, and what a
//! collection takes away meanwhile nobody needs.

use std::collections::BTreeSet;
use std::io;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};

use provenv_workspace::Config;
use serde::{Deserialize, Serialize};
use sqlx::ConnectOptions as _;
use sqlx::Connection as _;
use sqlx::sqlite::SqliteConnectOptions;
use walkdir::WalkDir;

use crate::dump::{self, Dump, DumpError};

/// Says that a folder is a whole copy: written last.
const MANIFEST: &str = "backup.json";
/// The form of a copy: an older Provenv would make a server without its database of the second.
const FORMAT: u32 = 2;
/// The form of one without a database of PostgreSQL.
const WITHOUT_DUMP: u32 = 1;
/// The file with the keys of secrets, whose lines are those of before and after.
const SECRETS_KEY: &str = "secrets.key";
/// What of a store is made again, or is of processes that run.
const LEFT: [&str; 7] = ["tmp", "locks", "cache", "uploads", "quarantine", "trees", "holds"];

/// How a copy is made.
#[derive(Clone, Debug)]
pub struct BackupOptions {
    /// The server's folder.
    pub root: PathBuf,
    /// The folder of the copy, which must not be there.
    pub to: PathBuf,
    /// Link blobs instead of copying them, where both are on one file system.
    pub link: bool,
    /// Leave databases in PostgreSQL to its own tools.
    pub files_only: bool,
}

/// A copy of a server.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Backup {
    /// The form.
    pub format: u32,
    /// The version of Provenv that made it.
    pub provenv: String,
    /// When it was begun: what was there then is in it.
    pub begun_at: jiff::Timestamp,
    /// The databases in it.
    pub databases: Vec<PathBuf>,
    /// How many files it has.
    pub files: u64,
    /// How many bytes.
    pub bytes: u64,
    /// How many of the files are links.
    pub linked: u64,
    /// Whether databases are in PostgreSQL, and not in it.
    pub databases_elsewhere: bool,
    /// What is in it of PostgreSQL.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub postgres: Option<Dump>,
}

/// Why there is no copy, or nothing was made of one.
#[derive(Debug, thiserror::Error)]
pub enum BackupError {
    /// Not a server's folder.
    #[error("`{}` is not the folder of a server", .0.display())]
    NoServer(PathBuf),
    /// Something is there already.
    #[error("`{}` is there already, and is not empty", .0.display())]
    Taken(PathBuf),
    /// A copy that would be in what is copied.
    #[error("`{}` is in the folder of the server itself", .0.display())]
    Within(PathBuf),
    /// Not a copy.
    #[error("`{}` is not a whole back-up: it has no {MANIFEST} that can be read", .root.display())]
    NoBackup {
        /// The folder.
        root: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// A copy of a newer Provenv.
    #[error("`{}` was made by a newer provenv ({provenv})", .root.display())]
    Newer {
        /// The folder.
        root: PathBuf,
        /// Which.
        provenv: String,
    },
    /// A database in PostgreSQL.
    #[error(transparent)]
    Postgres(#[from] DumpError),
    /// A database.
    #[error("the database {} could not be copied", file.display())]
    Database {
        /// Its file.
        file: PathBuf,
        /// Why.
        source: sqlx::Error,
    },
    /// A database whose copy is not sound.
    #[error("the database {} is damaged: {what}", file.display())]
    Damaged {
        /// Its file.
        file: PathBuf,
        /// What SQLite says.
        what: String,
    },
    /// A file.
    #[error("{what}")]
    Io {
        /// What was being done.
        what: String,
        /// Why.
        source: io::Error,
    },
    /// The settings.
    #[error(transparent)]
    Settings(#[from] provenv_workspace::ConfigError),
}

impl BackupError {
    /// What the user can do about it.
    pub fn hint(&self) -> Option<String> {
        match self {
            Self::NoServer(_) => Some("name the folder that `provenv serve --root` was given".to_owned()),
            Self::Within(_) => Some("name a folder elsewhere, best on another disk".to_owned()),
            Self::Taken(_) => Some("name a folder that is not there yet".to_owned()),
            Self::NoBackup { .. } => Some(
                "name a folder that `provenv server backup` made; one that it was stopped at is none"
                    .to_owned(),
            ),
            Self::Newer { .. } => Some("use the newer provenv for it".to_owned()),
            Self::Postgres(error) => error.hint(),
            Self::Damaged { .. } => Some("bring the database from an older back-up".to_owned()),
            Self::Database { .. } | Self::Io { .. } | Self::Settings(_) => None,
        }
    }
}

type Result<T, E = BackupError> = std::result::Result<T, E>;

fn doing<T>(result: io::Result<T>, what: &str) -> Result<T> {
    result.map_err(|source| BackupError::Io { what: what.to_owned(), source })
}

/// Copies a server's folder while the server runs, or does not.
pub async fn backup(options: &BackupOptions) -> Result<Backup> {
    let root =
        fs_err::canonicalize(&options.root).map_err(|_| BackupError::NoServer(options.root.clone()))?;
    let config = Config::load()?;
    let is_elsewhere = config.server.database.is_some() || config.catalogue.url.is_some();
    let has_own = root.join("server.db").is_file();
    if !root.join("workspaces").is_dir() || (!is_elsewhere && !has_own) {
        return Err(BackupError::NoServer(options.root.clone()));
    }
    if !is_free(&options.to) {
        return Err(BackupError::Taken(options.to.clone()));
    }
    let to = doing(std::path::absolute(&options.to), "could not make a folder for the copy")?;
    let parent = to.ancestors().skip(1).find_map(|folder| fs_err::canonicalize(folder).ok());
    if parent.is_some_and(|parent| parent.starts_with(&root)) {
        return Err(BackupError::Within(options.to.clone()));
    }
    let begun_at = jiff::Timestamp::now();
    let stage = stage(&options.to)?;
    let mut copying = Copying {
        from: &root,
        to: stage.path(),
        link: options.link,
        apart: true,
        done: BTreeSet::new(),
        files: 0,
        bytes: 0,
        linked: 0,
    };
    // What was signed must be in the log that is copied, which only grows.
    copying.file(Path::new("audit.checkpoint"))?;
    let keys_before = copying.keys()?;
    let mut databases = Vec::new();
    if has_own {
        copying.database(Path::new("server.db")).await?;
        databases.push(PathBuf::from("server.db"));
    }
    let mut postgres = None;
    if is_elsewhere && !options.files_only {
        let folders = copying.workspaces()?;
        let folders: Vec<String> =
            folders.into_iter().map(|name| name.to_string_lossy().into_owned()).collect();
        let file = stage.path().join(dump::FILE);
        postgres = Some(dump::dump(&config, &folders, &file).await?);
        let bytes = doing(fs_err::metadata(&file), "could not read the copy")?.len();
        copying.count(Path::new(dump::FILE), bytes);
    }
    if !is_elsewhere {
        for name in copying.workspaces()? {
            let file = Path::new("workspaces").join(name).join("catalogue.db");
            if root.join(&file).is_file() {
                copying.database(&file).await?;
                databases.push(file);
            }
        }
    }
    copying.write_keys(&keys_before)?;
    copying.rest()?;
    let Copying { files, bytes, linked, .. } = copying;
    let backup = Backup {
        format: if postgres.is_some() { FORMAT } else { WITHOUT_DUMP },
        provenv: env!("CARGO_PKG_VERSION").to_owned(),
        begun_at,
        databases,
        files,
        bytes,
        linked,
        databases_elsewhere: is_elsewhere && postgres.is_none(),
        postgres,
    };
    let text = doing(
        serde_json::to_vec_pretty(&backup).map_err(io::Error::other),
        "could not say what is in the copy",
    )?;
    doing(fs_err::write(stage.path().join(MANIFEST), text), "could not write the copy")?;
    stage.put(&options.to)?;
    Ok(backup)
}

/// Makes a server's folder of a copy. `root` must not be there, or be empty; a database of PostgreSQL goes into the one that the
/// settings name, which must be empty, too.
pub async fn restore(from: &Path, root: &Path) -> Result<Backup> {
    let no_backup = |source| BackupError::NoBackup { root: from.to_owned(), source };
    let text = fs_err::read(from.join(MANIFEST)).map_err(no_backup)?;
    let backup: Backup = serde_json::from_slice(&text).map_err(|error| no_backup(error.into()))?;
    if backup.format > FORMAT {
        return Err(BackupError::Newer { root: from.to_owned(), provenv: backup.provenv });
    }
    if !is_free(root) {
        return Err(BackupError::Taken(root.to_owned()));
    }
    let stage = stage(root)?;
    let from = doing(fs_err::canonicalize(from), "could not read the back-up")?;
    let mut copying = Copying {
        from: &from,
        to: stage.path(),
        // The copy stays as it is, whatever becomes of the folder.
        link: false,
        apart: false,
        done: BTreeSet::from([PathBuf::from(MANIFEST), PathBuf::from(dump::FILE)]),
        files: 0,
        bytes: 0,
        linked: 0,
    };
    copying.rest()?;
    let found = copying.files + u64::from(backup.postgres.is_some());
    if found != backup.files {
        let files = backup.files;
        let source = io::Error::other(format!("it has {found} files, and had {files}"));
        return Err(no_backup(source));
    }
    if let Some(dumped) = &backup.postgres {
        // Last of what may go wrong: it is all in place, or nothing of it.
        dump::restore(&Config::load()?, dumped, &from.join(dump::FILE)).await?;
    }
    stage.put(root)?;
    Ok(backup)
}

/// Whether nothing is there, or an empty folder.
fn is_free(path: &Path) -> bool {
    match fs_err::read_dir(path) {
        Ok(mut entries) => entries.next().is_none(),
        Err(error) => error.kind() == io::ErrorKind::NotFound,
    }
}

/// A folder beside the one that is to be, for its owner alone; gone unless it is put there.
struct Stage {
    path: PathBuf,
    is_put: bool,
}

fn stage(beside: &Path) -> Result<Stage> {
    let what = "could not make a folder for the copy";
    let beside = doing(std::path::absolute(beside), what)?;
    let name = beside.file_name().map(|name| name.to_string_lossy().into_owned()).unwrap_or_default();
    let path = beside.with_file_name(format!(".{name}.{}", std::process::id()));
    if let Some(parent) = path.parent() {
        doing(fs_err::create_dir_all(parent), what)?;
    }
    doing(fs_err::create_dir(&path), what)?;
    let stage = Stage { path, is_put: false };
    doing(fs_err::set_permissions(&stage.path, PermissionsExt::from_mode(0o700)), what)?;
    Ok(stage)
}

impl Stage {
    fn path(&self) -> &Path {
        &self.path
    }

    /// Once all of it is on disk.
    fn put(mut self, to: &Path) -> Result<()> {
        let what = "could not put the copy in its place";
        let folder = doing(fs_err::File::open(&self.path), what)?;
        doing(nix::unistd::syncfs(&folder).map_err(Into::into), what)?;
        if to.is_dir() {
            doing(fs_err::remove_dir(to), what)?;
        }
        doing(fs_err::rename(&self.path, to), what)?;
        self.is_put = true;
        // So that the name, too, outlives a power cut.
        doing(nix::unistd::syncfs(&folder).map_err(Into::into), what)
    }
}

impl Drop for Stage {
    fn drop(&mut self) {
        if !self.is_put {
            // What cannot be removed is seen by its name.
            let _ = fs_err::remove_dir_all(&self.path);
        }
    }
}

/// A copy that is being made.
struct Copying<'a> {
    from: &'a Path,
    to: &'a Path,
    link: bool,
    /// Whether databases are copied in their own way, and not with the other files.
    apart: bool,
    /// What is there already.
    done: BTreeSet<PathBuf>,
    files: u64,
    bytes: u64,
    linked: u64,
}

impl Copying<'_> {
    /// The names of the workspaces' folders.
    fn workspaces(&self) -> Result<Vec<std::ffi::OsString>> {
        let what = "could not list the workspaces";
        let entries = doing(fs_err::read_dir(self.from.join("workspaces")), what)?;
        let mut names = Vec::new();
        for entry in entries {
            names.push(doing(entry, what)?.file_name());
        }
        names.sort();
        Ok(names)
    }

    /// A database, as it is at one moment, while others write.
    async fn database(&mut self, file: &Path) -> Result<()> {
        let (from, to) = (self.from.join(file), self.to.join(file));
        let failed = |source| BackupError::Database { file: from.clone(), source };
        self.folder_of(file)?;
        let options =
            SqliteConnectOptions::new().filename(&from).busy_timeout(std::time::Duration::from_mins(1));
        let mut connection = options.connect().await.map_err(failed)?;
        let text = to.to_string_lossy().into_owned();
        sqlx::query("VACUUM INTO $1").bind(text).execute(&mut connection).await.map_err(failed)?;
        connection.close().await.map_err(failed)?;
        let mut copy =
            SqliteConnectOptions::new().filename(&to).read_only(true).connect().await.map_err(failed)?;
        let said: Vec<(String,)> =
            sqlx::query_as("PRAGMA quick_check").fetch_all(&mut copy).await.map_err(failed)?;
        copy.close().await.map_err(failed)?;
        if said.iter().any(|(said,)| said != "ok") {
            let what = said.into_iter().map(|(said,)| said).collect::<Vec<_>>().join(", ");
            return Err(BackupError::Damaged { file: from, what });
        }
        self.count(file, doing(fs_err::metadata(&to), "could not read the copy")?.len());
        Ok(())
    }

    fn count(&mut self, file: &Path, bytes: u64) {
        self.done.insert(file.to_owned());
        self.files += 1;
        self.bytes += bytes;
    }

    fn folder_of(&self, file: &Path) -> Result<()> {
        match self.to.join(file).parent() {
            Some(folder) => doing(fs_err::create_dir_all(folder), "could not make a folder of the copy"),
            None => Ok(()),
        }
    }

    /// One file, if it is there: what went away meanwhile nobody needs.
    fn file(&mut self, file: &Path) -> Result<()> {
        let (from, to) = (self.from.join(file), self.to.join(file));
        self.folder_of(file)?;
        let mut parts = file.components().map(|part| part.as_os_str());
        let never_changes = parts.nth(2).is_some_and(|part| part == "store")
            && parts.next().is_some_and(|part| part == "blobs" || part == "records");
        if self.link && never_changes {
            match fs_err::hard_link(&from, &to) {
                Ok(()) => {
                    let bytes = doing(fs_err::metadata(&to), "could not read the copy")?.len();
                    self.linked += 1;
                    self.count(file, bytes);
                    return Ok(());
                }
                // Another file system, or one without links.
                Err(error) if error.kind() != io::ErrorKind::NotFound => {}
                Err(_) => return Ok(()),
            }
        }
        match fs_err::copy(&from, &to) {
            Ok(bytes) => {
                self.count(file, bytes);
                Ok(())
            }
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
            Err(error) => doing(Err(error), "could not copy a file"),
        }
    }

    /// The keys of secrets that are there now.
    fn keys(&self) -> Result<Vec<String>> {
        match fs_err::read_to_string(self.from.join(SECRETS_KEY)) {
            Ok(text) => Ok(text.lines().map(str::to_owned).collect()),
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(Vec::new()),
            Err(error) => doing(Err(error), "could not read the keys of the secrets"),
        }
    }

    /// Those of now and of before: secrets may have been sealed anew between, before or after they were copied.
    fn write_keys(&mut self, before: &[String]) -> Result<()> {
        let mut keys = self.keys()?;
        keys.extend(before.iter().cloned());
        let mut seen = BTreeSet::new();
        keys.retain(|key| seen.insert(key.clone()));
        if keys.is_empty() {
            return Ok(());
        }
        let what = "could not write the keys of the secrets";
        let text: String = keys.into_iter().map(|key| key + "\n").collect();
        let to = self.to.join(SECRETS_KEY);
        doing(fs_err::write(&to, &text), what)?;
        doing(fs_err::set_permissions(&to, PermissionsExt::from_mode(0o600)), what)?;
        self.count(Path::new(SECRETS_KEY), text.len() as u64);
        Ok(())
    }

    /// Everything else that is to be kept.
    fn rest(&mut self) -> Result<()> {
        let from = self.from;
        let walk = WalkDir::new(from).min_depth(1).sort_by_file_name().into_iter();
        for entry in
            walk.filter_entry(|entry| is_kept(entry.path().strip_prefix(from).unwrap_or(entry.path())))
        {
            let entry = match entry {
                Ok(entry) => entry,
                Err(error)
                    if error.io_error().is_some_and(|error| error.kind() == io::ErrorKind::NotFound) =>
                {
                    continue;
                }
                Err(error) => return doing(Err(error.into()), "could not read a folder"),
            };
            let file = entry.path().strip_prefix(from).unwrap_or(entry.path()).to_owned();
            if entry.file_type().is_dir() {
                doing(fs_err::create_dir_all(self.to.join(&file)), "could not make a folder of the copy")?;
            } else if entry.file_type().is_file()
                && !self.done.contains(&file)
                && !(self.apart && is_of_database(&file))
            {
                self.file(&file)?;
            }
        }
        Ok(())
    }
}

/// What is not made again, and not of a process that runs.
fn is_kept(file: &Path) -> bool {
    let parts: Vec<&str> = file.components().filter_map(|part| part.as_os_str().to_str()).collect();
    match parts[..] {
        ["workspaces", _, "store", part, ..] => !LEFT.contains(&part),
        [name] => !Path::new(name).extension().is_some_and(|ending| ending == "new"),
        _ => true,
    }
}

/// A database, which is copied in its own way, and what stands beside it while it is open. Those of a workspace that was
/// made meanwhile are in no copy: nobody who is in it knows of the workspace.
fn is_of_database(file: &Path) -> bool {
    let name = file.file_name().and_then(|name| name.to_str()).unwrap_or_default();
    let name =
        ["-wal", "-shm", "-journal"].iter().find_map(|ending| name.strip_suffix(ending)).unwrap_or(name);
    match file.components().count() {
        1 => name == "server.db",
        3 => name == "catalogue.db",
        _ => false,
    }
}
