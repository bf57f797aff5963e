//! No use case that is asked for often reads a table of versions from end to end, whatever its size: the plans of all the
//! statements that it sends say so.

use std::fmt::Write as _;
use std::sync::{Arc, Mutex};

use provenv_definition::{Definition, Environment, PipRequirement, Platform, definition_digest};
use provenv_lock::{Lock, Receipt};
use provenv_workspace::{
    Find, HistoryOptions, Kind, OfServer, OpenOptions, SentEnvironment, Silent, VersionUpdate, Workspace,
};
use sqlx::Row as _;
use tracing::field::{Field, Visit};
use tracing::span;

/// Tables that grow with the versions, and what queries call them. Names are fewer, and are searched for by a part of them.
const LARGE: &[&str] = &[
    "environments",
    "e",
    "x",
    "tags",
    "t",
    "history",
    "documents",
    "holdings",
    "h",
    "indexed_locks",
    "l",
    "artifacts",
    "advisories",
    "a",
    "images",
    "i",
    "o",
    "remote_images",
    "r",
    "builds",
    "runs",
    "labels",
];

/// Hears every statement.
#[derive(Clone, Default)]
struct Statements(Arc<Mutex<Vec<String>>>);

impl tracing::Subscriber for Statements {
    fn enabled(&self, metadata: &tracing::Metadata<'_>) -> bool {
        metadata.target() == "sqlx::query"
    }

    fn new_span(&self, _: &span::Attributes<'_>) -> span::Id {
        span::Id::from_u64(1)
    }

    fn record(&self, _: &span::Id, _: &span::Record<'_>) {}

    fn record_follows_from(&self, _: &span::Id, _: &span::Id) {}

    fn event(&self, event: &tracing::Event<'_>) {
        let mut statement = Statement::default();
        event.record(&mut statement);
        let Statement { summary, whole } = statement;
        self.0.lock().unwrap().push(if whole.is_empty() { summary } else { whole });
    }

    fn enter(&self, _: &span::Id) {}

    fn exit(&self, _: &span::Id) {}
}

/// What is said of one.
#[derive(Default)]
struct Statement {
    summary: String,
    whole: String,
}

impl Visit for Statement {
    fn record_str(&mut self, field: &Field, value: &str) {
        match field.name() {
            "summary" => value.clone_into(&mut self.summary),
            "db.statement" => value.trim().clone_into(&mut self.whole),
            _ => {}
        }
    }

    fn record_debug(&mut self, _: &Field, _: &dyn std::fmt::Debug) {}
}

/// What is wrong with the plan of a statement.
async fn faults(database: &sqlx::SqlitePool, statement: &str) -> Vec<String> {
    let explained = sqlx::AssertSqlSafe(format!("EXPLAIN QUERY PLAN {statement}"));
    let rows = sqlx::query(explained).fetch_all(database).await.unwrap();
    let steps: Vec<(i64, String)> =
        rows.iter().map(|row| (row.get("parent"), row.get::<String, _>("detail"))).collect();
    let mut faults = Vec::new();
    for (parent, step) in &steps {
        let mut words = step.split(' ');
        let Some(table) = (if words.next() == Some("SCAN") { words.next() } else { None }) else { continue };
        if !LARGE.contains(&table) {
            continue;
        }
        // What a part of the statement gave, which is looked at by itself.
        let parts = ["CO-ROUTINE", "MATERIALIZE"].map(|how| format!("{how} {table}"));
        if steps.iter().any(|(_, step)| parts.contains(step)) {
            continue;
        }
        // The bases alone.
        if step.contains("USING INDEX artifacts_base") {
            continue;
        }
        // In order, until there is enough: but not to be put into another order then.
        let is_sorted = steps.iter().any(|(other, step)| {
            let another =
                ["ORDER BY", "GROUP BY", "DISTINCT"].map(|what| format!("USE TEMP B-TREE FOR {what}"));
            other == parent && another.contains(step)
        });
        if is_sorted || !step.contains(" USING ") || !statement.contains("LIMIT") {
            faults.push(step.clone());
        }
    }
    faults
}

/// Lines of versions, and what else there is to ask for.
fn lines() -> String {
    let mut definition = Definition::default();
    definition.pip.requirements.push(PipRequirement {
        requirement: "tea==1".to_owned(),
        hashes: Vec::new(),
        editable: false,
    });
    let digest = definition_digest(&definition);
    let wheel = serde_json::json!({
        "name": "tea", "version": "1", "wheel": "tea-1-py3-none-any.whl",
        "source": { "wheel": { "url": "https://example.org/tea-1-py3-none-any.whl", "size": 1, "sha256": digest } },
    });
    let platform = serde_json::json!({
        "base": { "debian": { "suite": "bookworm" } },
        "python": { "version": "3.11.2", "executable": "/usr/bin/python3.11", "glibc": "2.36" },
        "pypi": [wheel],
    });
    let lock = serde_json::json!({
        "format": Lock::FORMAT, "definition": digest, "platforms": { Platform::host().as_str(): platform },
    });
    let lock: Lock = serde_json::from_value(lock).unwrap();
    let receipt = Receipt {
        format: 1,
        definition: digest,
        lock: lock.digest(),
        resolved_at: jiff::Timestamp::UNIX_EPOCH,
        indexes: Vec::new(),
        tools: Vec::new(),
        previous: None,
        from_file: false,
        as_of: None,
        virtual_packages: Vec::new(),
    };
    let mut lines = format!("{}\n", serde_json::json!({ "lock": lock }));
    for number in 0..20 {
        let environment = Environment {
            name: Some(format!("pot-{}", number / 5)),
            environment_variables: [("NUMBER".to_owned(), number.to_string())].into_iter().collect(),
            tags: [("team".to_owned(), "blue".to_owned())].into_iter().collect(),
            definition: definition.clone(),
            ..Environment::default()
        };
        writeln!(lines, "{}", serde_json::json!({ "environment": environment, "receipt": receipt })).unwrap();
    }
    lines
}

#[tokio::test(flavor = "multi_thread")]
async fn nothing_reads_all_versions() {
    let statements = Statements::default();
    tracing::subscriber::set_global_default(statements.clone()).unwrap();
    let folder = tempfile::tempdir().unwrap();
    let workspace = Workspace::open(OpenOptions {
        root: folder.path().join("w"),
        reporter: Arc::new(Silent),
        offline: true,
        no_cache_registry: true,
        builder: None,
        secrets: Vec::new(),
        of_server: Some(OfServer::default()),
    })
    .await
    .unwrap();
    // What is done once, when a catalogue is made, may read all.
    statements.0.lock().unwrap().clear();

    let mut importer = workspace.importer("ann");
    importer.take(lines().as_bytes()).await.unwrap();
    importer.finish().await.unwrap();
    let shown = workspace.version_details("pot-1", "@latest").await.unwrap();
    let mut environment = shown.environment.clone();
    environment.name = Some("pot-1".to_owned());
    environment.version = None;
    let again = SentEnvironment { environment: environment.clone(), ..SentEnvironment::default() };
    let same = workspace.register_known(&again, "ann").await.unwrap().unwrap();
    assert!(!same.created);
    environment.environment_variables.insert("NEW".to_owned(), "1".to_owned());
    let other =
        SentEnvironment { environment, from: Some("pot-1:1".to_owned()), ..SentEnvironment::default() };
    let new = workspace.register_known(&other, "ann").await.unwrap().unwrap();
    assert!(new.created);
    workspace.label("pot-1:2", "prod", "ann").await.unwrap();
    let update = VersionUpdate { description: Some("green".to_owned()), ..VersionUpdate::default() };
    workspace.update_environment("pot-1:2", &update, "ann").await.unwrap();
    workspace.archive_environment("pot-2:1", "ann").await.unwrap();
    workspace.restore_environment("pot-2:1", "ann").await.unwrap();
    workspace.version_details("pot-1", "@prod").await.unwrap();
    workspace.labels("pot-1").await.unwrap();
    workspace.history("pot-1:2", HistoryOptions { limit: 10, before: None }).await.unwrap();
    workspace.uses("pot-1:2").await.unwrap();
    workspace.lineage("pot-1:2").await.unwrap();
    workspace.lineage(&shown.lock.unwrap().to_string()).await.unwrap();
    workspace.resolved(&shown.definition_digest).await.unwrap().unwrap();
    workspace.builds(10).await.unwrap();
    workspace.facets(&Find::default()).await.unwrap();
    workspace.image_with_digest("abcdef").await.unwrap_err();
    workspace.image_of_lock(&shown.lock.unwrap(), None, "pot-1").await.unwrap_err();
    let day = "2026-01-01T00:00:00Z".parse::<jiff::Timestamp>().unwrap();
    let sought = [
        Find::default(),
        Find { after: Some("pot-1:1".to_owned()), ..Find::default() },
        Find { all_versions: true, after: Some("pot-1:1".to_owned()), ..Find::default() },
        Find { name: Some("pot-1".to_owned()), ..Find::default() },
        Find { tags: vec![("team".to_owned(), Some("blue".to_owned()))], ..Find::default() },
        Find { tags: vec![("team".to_owned(), None)], ..Find::default() },
        Find { kind: Some(Kind::SystemManaged), ..Find::default() },
        Find { creator: Some("ann".to_owned()), ..Find::default() },
        Find { since: Some(day), ..Find::default() },
        Find { pattern: Some("pot*".to_owned()), ..Find::default() },
        Find { terms: vec!["package:tea<2".parse().unwrap()], ..Find::default() },
        Find { terms: vec!["base:bookworm".parse().unwrap()], ..Find::default() },
        Find {
            terms: vec![format!("artifact:{}", shown.definition_digest).parse().unwrap()],
            ..Find::default()
        },
        Find { terms: vec!["vulnerability:CVE-2026-1".parse().unwrap()], ..Find::default() },
    ];
    for find in sought {
        for all_versions in [false, true] {
            workspace.find(&Find { limit: Some(5), all_versions, ..find.clone() }).await.unwrap();
        }
    }
    workspace.close().await;

    let file = folder.path().join("w/catalogue.db");
    let options = sqlx::sqlite::SqliteConnectOptions::new().filename(file);
    let database = sqlx::SqlitePool::connect_with(options).await.unwrap();
    let mut heard = std::mem::take(&mut *statements.0.lock().unwrap());
    heard.sort();
    heard.dedup();
    let is_query = |text: &&String| {
        ["SELECT", "INSERT", "UPDATE", "DELETE"].iter().any(|word| text.trim_start().starts_with(word))
    };
    let queries: Vec<&String> = heard.iter().filter(is_query).collect();
    assert!(queries.len() > 50, "only {} statements were heard", queries.len());
    let mut found = String::new();
    for statement in queries {
        for fault in faults(&database, statement).await {
            writeln!(found, "{fault}: {statement}\n").unwrap();
        }
    }
    assert!(found.is_empty(), "{found}");
}
