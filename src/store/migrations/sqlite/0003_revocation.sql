-- Revocations: which lists cover them, and those of certificates that the store never saw.

-- The number of the trust event with which a certificate was revoked, or with which its reason grew worse. A list covers
-- all revocations up to a number, so that what is missing on it is found without reading what is on it.
ALTER TABLE certificates ADD COLUMN revocation_epoch INTEGER;
UPDATE certificates SET revocation_epoch = (SELECT coalesce(max(number), 0) FROM events) WHERE revoked_at IS NOT NULL;

-- A list's entries are read from the index alone.
DROP INDEX certificates_revoked;
CREATE INDEX certificates_revoked ON certificates (issuer, list_shard, serial, not_after, revoked_at, revocation_reason)
    WHERE revoked_at IS NOT NULL;
CREATE INDEX certificates_by_revocation ON certificates (issuer, list_shard, revocation_epoch)
    WHERE revocation_epoch IS NOT NULL;

-- The list last published for each issuer and shard; the list itself last, so that the rest is read without it.
ALTER TABLE lists RENAME TO lists_before;
CREATE TABLE lists (
    issuer      BLOB NOT NULL,
    shard       INTEGER NOT NULL,
    number      INTEGER NOT NULL,
    this_update INTEGER NOT NULL,
    next_update INTEGER NOT NULL,
    -- Every revocation up to this event is on it (nothing: that was not written down yet) ...
    covers      INTEGER,
    -- ... but for those of certificates that ended before this.
    keeps_from  INTEGER NOT NULL,
    der         BLOB NOT NULL,
    PRIMARY KEY (issuer, shard)
) STRICT;
INSERT INTO lists (issuer, shard, number, this_update, next_update, covers, keeps_from, der)
    SELECT issuer, shard, number, this_update, next_update, NULL, 0, der FROM lists_before;
DROP TABLE lists_before;

-- Who may publish the next list of an issuer's shard, and until when.
CREATE TABLE list_leases (
    issuer BLOB NOT NULL,
    shard  INTEGER NOT NULL,
    holder TEXT NOT NULL,
    until  INTEGER NOT NULL,
    PRIMARY KEY (issuer, shard)
) STRICT;

-- Revoked certificates of which only issuer and serial are known. Without a shard they are on all lists of the issuer.
CREATE TABLE unseen_revocations (
    issuer            BLOB NOT NULL,
    serial            BLOB NOT NULL,
    list_shard        INTEGER,
    not_after         INTEGER NOT NULL,
    revoked_at        INTEGER NOT NULL,
    revocation_reason INTEGER NOT NULL,
    revocation_epoch  INTEGER NOT NULL,
    PRIMARY KEY (issuer, serial)
) STRICT, WITHOUT ROWID;
CREATE INDEX unseen_by_revocation ON unseen_revocations (issuer, list_shard, revocation_epoch);
