-- Enrolment keys and approvals.

-- How many enrolments of an invitation go on: it is kept as long.
ALTER TABLE invitations ADD COLUMN going_on INTEGER NOT NULL DEFAULT 0;
CREATE INDEX enrolments_by_invitation ON enrolments (json_extract(body, '$.invitation'));
-- Whose rivals are looked for skips all that came from its own invitation.
DROP INDEX enrolments_by_principal;
CREATE INDEX enrolments_by_principal ON enrolments (principal, json_extract(body, '$.invitation'));
CREATE INDEX enrolments_awaiting_approval ON enrolments (id)
    WHERE json_extract(body, '$.state.status') = 'awaiting-approval';
-- With the plus, or SQLite compares as text and reads all enrolments for each invitation: the index is of no type.
UPDATE invitations SET going_on = (
    SELECT count(*) FROM enrolments
    WHERE json_extract(enrolments.body, '$.invitation') = +invitations.id
        AND json_extract(enrolments.body, '$.state.status') <> 'ended');
CREATE INDEX invitations_by_expiry ON invitations (expires_at) WHERE going_on = 0;
