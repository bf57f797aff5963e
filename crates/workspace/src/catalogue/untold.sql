-- Version 15: what the audit log of a server has yet to be told, written in the transaction of what it is about.
CREATE TABLE untold (
    id   TEXT PRIMARY KEY,
    at   TEXT NOT NULL, -- when this was written
    what TEXT NOT NULL  -- JSON, as `telling.rs` has it
);
