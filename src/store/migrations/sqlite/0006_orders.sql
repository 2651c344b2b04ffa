-- Orders and their authorizations.

-- What an authorization proves, and to whom, as "ACCOUNT dns:a.example": nothing unless a challenge made it valid. By it
-- other orders find it, and whoever revokes a certificate of these names.
ALTER TABLE authorizations ADD COLUMN proves TEXT;
UPDATE authorizations SET proves =
        json_extract(body, '$.account') || ' '
        || json_extract(body, '$.identifier.type') || ':' || json_extract(body, '$.identifier.value')
    WHERE json_extract(body, '$.state.status') = 'valid' AND json_extract(body, '$.state.vouched_by') IS NULL;
CREATE INDEX authorizations_by_proof ON authorizations (proves, expires_at) WHERE proves IS NOT NULL;

-- Whether one of its challenges is looked at: those are taken up again when the process starts.
ALTER TABLE authorizations ADD COLUMN processing INTEGER NOT NULL DEFAULT 0;
UPDATE authorizations SET processing = 1
    WHERE json_extract(body, '$.state.status') = 'pending' AND EXISTS (
        SELECT 1 FROM json_each(body, '$.challenges')
        WHERE json_extract(value, '$.state.status') = 'processing');
CREATE INDEX authorizations_in_processing ON authorizations (id) WHERE processing = 1;

-- The orders that use an authorization which was not made for them; they follow it too. It ends with the order.
CREATE TABLE reused_authorizations (
    authorization TEXT NOT NULL,
    "order"       TEXT NOT NULL,
    expires_at    INTEGER NOT NULL
) STRICT;
CREATE INDEX reused_by_authorization ON reused_authorizations (authorization);
CREATE INDEX reused_by_expiry ON reused_authorizations (expires_at);
