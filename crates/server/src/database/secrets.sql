-- Credentials of indexes and registries, sealed with a key that is not in the database.
CREATE TABLE secrets (
    workspace  TEXT NOT NULL,
    name       TEXT NOT NULL,
    -- The one host, with its port where that is not the usual one, that it is sent to.
    host       TEXT NOT NULL,
    -- base64 of nonce and AES-256-GCM's result, bound to workspace, name and host.
    sealed     TEXT NOT NULL,
    key_id     TEXT NOT NULL,
    created_at TEXT NOT NULL,
    created_by TEXT NOT NULL,
    PRIMARY KEY (workspace, name),
    UNIQUE (workspace, host)
);
