-- Sign-in by an identity provider, sessions of browsers, tokens that may less than their user.

ALTER TABLE tokens ADD COLUMN workspace TEXT;
ALTER TABLE tokens ADD COLUMN role TEXT;

CREATE TABLE sessions (
    id         TEXT PRIMARY KEY,
    user_name  TEXT NOT NULL,
    digest     TEXT NOT NULL UNIQUE, -- sha256: what the cookie holds is nowhere
    -- The token that it was begun with: it ends with it.
    token      TEXT,
    created_at TEXT NOT NULL,
    used_at    TEXT NOT NULL,
    expires_at TEXT NOT NULL,
    ended_at   TEXT
);
CREATE INDEX sessions_user ON sessions (user_name);

-- Sign-ins that have begun: what came back must have gone out, once.
CREATE TABLE sign_ins (
    state      TEXT PRIMARY KEY,     -- sha256
    nonce      TEXT NOT NULL,
    verifier   TEXT NOT NULL,
    back       TEXT NOT NULL,
    redirect   TEXT NOT NULL,
    expires_at TEXT NOT NULL
);

-- Who a name is at the provider: names may change hands there, and subjects do not.
CREATE TABLE identities (
    issuer     TEXT NOT NULL,
    subject    TEXT NOT NULL,
    user_name  TEXT NOT NULL UNIQUE,
    created_at TEXT NOT NULL,
    PRIMARY KEY (issuer, subject)
);

-- Roles by groups, as the provider said at the last sign-in; beside those that were given.
CREATE TABLE group_roles (
    workspace TEXT NOT NULL,
    user_name TEXT NOT NULL,
    role      TEXT NOT NULL CHECK (role IN ('reader', 'contributor', 'owner')),
    PRIMARY KEY (workspace, user_name)
);

-- Who answers a request with an idempotency key just now, whichever server it is.
CREATE TABLE answering (
    user_name TEXT NOT NULL,
    key       TEXT NOT NULL,
    holder    TEXT NOT NULL,
    until     TEXT NOT NULL,
    PRIMARY KEY (user_name, key)
);
