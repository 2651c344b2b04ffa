-- Several ACME directories: an account belongs to one of them, and a key may have an account in each.

CREATE TABLE accounts_of_directories (
    id         TEXT PRIMARY KEY,
    directory  TEXT NOT NULL,
    thumbprint BLOB NOT NULL,
    body       TEXT NOT NULL,
    UNIQUE (thumbprint, directory)
) STRICT;
INSERT INTO accounts_of_directories (id, directory, thumbprint, body)
    SELECT id, 'default', thumbprint, json_set(body, '$.directory', 'default') FROM accounts;

-- What is ordered is decided when the order is placed.
UPDATE orders SET body = json_set(
    body,
    '$.directory', 'default',
    '$.profile', coalesce(
        (SELECT json_extract(enrolments.body, '$.profile')
         FROM accounts JOIN enrolments ON enrolments.id = json_extract(accounts.body, '$.enrolment')
         WHERE accounts.id = orders.account),
        'server'));

DROP TABLE accounts;
ALTER TABLE accounts_of_directories RENAME TO accounts;

-- An authorization may be asked for before there is an order.
CREATE TABLE authorizations_with_or_without_order (
    id         TEXT PRIMARY KEY,
    "order"    TEXT,
    expires_at INTEGER NOT NULL,
    body       TEXT NOT NULL
) STRICT;
INSERT INTO authorizations_with_or_without_order (id, "order", expires_at, body)
    SELECT id, "order", expires_at, body FROM authorizations;
DROP TABLE authorizations;
ALTER TABLE authorizations_with_or_without_order RENAME TO authorizations;
CREATE INDEX authorizations_by_order ON authorizations ("order") WHERE "order" IS NOT NULL;
CREATE INDEX authorizations_by_expiry ON authorizations (expires_at);
