-- Version 10: what locks hold, to be searched. Made of the locks in `documents`: numbers, because there are many of them.
CREATE TABLE artifacts (
    id        BIGINT PRIMARY KEY,
    ecosystem TEXT NOT NULL,
    name      TEXT NOT NULL,
    version   TEXT NOT NULL,
    digest    TEXT NOT NULL, -- empty where it has none
    UNIQUE (name, ecosystem, version, digest)
);
CREATE INDEX artifacts_digest ON artifacts (digest);
CREATE TABLE indexed_locks (
    id   BIGINT PRIMARY KEY,
    lock TEXT NOT NULL UNIQUE
);
CREATE TABLE holdings (
    artifact BIGINT NOT NULL,
    lock     BIGINT NOT NULL,
    PRIMARY KEY (artifact, lock)
);
CREATE INDEX holdings_lock ON holdings (lock, artifact);

-- What audits found: by each name of it, the lock of the image, and when it was last found.
CREATE TABLE advisories (
    advisory TEXT NOT NULL, -- in capitals
    lock     TEXT NOT NULL,
    manifest TEXT NOT NULL,
    found_at TEXT NOT NULL,
    PRIMARY KEY (advisory, lock, manifest)
);
