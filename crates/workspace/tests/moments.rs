//! What is kept of a database holds until somebody commits, whoever that is.

use provenv_workspace::{ServerSettings, Tables};

const TABLE: &[&str] = &["CREATE TABLE things (name TEXT PRIMARY KEY)"];

#[tokio::test]
async fn a_moment_lasts_until_somebody_commits() {
    let folder = tempfile::tempdir().unwrap();
    let settings = ServerSettings::default();
    let tables = Tables::open(folder.path(), "t.db", TABLE, &settings).await.unwrap();
    let other = Tables::open(folder.path(), "t.db", TABLE, &settings).await.unwrap();
    let first = tables.moments.now().await.unwrap();
    let count = "SELECT count(*) FROM things";
    let (rows,): (i64,) = sqlx::query_as(count).fetch_one(&other.pool).await.unwrap();
    assert_eq!((rows, tables.moments.now().await.unwrap()), (0, first.clone()), "reading changes nothing");

    // By a connection of its own pool, and by one that it knows nothing of.
    let mut moments = vec![first];
    for (name, by) in [("a", &tables), ("b", &other), ("c", &tables)] {
        sqlx::query("INSERT INTO things VALUES ($1)").bind(name).execute(&by.pool).await.unwrap();
        let now = tables.moments.now().await.unwrap();
        assert!(!moments.contains(&now), "{name}: {now:?}");
        assert_eq!(tables.moments.now().await.unwrap(), now);
        moments.push(now);
    }
    // What was not committed was not.
    let mut transaction = other.begin("t").await.unwrap();
    sqlx::query("INSERT INTO things VALUES ('d')").execute(&mut *transaction).await.unwrap();
    assert_eq!(tables.moments.now().await.as_ref(), moments.last());
    transaction.commit().await.unwrap();
    assert!(!moments.contains(&tables.moments.now().await.unwrap()));

    other.close().await;
    tables.close().await;
    assert_eq!(tables.moments.now().await, None);
    assert!(!folder.path().join("t.db-wal").exists(), "the log was written back when all was closed");
}
