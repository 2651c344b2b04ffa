-- Devices that prove themselves by attestation: those that no invitation let in.

CREATE TABLE devices (
    enrolment TEXT PRIMARY KEY,
    principal TEXT NOT NULL,
    body      TEXT NOT NULL
) STRICT;
CREATE INDEX devices_by_principal ON devices (principal);

-- All that a device is called by its maker. Each name is one device's, for ever.
CREATE TABLE device_identities (
    identity  TEXT PRIMARY KEY,
    enrolment TEXT NOT NULL
) STRICT, WITHOUT ROWID;
