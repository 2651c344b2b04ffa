-- Issuers and the trust bundle.

-- The CAs of this authority, in every state; the certificate and all else that is public is in the body.
CREATE TABLE issuers (
    id    BLOB PRIMARY KEY,
    name  TEXT NOT NULL UNIQUE,
    state TEXT NOT NULL,
    body  TEXT NOT NULL
) STRICT;

-- Who has fetched which trust bundle last.
CREATE TABLE bundle_holders (
    holder     TEXT PRIMARY KEY,
    bundle     BLOB NOT NULL,
    fetched_at INTEGER NOT NULL
) STRICT;

-- Revoking a principal takes back every invitation of it.
CREATE INDEX invitations_by_principal ON invitations (principal);
