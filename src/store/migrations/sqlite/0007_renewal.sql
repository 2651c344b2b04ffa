-- Renewal information: which certificates are replaced, and the incidents for which they are to be renewed early.

-- By which order a certificate is being replaced (RFC 9773 section 5), and by which certificate it was.
CREATE TABLE replacements (
    serial      BLOB PRIMARY KEY,
    "order"     TEXT NOT NULL,
    certificate BLOB
) STRICT, WITHOUT ROWID;
CREATE INDEX replacements_by_certificate ON replacements (certificate) WHERE certificate IS NOT NULL;

CREATE TABLE incidents (
    number    INTEGER PRIMARY KEY,
    closed_at INTEGER,
    body      TEXT NOT NULL
) STRICT;
