-- The book of record, for SQLite: the same tables, keys and bounds as for MySQL.
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
    closes_at        DATETIME NOT NULL, -- the first instant after the window; not after opens_at: an empty one, while a window moves
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
