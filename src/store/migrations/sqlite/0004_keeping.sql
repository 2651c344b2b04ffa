-- Checkpoints of the audit trail, and what lists of certificates are searched by.

-- The trail's hash at a number, signed. Sequences follow one another without gaps.
CREATE TABLE audit_checkpoints (
    sequence  INTEGER PRIMARY KEY,
    number    INTEGER NOT NULL,
    hash      BLOB NOT NULL,
    at        INTEGER NOT NULL,
    signature BLOB NOT NULL
) STRICT;

-- The subject alternative names of certificates, but for the SPIFFE ID of a certificate's own principal, which is found
-- by the principal.
CREATE TABLE certificate_names (
    name      TEXT NOT NULL,
    issued_at INTEGER NOT NULL,
    serial    BLOB NOT NULL,
    PRIMARY KEY (name, issued_at, serial)
) STRICT, WITHOUT ROWID;
INSERT OR IGNORE INTO certificate_names (name, issued_at, serial)
    SELECT value, issued_at, serial FROM certificates, json_each(certificates.names);

CREATE INDEX certificates_by_expiry ON certificates (not_after);
CREATE INDEX certificates_revoked_by_issuing ON certificates (issued_at) WHERE revoked_at IS NOT NULL;
