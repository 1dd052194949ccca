-- The book of record of the main path, for SQLite: the same tables, keys and bounds as for MySQL.
--
-- Text compares byte for byte by default. Names ignore blanks at their end (RTRIM), since MySQL's utf8mb4_bin does.
-- Times are text of one width, `2026-11-20 12:00:00.000123`, so that they sort as they are.

-- +goose Up
CREATE TABLE vendors (
    id         INTEGER  NOT NULL PRIMARY KEY,
    name       TEXT     NOT NULL COLLATE RTRIM,
    balance    INTEGER  NOT NULL DEFAULT 0, -- minor units of money
    created_at DATETIME NOT NULL,
    CONSTRAINT vendors_name UNIQUE (name),
    CONSTRAINT vendors_name_length CHECK (length(name) BETWEEN 1 AND 100)
);

CREATE TABLE events (
    id         INTEGER  NOT NULL PRIMARY KEY,
    name       TEXT     NOT NULL COLLATE RTRIM,
    starts_at  DATETIME NOT NULL,
    ends_at    DATETIME NOT NULL,
    created_at DATETIME NOT NULL,
    CONSTRAINT events_name UNIQUE (name),
    CONSTRAINT events_name_length CHECK (length(name) BETWEEN 1 AND 100)
);

CREATE TABLE coupons (
    id               INTEGER  NOT NULL PRIMARY KEY,
    vendor_id        INTEGER  NOT NULL REFERENCES vendors (id),
    event_id         INTEGER  NULL REFERENCES events (id), -- NULL: of no event
    tag              TEXT     NOT NULL,
    name             TEXT     NOT NULL COLLATE RTRIM,
    kind             TEXT     NOT NULL,
    total_quantity   INTEGER  NULL,     -- NULL: unlimited
    issued_count     INTEGER  NOT NULL DEFAULT 0,
    per_user_limit   INTEGER  NOT NULL,
    state            TEXT     NOT NULL,
    opens_at         DATETIME NOT NULL,
    closes_at        DATETIME NOT NULL, -- the first instant after the window
    revision         INTEGER  NOT NULL, -- the latest change taken
    applied_revision INTEGER  NOT NULL, -- the change whose terms stand in this row
    discount_type    TEXT     NULL,
    discount_value   INTEGER  NOT NULL DEFAULT 0,
    min_order_amount INTEGER  NOT NULL DEFAULT 0,
    stackable        INTEGER  NOT NULL DEFAULT 0,
    valid_for_days   INTEGER  NULL,     -- NULL: no end
    max_uses         INTEGER  NULL,     -- NULL: no cap on uses
    created_at       DATETIME NOT NULL,
    CONSTRAINT coupons_name UNIQUE (name),
    CONSTRAINT coupons_name_length CHECK (length(name) BETWEEN 1 AND 100),
    CONSTRAINT coupons_cap CHECK (total_quantity IS NULL OR issued_count <= total_quantity),
    CONSTRAINT coupons_count CHECK (issued_count >= 0),
    CONSTRAINT coupons_window CHECK (opens_at < closes_at),
    CONSTRAINT coupons_limit CHECK (per_user_limit BETWEEN 1 AND 100)
);
CREATE INDEX coupons_tag ON coupons (tag, id);

-- The changes of a coupon's terms, append-only: what was wanted, by whom and why. How a change ended is a row of its own.
CREATE TABLE coupon_changes (
    coupon_id      INTEGER  NOT NULL,
    revision       INTEGER  NOT NULL,
    epoch          INTEGER  NOT NULL, -- of the gate when the revision was taken
    stored_first   INTEGER  NOT NULL, -- a widening: the coupon's row took the terms in the same transaction
    from_total     INTEGER  NULL,
    from_state     TEXT     NOT NULL,
    from_opens_at  DATETIME NOT NULL,
    from_closes_at DATETIME NOT NULL,
    to_total       INTEGER  NULL,
    to_state       TEXT     NOT NULL,
    to_opens_at    DATETIME NOT NULL,
    to_closes_at   DATETIME NOT NULL,
    reason         TEXT     NOT NULL,
    changed_by     TEXT     NOT NULL,
    created_at     DATETIME NOT NULL,
    PRIMARY KEY (coupon_id, revision),
    CONSTRAINT coupon_changes_reason CHECK (length(reason) <= 200)
) WITHOUT ROWID;

CREATE TABLE coupon_change_ends (
    coupon_id INTEGER  NOT NULL,
    revision  INTEGER  NOT NULL,
    outcome   TEXT     NOT NULL, -- done, refused or superseded
    ended_at  DATETIME NOT NULL,
    PRIMARY KEY (coupon_id, revision)
) WITHOUT ROWID;

CREATE TABLE gates (
    tag         TEXT     NOT NULL PRIMARY KEY,
    epoch       INTEGER  NOT NULL,
    state       TEXT     NOT NULL DEFAULT 'live', -- live or retired
    owner       TEXT     NOT NULL DEFAULT '',     -- the latest rebuild's name
    lease_until DATETIME NULL,                    -- saves work only; safety rests on the epoch
    created_at  DATETIME NOT NULL,
    updated_at  DATETIME NOT NULL,
    CONSTRAINT gates_epoch CHECK (epoch >= 1)
) WITHOUT ROWID;

-- Never deleted: an old barrier may still be needed to judge a record.
CREATE TABLE gate_barriers (
    tag          TEXT    NOT NULL,
    epoch        INTEGER NOT NULL,
    partition_no INTEGER NOT NULL,
    noted_end    INTEGER NOT NULL,
    PRIMARY KEY (tag, epoch, partition_no)
) WITHOUT ROWID;

CREATE TABLE issues (
    coupon_id       INTEGER  NOT NULL,
    user_id         TEXT     NOT NULL,
    nth             INTEGER  NOT NULL,
    seq             INTEGER  NOT NULL,
    epoch           INTEGER  NOT NULL,
    status          TEXT     NOT NULL,
    event_id        INTEGER  NULL, -- NULL: taking it does not use up the user's place in an event
    idempotency_key TEXT     NULL, -- NULL: the per-user limit is 1
    accepted_at     DATETIME NOT NULL,
    issued_at       DATETIME NOT NULL,
    used_at         DATETIME NULL,
    expires_at      DATETIME NULL, -- NULL: never
    PRIMARY KEY (coupon_id, user_id, nth),
    CONSTRAINT issues_user_length CHECK (length(user_id) BETWEEN 1 AND 64),
    CONSTRAINT issues_key_length CHECK (idempotency_key IS NULL OR length(idempotency_key) BETWEEN 1 AND 64),
    CONSTRAINT issues_nth CHECK (nth BETWEEN 1 AND 100),
    CONSTRAINT issues_seq CHECK (seq >= 1),
    CONSTRAINT issues_status CHECK (status IN ('issued', 'used', 'expired', 'revoked'))
) WITHOUT ROWID;
-- A NULL equals nothing, so leaving the NULLs out changes no rule and keeps the indexes small.
CREATE UNIQUE INDEX issues_event_user ON issues (event_id, user_id) WHERE event_id IS NOT NULL;
CREATE UNIQUE INDEX issues_coupon_user_key ON issues (coupon_id, user_id, idempotency_key) WHERE idempotency_key IS NOT NULL;
CREATE INDEX issues_of_user ON issues (user_id, accepted_at);

CREATE TABLE failed_events (
    id              INTEGER  NOT NULL PRIMARY KEY AUTOINCREMENT,
    topic           TEXT     NOT NULL,
    partition_no    INTEGER  NOT NULL,
    offset_no       INTEGER  NOT NULL,
    record_key      BLOB     NOT NULL, -- cut to 256 bytes
    payload         BLOB     NOT NULL, -- cut to 8 KiB
    reason          TEXT     NOT NULL,
    error           TEXT     NOT NULL,
    attempts        INTEGER  NOT NULL,
    next_attempt_at DATETIME NOT NULL,
    status          TEXT     NOT NULL,
    coupon_id       INTEGER  NULL, -- NULL: not known
    user_id         TEXT     NULL, -- NULL: not known
    lease_owner     TEXT     NOT NULL DEFAULT '',
    lease_until     DATETIME NULL,
    created_at      DATETIME NOT NULL,
    updated_at      DATETIME NOT NULL,
    CONSTRAINT failed_events_place UNIQUE (topic, partition_no, offset_no),
    CONSTRAINT failed_events_status CHECK (status IN ('waiting', 'replayed', 'quarantined'))
);
CREATE INDEX failed_events_due ON failed_events (status, next_attempt_at);
CREATE INDEX failed_events_user ON failed_events (coupon_id, user_id);

CREATE TABLE leases (
    name    TEXT     NOT NULL PRIMARY KEY,
    owner   TEXT     NOT NULL,
    "until" DATETIME NOT NULL
) WITHOUT ROWID;
