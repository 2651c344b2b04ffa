-- Nouns are kept as the JSON of their domain type beside the columns that are searched by; certificates, lists, the
-- audit trail and events have columns of their own. Times are milliseconds since 1970.

CREATE TABLE accounts (
    id         TEXT PRIMARY KEY,
    thumbprint BLOB NOT NULL UNIQUE,
    body       TEXT NOT NULL
) STRICT;

CREATE TABLE invitations (
    id         TEXT PRIMARY KEY,
    principal  TEXT NOT NULL,
    expires_at INTEGER NOT NULL,
    body       TEXT NOT NULL
) STRICT;

CREATE TABLE enrolments (
    id         TEXT PRIMARY KEY,
    account    TEXT NOT NULL,
    principal  TEXT NOT NULL,
    body       TEXT NOT NULL
) STRICT;
CREATE INDEX enrolments_by_principal ON enrolments (principal);

CREATE TABLE orders (
    id         TEXT PRIMARY KEY,
    account    TEXT NOT NULL,
    created_at INTEGER NOT NULL,
    expires_at INTEGER NOT NULL,
    body       TEXT NOT NULL
) STRICT;
CREATE INDEX orders_by_account ON orders (account, created_at);
CREATE INDEX orders_by_expiry ON orders (expires_at);

CREATE TABLE authorizations (
    id         TEXT PRIMARY KEY,
    "order"    TEXT NOT NULL,
    expires_at INTEGER NOT NULL,
    body       TEXT NOT NULL
) STRICT;
CREATE INDEX authorizations_by_order ON authorizations ("order");
CREATE INDEX authorizations_by_expiry ON authorizations (expires_at);

CREATE TABLE certificates (
    serial            BLOB PRIMARY KEY,
    issuer            BLOB NOT NULL,
    list_shard        INTEGER NOT NULL,
    profile           TEXT NOT NULL,
    principal         TEXT,
    names             TEXT NOT NULL,
    not_before        INTEGER NOT NULL,
    not_after         INTEGER NOT NULL,
    key_fingerprint   BLOB NOT NULL,
    der               BLOB NOT NULL,
    enrolment         TEXT,
    account           TEXT,
    "order"           TEXT,
    issued_at         INTEGER NOT NULL,
    revoked_at        INTEGER,
    revocation_reason INTEGER
) STRICT;
CREATE INDEX certificates_by_issuing ON certificates (issued_at);
CREATE INDEX certificates_by_principal ON certificates (principal, issued_at) WHERE principal IS NOT NULL;
CREATE INDEX certificates_by_key ON certificates (key_fingerprint);
CREATE INDEX certificates_revoked ON certificates (issuer, list_shard, serial) WHERE revoked_at IS NOT NULL;

-- Keys that were revoked as compromised: refused for ever.
CREATE TABLE blocked_keys (
    fingerprint BLOB PRIMARY KEY,
    blocked_at  INTEGER NOT NULL
) STRICT;

CREATE TABLE api_keys (
    id         TEXT PRIMARY KEY,
    principal  TEXT NOT NULL,
    revoked_at INTEGER,
    body       TEXT NOT NULL
) STRICT;

CREATE TABLE policies (
    revision   INTEGER PRIMARY KEY,
    text       TEXT NOT NULL,
    applied_at INTEGER NOT NULL,
    applied_by TEXT NOT NULL
) STRICT;

-- The list last published for each issuer and shard.
CREATE TABLE lists (
    issuer      BLOB NOT NULL,
    shard       INTEGER NOT NULL,
    number      INTEGER NOT NULL,
    this_update INTEGER NOT NULL,
    next_update INTEGER NOT NULL,
    der         BLOB NOT NULL,
    PRIMARY KEY (issuer, shard)
) STRICT;

-- Changes of standing. The number is the epoch; numbers follow one another without gaps.
CREATE TABLE events (
    number INTEGER PRIMARY KEY,
    at     INTEGER NOT NULL,
    kind   TEXT NOT NULL,
    body   TEXT NOT NULL
) STRICT;

CREATE TABLE audit (
    number  INTEGER PRIMARY KEY,
    at      INTEGER NOT NULL,
    actor   TEXT NOT NULL,
    action  TEXT NOT NULL,
    subject TEXT NOT NULL,
    detail  TEXT NOT NULL,
    hash    BLOB NOT NULL
) STRICT;
