//! The audit log of a server, brought here to be shown and checked.

use provenv_ledger::{Checkpoint, Hash, Logged, Tile};
use reqwest::RequestBuilder;
use serde::Deserialize;

use super::{PART, Remote, RemoteError};
use crate::audit_log::{AuditLog, AuditLogEntry};
use crate::{Error, Result};

/// Which entries are shown.
#[derive(Clone, Debug, Default)]
pub struct AuditLogFilter {
    /// Only what this user did.
    pub by: Option<String>,
    /// Only this.
    pub action: Option<String>,
    /// Those of all workspaces and of the server itself.
    pub all: bool,
    /// At most so many.
    pub limit: u32,
}

#[derive(Deserialize)]
struct Page<T> {
    entries: Vec<T>,
    next: Option<u64>,
}

#[derive(Deserialize)]
struct Entry {
    number: u64,
    workspace: Option<String>,
    text: String,
}

impl Remote {
    /// Entries of the audit log, the newest first.
    pub async fn audit_entries(&self, filter: &AuditLogFilter) -> Result<Vec<AuditLogEntry>> {
        let mut entries: Vec<AuditLogEntry> = Vec::new();
        let mut before = None;
        loop {
            let left = filter.limit.saturating_sub(u32::try_from(entries.len()).unwrap_or(u32::MAX));
            if left == 0 {
                return Ok(entries);
            }
            let mut query = vec![("limit", left.min(PART).to_string())];
            query.extend(filter.by.clone().map(|by| ("by", by)));
            query.extend(filter.action.clone().map(|action| ("action", action)));
            let page: Page<AuditLogEntry> = self.audit_page(filter.all, query, before).await?;
            entries.extend(page.entries);
            before = page.next;
            if before.is_none() {
                return Ok(entries);
            }
        }
    }

    /// The key that the server says it signs its audit log with.
    pub async fn audit_key(&self) -> Result<String> {
        Ok(self.audit_text("key").await?.trim().to_owned())
    }

    /// What its audit log is now, signed.
    pub async fn audit_checkpoint(&self) -> Result<String> {
        self.audit_text("checkpoint").await
    }

    /// Its audit log: all of it for owners of the server, else the hashes of all entries and those of this workspace.
    pub async fn audit_log(&self) -> Result<AuditLog> {
        let key = self.audit_key().await?;
        let (checkpoint, refused) = match self.audit_checkpoint().await {
            Ok(note) => (note, None),
            // The entries can be looked at all the same, which is what is wanted now.
            Err(error) => match refusal(&error) {
                Some((500, "audit-log-damaged", detail)) => (String::new(), Some(detail.to_owned())),
                _ => return Err(error),
            },
        };
        let (is_all, size) = match self.newest().await? {
            (is_all, newest) if refused.is_some() => (is_all, newest),
            // As it was signed: entries that are added meanwhile are not in it.
            (is_all, _) => (is_all, size_of(&checkpoint).ok_or_else(|| self.no_checkpoint())?),
        };
        let mut leaves = Vec::new();
        for tile in Tile::leaves(size) {
            match self.tile(tile).await? {
                Some(hashes) => leaves.extend(hashes),
                None => break,
            }
        }
        let mut entries = Vec::new();
        let mut before = Some(size);
        while before.is_some() {
            let query = vec![("limit", PART.to_string())];
            let page: Page<Entry> = self.audit_page(is_all, query, before).await?;
            let logged =
                |entry: Entry| Logged { number: entry.number, workspace: entry.workspace, text: entry.text };
            entries.extend(page.entries.into_iter().map(logged));
            before = page.next;
        }
        entries.reverse();
        Ok(AuditLog { key, checkpoint, refused, is_all, leaves, entries })
    }

    /// Whether all entries may be read, and how many there seem to be.
    async fn newest(&self) -> Result<(bool, u64)> {
        let one = || vec![("limit", "1".to_owned())];
        let count = |page: Page<Entry>| page.entries.first().map_or(0, |entry| entry.number + 1);
        match self.audit_page(true, one(), None).await {
            Ok(page) => Ok((true, count(page))),
            Err(error) => match refusal(&error) {
                Some((403, ..)) => Ok((false, count(self.audit_page(false, one(), None).await?))),
                _ => Err(error),
            },
        }
    }

    async fn audit_page<T: serde::de::DeserializeOwned>(
        &self,
        all: bool,
        mut query: Vec<(&str, String)>,
        before: Option<u64>,
    ) -> Result<Page<T>> {
        query.extend(before.map(|before| ("before", before.to_string())));
        let request = if all {
            self.audit_request("entries")?.query(&query)
        } else {
            let query: Vec<(&str, &str)> = query.iter().map(|(name, value)| (*name, &**value)).collect();
            self.asking(&["audit"], &query)
        };
        self.json(request).await
    }

    /// A tile's hashes; none where the server has no such tile.
    async fn tile(&self, tile: Tile) -> Result<Option<Vec<Hash>>> {
        let response = match self.send(self.audit_request(&format!("tile/{tile}"))?).await {
            Ok(response) => response,
            Err(error) if refusal(&error).is_some_and(|(status, ..)| status == 404) => return Ok(None),
            Err(error) => return Err(error),
        };
        let url = response.url().to_string();
        let bytes = response.bytes().await.map_err(|error| self.broken(error))?;
        let (hashes, rest) = bytes.as_chunks::<32>();
        if !rest.is_empty() || hashes.len() != usize::from(tile.width) {
            return Err(RemoteError::Answer { url, what: "a tile of another size".to_owned() }.into());
        }
        Ok(Some(hashes.iter().map(|bytes| Hash::from_bytes(*bytes)).collect()))
    }

    async fn audit_text(&self, part: &str) -> Result<String> {
        let response = self.send(self.audit_request(part)?).await?;
        response.text().await.map_err(|error| self.broken(error))
    }

    fn audit_request(&self, part: &str) -> Result<RequestBuilder> {
        let url = self.server.join(&format!("audit/{part}"));
        let url = url.map_err(|_| RemoteError::Url(self.server.to_string()))?;
        Ok(self.client.get(url).bearer_auth(&self.token))
    }

    fn no_checkpoint(&self) -> Error {
        let url = format!("{}audit/checkpoint", self.server);
        RemoteError::Answer { url, what: "no checkpoint".to_owned() }.into()
    }
}

/// What a server says no with: status, code, and what is wrong.
fn refusal(error: &Error) -> Option<(u16, &str, &str)> {
    let Error::Remote(error) = error else { return None };
    match &**error {
        RemoteError::Problem { status, code, detail, .. } => Some((*status, code, detail)),
        _ => None,
    }
}

/// The size that a checkpoint has; whether it is signed is asked later.
fn size_of(note: &str) -> Option<u64> {
    let checkpoint: Checkpoint = note.split_once("\n\n")?.0.parse().ok()?;
    Some(checkpoint.size)
}
