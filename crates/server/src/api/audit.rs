//! The audit log. Its tree is for everybody who has a token: hashes tell nothing, for each entry has something random in it.
//! What entries say is for the readers of the workspace, and all of it for owners of the server.

use std::sync::Arc;

use axum::Json;
use axum::extract::State;
use axum::http::{HeaderMap, HeaderValue, header};
use axum::response::{IntoResponse as _, Response};
use provenv_ledger::{Entry, Hash, Node, Range, Tile};
use serde::{Deserialize, Serialize};
use utoipa::{IntoParams, ToSchema};

use super::sent::{Asked, At, Whole, limit, tagged};
use crate::audit::{damaged, over};
use crate::database::{Action, AuditFilter, AuditRow};
use crate::problem::{Problem, Result};
use crate::state::Server;

/// An entry of the audit log.
#[derive(Serialize, ToSchema)]
pub struct AuditEntry {
    /// Which, from 0.
    #[schema(example = 41)]
    number: u64,
    /// The hash that it has in the tree, in base64.
    #[schema(value_type = Option<String>)]
    hash: Option<Hash>,
    /// The workspace that it is filed under.
    workspace: Option<String>,
    /// The very text that was hashed.
    text: String,
    /// What it says; `null` where the text was changed so that it cannot be read.
    #[schema(value_type = Option<Object>)]
    entry: Option<Entry>,
}

/// A part of the audit log.
#[derive(Serialize, ToSchema)]
pub struct AuditEntries {
    /// The newest first.
    entries: Vec<AuditEntry>,
    /// What to give as `before` for the next part, if there may be one.
    next: Option<u64>,
}

/// Which entries are wanted.
#[derive(Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
#[serde(deny_unknown_fields)]
pub struct Filter {
    /// Only what this user did.
    by: Option<String>,
    /// Only this: one of the names that actions have.
    #[param(example = "environment.register")]
    action: Option<String>,
    /// The `next` of the part before.
    #[param(value_type = Option<u64>, maximum = 9_223_372_036_854_775_807_i64)]
    before: Option<Whole>,
    /// At most so many, 1 to 500; 50 if not said.
    #[param(minimum = 1, maximum = 500)]
    limit: Option<u32>,
}

/// Of which entry, in which log.
#[derive(Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
#[serde(deny_unknown_fields)]
pub struct Included {
    /// The entry.
    number: u64,
    /// How many entries the log has that it is to be in; all of now, if not said.
    size: Option<u64>,
}

/// Between which logs.
#[derive(Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
#[serde(deny_unknown_fields)]
pub struct Between {
    /// How many entries the earlier log had.
    from: u64,
    /// How many the later one has; all of now, if not said.
    to: Option<u64>,
}

/// A proof that an entry is in the log.
#[derive(Serialize, ToSchema)]
pub struct InclusionProof {
    /// The entry.
    number: u64,
    /// Its hash.
    #[schema(value_type = String)]
    hash: Hash,
    /// How many entries the log has.
    size: u64,
    /// The hash over all of them.
    #[schema(value_type = String)]
    root: Hash,
    /// The proof (RFC 6962, 2.1.1).
    #[schema(value_type = Vec<String>)]
    path: Vec<Hash>,
}

/// A proof that an earlier log is a beginning of a later one.
#[derive(Serialize, ToSchema)]
pub struct ConsistencyProof {
    /// How many entries the earlier one had.
    from: u64,
    /// The hash over these.
    #[schema(value_type = String)]
    from_root: Hash,
    /// How many the later one has.
    to: u64,
    /// The hash over all of them.
    #[schema(value_type = String)]
    to_root: Hash,
    /// The proof (RFC 6962, 2.1.2).
    #[schema(value_type = Vec<String>)]
    path: Vec<Hash>,
}

/// The key that checkpoints are checked with.
#[utoipa::path(get, path = "/audit/key", tag = "audit",
    extensions(("x-provenv-role" = json!("user"))),
    responses((status = 200, body = String, content_type = "text/plain"),
        (status = "4XX", body = Problem, content_type = "application/problem+json")))]
pub async fn key(State(server): State<Arc<Server>>) -> Response {
    text(format!("{}\n", server.ledger.key()))
}

/// What the log is now, signed (C2SP `tlog-checkpoint`).
#[utoipa::path(get, path = "/audit/checkpoint", tag = "audit",
    extensions(("x-provenv-role" = json!("user"))),
    responses((status = 200, body = String, content_type = "text/plain"),
        (status = 500, description = "The log was changed by other means", body = Problem,
            content_type = "application/problem+json"),
        (status = "4XX", body = Problem, content_type = "application/problem+json")))]
pub async fn checkpoint(State(server): State<Arc<Server>>) -> Result<Response> {
    server.settle_log().await?;
    let (_, note) = server.ledger.checkpoint(&server.database).await?;
    Ok(text(note))
}

/// Lists entries of all workspaces and of the server itself, the newest first.
#[utoipa::path(get, path = "/audit/entries", tag = "audit", params(Filter),
    extensions(("x-provenv-role" = json!("owner"))),
    responses((status = 200, body = AuditEntries),
        (status = "4XX", body = Problem, content_type = "application/problem+json")))]
pub async fn entries(
    State(server): State<Arc<Server>>,
    Asked(filter): Asked<Filter>,
) -> Result<Json<AuditEntries>> {
    list(&server, None, filter).await
}

/// Lists entries of a workspace, the newest first.
#[utoipa::path(get, path = "/api/v1/workspaces/{workspace}/audit", tag = "audit",
    params(("workspace" = String, Path), Filter),
    extensions(("x-provenv-role" = json!("reader"))),
    responses((status = 200, body = AuditEntries),
        (status = "4XX", body = Problem, content_type = "application/problem+json")))]
pub async fn of_workspace(
    State(server): State<Arc<Server>>,
    At(workspace): At<String>,
    Asked(filter): Asked<Filter>,
) -> Result<Json<AuditEntries>> {
    server.workspace(&workspace).await?;
    list(&server, Some(workspace), filter).await
}

async fn list(server: &Server, workspace: Option<String>, filter: Filter) -> Result<Json<AuditEntries>> {
    let limit = limit(filter.limit)?;
    server.settle_log().await?;
    let before = filter.before.map(|before| before.0);
    let names = || Action::ALL.iter().map(|action| action.as_str());
    if let Some(action) = filter.action.as_deref().filter(|action| !names().any(|name| name == *action)) {
        return Err(Problem::bad(
            "parameter-invalid",
            format!("there is no action `{action}` in the audit log"),
        )
        .hint(format!("there are {}", names().collect::<Vec<_>>().join(", "))));
    }
    let filter = AuditFilter { workspace, by: filter.by, action: filter.action, before };
    let rows = server.database.audit_entries(&filter, limit).await?;
    let nodes: Vec<Node> = rows.iter().rev().map(|row| Node { level: 0, place: row.number }).collect();
    let hashes = server.database.audit_nodes(&nodes).await?;
    let next = (rows.len() == limit as usize).then(|| rows.last().map(|row| row.number)).flatten();
    let entries = rows.into_iter().map(|AuditRow { number, workspace, text }| AuditEntry {
        number,
        hash: hashes.get(&Node { level: 0, place: number }).copied(),
        workspace,
        entry: serde_json::from_str(&text).ok(),
        text,
    });
    Ok(Json(AuditEntries { entries: entries.collect(), next }))
}

/// Proves that an entry is in the log.
#[utoipa::path(get, path = "/audit/inclusion", tag = "audit", params(Included),
    extensions(("x-provenv-role" = json!("user"))),
    responses((status = 200, body = InclusionProof),
        (status = "4XX", body = Problem, content_type = "application/problem+json")))]
pub async fn inclusion(
    State(server): State<Arc<Server>>,
    Asked(Included { number, size }): Asked<Included>,
) -> Result<Json<InclusionProof>> {
    let size = within(&server, size).await?;
    if number >= size {
        return Err(Problem::missing(
            "audit-entry-not-found",
            format!("there is no entry {number} among {size}"),
        ));
    }
    let own = Range { start: number, end: number + 1 };
    let mut ranges = vec![own, Range::whole(size)];
    ranges.extend(provenv_ledger::inclusion(number, size));
    let mut hashes = over(&server.database, &ranges).await?;
    let path = hashes.split_off(2);
    Ok(Json(InclusionProof { number, hash: hashes[0], size, root: hashes[1], path }))
}

/// Proves that an earlier log is a beginning of a later one.
#[utoipa::path(get, path = "/audit/consistency", tag = "audit", params(Between),
    extensions(("x-provenv-role" = json!("user"))),
    responses((status = 200, body = ConsistencyProof),
        (status = "4XX", body = Problem, content_type = "application/problem+json")))]
pub async fn consistency(
    State(server): State<Arc<Server>>,
    Asked(Between { from, to }): Asked<Between>,
) -> Result<Json<ConsistencyProof>> {
    let to = within(&server, to).await?;
    if from > to {
        return Err(Problem::bad(
            "parameter-invalid",
            format!("`from` is {from}, and the log has {to} entries"),
        ));
    }
    let mut ranges = vec![Range::whole(from), Range::whole(to)];
    ranges.extend(provenv_ledger::consistency(from, to));
    let mut hashes = over(&server.database, &ranges).await?;
    let path = hashes.split_off(2);
    Ok(Json(ConsistencyProof { from, from_root: hashes[0], to, to_root: hashes[1], path }))
}

/// A size that the log has or had.
async fn within(server: &Server, asked: Option<u64>) -> Result<u64> {
    if asked.is_none() {
        server.settle_log().await?;
    }
    let size = server.database.audit_size().await?;
    match asked {
        Some(asked) if asked > size => {
            Err(Problem::bad("parameter-invalid", format!("the log has {size} entries, and not {asked}")))
        }
        asked => Ok(asked.unwrap_or(size)),
    }
}

/// Hashes of the tree (C2SP `tlog-tiles`).
#[utoipa::path(get, path = "/audit/tile/{level}/{n}", tag = "audit",
    params(("level" = String, Path), ("n" = String, Path)),
    extensions(("x-provenv-role" = json!("user"))),
    responses((status = 200, body = Vec<u8>, content_type = "application/octet-stream"),
        (status = "4XX", body = Problem, content_type = "application/problem+json")))]
pub async fn tile(
    State(server): State<Arc<Server>>,
    At((level, n)): At<(String, String)>,
    headers: HeaderMap,
) -> Result<Response> {
    hashes_at(&server, &[level, n].join("/"), &headers).await
}

/// The same of the last tile, which is not full (`000.p/8`), and from the thousandth on (`x001/234`).
#[utoipa::path(get, path = "/audit/tile/{level}/{n}/{m}", tag = "audit",
    params(("level" = String, Path), ("n" = String, Path), ("m" = String, Path)),
    extensions(("x-provenv-role" = json!("user"))),
    responses((status = 200, body = Vec<u8>, content_type = "application/octet-stream"),
        (status = "4XX", body = Problem, content_type = "application/problem+json")))]
pub async fn far_tile(
    State(server): State<Arc<Server>>,
    At((level, n, m)): At<(String, String, String)>,
    headers: HeaderMap,
) -> Result<Response> {
    hashes_at(&server, &[level, n, m].join("/"), &headers).await
}

/// The same from the millionth on, and of the last after the thousandth (`x001/234.p/8`).
#[utoipa::path(get, path = "/audit/tile/{level}/{n}/{m}/{rest}", tag = "audit",
    params(("level" = String, Path), ("n" = String, Path), ("m" = String, Path), ("rest" = String, Path)),
    extensions(("x-provenv-role" = json!("user"))),
    responses((status = 200, body = Vec<u8>, content_type = "application/octet-stream"),
        (status = "4XX", body = Problem, content_type = "application/problem+json")))]
pub async fn farther_tile(
    State(server): State<Arc<Server>>,
    At((level, n, m, rest)): At<(String, String, String, String)>,
    headers: HeaderMap,
) -> Result<Response> {
    hashes_at(&server, &[level, n, m, rest].join("/"), &headers).await
}

/// Entries, each after its length (C2SP `tlog-tiles`).
#[utoipa::path(get, path = "/audit/tile/entries/{n}", tag = "audit", params(("n" = String, Path)),
    extensions(("x-provenv-role" = json!("owner"))),
    responses((status = 200, body = Vec<u8>, content_type = "application/octet-stream"),
        (status = "4XX", body = Problem, content_type = "application/problem+json")))]
pub async fn bundle(
    State(server): State<Arc<Server>>,
    At(n): At<String>,
    headers: HeaderMap,
) -> Result<Response> {
    entries_at(&server, &["entries", &n].join("/"), &headers).await
}

/// The same of the last bundle, which is not full, and from the thousandth on.
#[utoipa::path(get, path = "/audit/tile/entries/{n}/{m}", tag = "audit",
    params(("n" = String, Path), ("m" = String, Path)),
    extensions(("x-provenv-role" = json!("owner"))),
    responses((status = 200, body = Vec<u8>, content_type = "application/octet-stream"),
        (status = "4XX", body = Problem, content_type = "application/problem+json")))]
pub async fn far_bundle(
    State(server): State<Arc<Server>>,
    At((n, m)): At<(String, String)>,
    headers: HeaderMap,
) -> Result<Response> {
    entries_at(&server, &["entries", &n, &m].join("/"), &headers).await
}

/// The same from the millionth on, and of the last after the thousandth.
#[utoipa::path(get, path = "/audit/tile/entries/{n}/{m}/{rest}", tag = "audit",
    params(("n" = String, Path), ("m" = String, Path), ("rest" = String, Path)),
    extensions(("x-provenv-role" = json!("owner"))),
    responses((status = 200, body = Vec<u8>, content_type = "application/octet-stream"),
        (status = "4XX", body = Problem, content_type = "application/problem+json")))]
pub async fn farther_bundle(
    State(server): State<Arc<Server>>,
    At((n, m, rest)): At<(String, String, String)>,
    headers: HeaderMap,
) -> Result<Response> {
    entries_at(&server, &["entries", &n, &m, &rest].join("/"), &headers).await
}

/// A tile that the log has.
async fn found(server: &Server, path: &str) -> Result<Tile> {
    let tile = Tile::parse(path).map_err(|error| Problem::bad("path-invalid", error.to_string()))?;
    let size = server.database.audit_size().await?;
    match tile.needs() {
        Some(needed) if needed <= size => Ok(tile),
        _ => Err(Problem::missing(
            "audit-tile-not-found",
            format!("the log has {size} entries, and no tile {path}"),
        )),
    }
}

async fn hashes_at(server: &Server, path: &str, headers: &HeaderMap) -> Result<Response> {
    let nodes = found(server, path).await?.nodes().unwrap_or_default();
    let known = server.database.audit_nodes(&nodes).await?;
    let mut bytes = Vec::with_capacity(nodes.len() * 32);
    for node in nodes {
        let hash = known.get(&node);
        let missing = || damaged(&format!("the hash {} of level {} is missing", node.place, node.level));
        bytes.extend_from_slice(hash.ok_or_else(missing)?.as_bytes());
    }
    Ok(tagged(headers, bytes, "application/octet-stream", true))
}

async fn entries_at(server: &Server, path: &str, headers: &HeaderMap) -> Result<Response> {
    let tile = found(server, path).await?;
    let first = tile.first_entry().unwrap_or_default();
    let filter = AuditFilter { before: Some(first + u64::from(tile.width)), ..AuditFilter::default() };
    let mut rows = server.database.audit_entries(&filter, u32::from(tile.width)).await?;
    rows.reverse();
    if let Some((expected, _)) = (first..).zip(&rows).find(|(expected, row)| row.number != *expected) {
        return Err(damaged(&format!("entry {expected} is missing")));
    }
    let bytes = provenv_ledger::bundle(rows.iter().map(|row| row.text.as_bytes()));
    let bytes = bytes.map_err(|error| damaged(&error.to_string()))?;
    Ok(tagged(headers, bytes, "application/octet-stream", true))
}

fn text(text: String) -> Response {
    let kind = HeaderValue::from_static("text/plain; charset=utf-8");
    ([(header::CONTENT_TYPE, kind), (header::CACHE_CONTROL, HeaderValue::from_static("no-store"))], text)
        .into_response()
}
