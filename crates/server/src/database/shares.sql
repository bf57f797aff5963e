-- Environments of one workspace in another. Each catalogue knows for itself what is shared with it; here is what has to be followed.
CREATE TABLE shares (
    source    TEXT NOT NULL, -- the workspace that shares it
    name      TEXT NOT NULL,
    target    TEXT NOT NULL, -- the workspace that has it too
    there     TEXT NOT NULL, -- its name there
    shared_by TEXT NOT NULL,
    shared_at TEXT NOT NULL,
    ended_by  TEXT,          -- who ended it: what it was is being taken away
    PRIMARY KEY (target, there)
);
CREATE UNIQUE INDEX shares_source ON shares (source, name, target);
