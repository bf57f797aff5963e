-- Version 12: receipts that were not written here, and where they were taken from.
CREATE TABLE taken_receipts (
    receipt   TEXT PRIMARY KEY REFERENCES documents (digest),
    place     TEXT NOT NULL, -- as users are shown it, without credentials
    signed_by TEXT,          -- the trusted key that stood for it
    taken_at  TEXT NOT NULL
);
