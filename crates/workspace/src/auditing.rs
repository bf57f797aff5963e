//! Audits: known vulnerabilities of what is in images, found and kept.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

use provenv_definition::{Digest, Platform, SafeUrl};
use provenv_image::audit::{Database, Doubt, Ecosystem, Finding, Inventory, Unasked};
use provenv_image::sbom::{Bill, Kind};
use serde::{Deserialize, Serialize};
use url::Url;

use crate::error::IoContext;
use crate::{Error, Result, Workspace, identifier};

/// Where OSV publishes its exports.
const PUBLIC: &str = "https://osv-vulnerabilities.storage.googleapis.com/";

/// Why a package is not certain of which nothing is known but its name.
const UNREAD: &str = "never read here: sources and contents are not known, until `provenv build --force` makes the image again";

/// How images are audited.
#[derive(Clone, Debug, Default)]
pub struct AuditOptions {
    /// A folder, a file or a URL; the settings' or OSV's own otherwise.
    pub database: Option<String>,
    /// Names of vulnerabilities that do not count.
    pub ignore: Vec<String>,
    /// Whether Python packages are checked.
    pub pypi: bool,
    /// Whether Debian packages are checked.
    pub debian: bool,
}

/// What an audit of an image found.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct AuditReport {
    /// Its identifier.
    pub id: String,
    /// The image.
    pub image: Digest,
    /// What it runs on.
    pub platform: Platform,
    /// The lock that says what is in it.
    pub lock: Digest,
    /// The registered environments it is the image of.
    pub environments: Vec<String>,
    /// When.
    pub audited_at: jiff::Timestamp,
    /// Where the database is.
    pub database: String,
    /// When the newest record of the database was changed.
    pub database_newest: Option<String>,
    /// How many records were read.
    pub database_records: u64,
    /// How many packages were looked for.
    pub packages: usize,
    /// What was found, the worst first.
    pub findings: Vec<Finding>,
    /// What was found and does not count.
    pub ignored: Vec<Finding>,
    /// What could not be looked for.
    pub unchecked: Vec<Unchecked>,
}

/// A package that no database could be asked for.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Unchecked {
    /// Of which ecosystem.
    pub ecosystem: String,
    /// Its name.
    pub name: String,
    /// Its version.
    pub version: String,
    /// Why.
    pub why: String,
    /// Something may be wrong with it that was not found: nothing is known of it but its name, or a record cannot be held against its
    /// version.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub uncertain: bool,
}

impl AuditReport {
    /// Whether nothing may be wrong with the image that an audit should have found.
    pub fn is_complete(&self) -> bool {
        !self.unchecked.iter().any(|one| one.uncertain)
    }
}

/// An audit in a list.
#[derive(Clone, Debug, Serialize)]
pub struct AuditSummary {
    /// Its identifier.
    pub id: String,
    /// When.
    pub audited_at: jiff::Timestamp,
    /// Where the database is.
    pub database: String,
    /// When the newest record of the database was changed.
    pub database_newest: Option<String>,
    /// How many were found.
    pub findings: usize,
    /// How many of them are fixed in some version.
    pub fixable: usize,
    /// How many do not count.
    pub ignored: usize,
}

impl Workspace {
    /// Audits the image of an environment or a file, or with a digest, or every image ever made here. What is found is kept.
    pub async fn audit(
        &self,
        reference: Option<&str>,
        folder: &Path,
        options: &AuditOptions,
    ) -> Result<Vec<AuditReport>> {
        let all = match reference {
            Some(reference) => vec![self.made(reference, folder).await?],
            None => self.all_made().await?,
        };
        let mut inventories = Vec::new();
        for made in &all {
            inventories.push(inventory(&self.bill(made)?, options));
        }
        let wanted = inventories.iter().flat_map(Inventory::ecosystems).collect();
        let source = self.source(options, folder)?;
        let files = self.files(&source, &wanted).await?;
        let (database, inventories) = tokio::task::spawn_blocking(move || {
            Database::read(&files, &inventories).map(|database| (database, inventories))
        })
        .await??;
        let mut reports = Vec::new();
        for (made, inventory) in all.iter().zip(&inventories) {
            let is_ignored = |finding: &Finding| options.ignore.iter().any(|id| finding.is_called(id));
            let found = database.findings(inventory);
            let mut unchecked = unchecked(inventory);
            let doubts = database.doubts(inventory, &found);
            let counts = |doubt: &Doubt| !options.ignore.iter().any(|id| doubt.is_called(id));
            unchecked.extend(doubts.into_iter().filter(counts).map(doubtful));
            let (ignored, findings) = found.into_iter().partition(is_ignored);
            let report = AuditReport {
                id: identifier("audit"),
                image: made.origin.image,
                platform: made.origin.platform,
                lock: made.origin.lock,
                environments: self.names_of_lock(&made.origin.lock).await?,
                audited_at: jiff::Timestamp::now(),
                database: source.to_string(),
                database_newest: database.newest().map(str::to_owned),
                database_records: database.len(),
                packages: inventory.packages.len(),
                findings,
                ignored,
                unchecked,
            };
            self.catalogue.keep_audit(&report).await?;
            reports.push(report);
        }
        Ok(reports)
    }

    /// The last audit of an image.
    pub async fn last_audit(&self, reference: &str, folder: &Path) -> Result<AuditReport> {
        let made = self.made(reference, folder).await?;
        let reports = self.catalogue.audits(&made.origin.image).await?;
        reports.into_iter().next().ok_or_else(|| Error::NoAudit(reference.to_owned()))
    }

    /// Every audit of an image, newest first.
    pub async fn audits(&self, reference: &str, folder: &Path) -> Result<Vec<AuditSummary>> {
        let made = self.made(reference, folder).await?;
        let reports = self.catalogue.audits(&made.origin.image).await?;
        let summaries = reports.into_iter().map(|report| AuditSummary {
            findings: report.findings.len(),
            fixable: report.findings.iter().filter(|finding| !finding.fixed.is_empty()).count(),
            ignored: report.ignored.len(),
            id: report.id,
            audited_at: report.audited_at,
            database: report.database,
            database_newest: report.database_newest,
        });
        Ok(summaries.collect())
    }

    /// The database that is meant. A path counts from `folder`.
    fn source(&self, options: &AuditOptions, folder: &Path) -> Result<Source> {
        let text = options.database.as_deref().or(self.config.audit.database.as_deref()).unwrap_or(PUBLIC);
        if !text.contains("://") {
            let path = folder.join(text);
            fs_err::metadata(&path).doing(|| "could not read the database of vulnerabilities".to_owned())?;
            return Ok(Source::Path(path));
        }
        let url: Url = text.parse().map_err(|error| Error::Arguments {
            message: format!("the database's URL cannot be read: {error}"),
            hint: "give a folder, or the URL below which `PyPI/all.zip` is".to_owned(),
        })?;
        match url.to_file_path() {
            Ok(path) if url.scheme() == "file" => Ok(Source::Path(path)),
            _ => Ok(Source::Url(url)),
        }
    }

    /// The files of the database that have something of these ecosystems, on this machine.
    async fn files(&self, source: &Source, wanted: &BTreeSet<Ecosystem>) -> Result<Vec<PathBuf>> {
        let url = match source {
            Source::Path(path) if path.is_dir() => {
                // Where there is a folder for each ecosystem, the others need not be read.
                let own = wanted.iter().map(|ecosystem| {
                    folders(ecosystem).into_iter().map(|name| path.join(name)).find(|folder| folder.is_dir())
                });
                let own: Option<Vec<PathBuf>> = own.collect();
                return Ok(own.unwrap_or_else(|| vec![path.clone()]));
            }
            Source::Path(path) => return Ok(vec![path.clone()]),
            Source::Url(url) => url,
        };
        let fetcher = self.fetcher().await?;
        let ending = Path::new(url.path()).extension().and_then(|ending| ending.to_str());
        if matches!(ending, Some("zip" | "json")) {
            return Ok(vec![fetcher.document(url).await.map_err(not_fetched)?.path]);
        }
        let mut files = Vec::new();
        for ecosystem in wanted {
            let mut missing = None;
            for name in folders(ecosystem) {
                let mut export = url.clone();
                if let Ok(mut path) = export.path_segments_mut() {
                    path.pop_if_empty().push(&name).push("all.zip");
                }
                match fetcher.document(&export).await {
                    Ok(document) => {
                        files.push(document.path);
                        missing = None;
                        break;
                    }
                    Err(error @ provenv_fetch::Error::NotFound { .. }) => missing = missing.or(Some(error)),
                    Err(error) => return Err(not_fetched(error)),
                }
            }
            if let Some(error) = missing {
                return Err(not_fetched(error));
            }
        }
        files.dedup();
        Ok(files)
    }
}

fn not_fetched(error: provenv_fetch::Error) -> Error {
    Error::Vulnerabilities(Box::new(error))
}

/// Where a database is.
enum Source {
    Path(PathBuf),
    Url(Url),
}

impl std::fmt::Display for Source {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Path(path) => write!(f, "{}", path.display()),
            Self::Url(url) => write!(f, "{}", SafeUrl::new(url.clone())),
        }
    }
}

/// What an ecosystem's folder may be called in an export.
fn folders(ecosystem: &Ecosystem) -> Vec<String> {
    let name = ecosystem.to_string();
    let family = name.split(':').next().unwrap_or_default().to_owned();
    if family == name { vec![name] } else { vec![name, family] }
}

fn inventory(bill: &Bill, options: &AuditOptions) -> Inventory {
    let mut inventory = Inventory::of(bill);
    inventory.packages.retain(|package, _| match package.ecosystem {
        Ecosystem::Pypi => options.pypi,
        Ecosystem::Debian(_) => options.debian,
    });
    // What may be in them would not be looked for in any case.
    inventory.unchecked.retain(|one| match one.kind {
        Kind::Deb => options.debian || !one.unread,
        Kind::Conda | Kind::Pypi => options.pypi || !one.unread,
        _ => true,
    });
    inventory
}

fn doubtful(doubt: Doubt) -> Unchecked {
    let name = doubt.names.first().map(String::as_str).unwrap_or_default();
    Unchecked {
        why: format!("whether {name} is in it is not known: {}", doubt.why),
        // As that of other packages is written.
        ecosystem: if doubt.ecosystem == "PyPI" { "pypi" } else { "deb" }.to_owned(),
        name: doubt.package,
        version: doubt.version,
        uncertain: true,
    }
}

fn unchecked(inventory: &Inventory) -> Vec<Unchecked> {
    let unasked = inventory.unchecked.iter();
    let why = |one: &Unasked| match one.kind {
        Kind::Base if one.unread => ("base", UNREAD),
        Kind::Pypi if one.unread => ("pypi", UNREAD),
        Kind::Deb if one.unread => ("deb", UNREAD),
        _ if one.unread => ("conda", UNREAD),
        Kind::Npm => ("npm", "JavaScript in other packages is not checked"),
        Kind::Base => (
            "base",
            "only its system packages are known, and not what else lies in it or was installed by steps",
        ),
        Kind::Deb => ("deb", "of Debian's kind of packages only those of Debian itself are checked"),
        _ => ("conda", "OSV has no conda packages, and no Python distribution is known to be in it"),
    };
    unasked
        .map(|one| Unchecked {
            ecosystem: why(one).0.to_owned(),
            name: one.name.clone(),
            version: one.version.clone(),
            why: why(one).1.to_owned(),
            uncertain: one.unread,
        })
        .collect()
}
