-- The book of record of the main path, for MySQL 8.0 and MariaDB.
--
-- Compared byte for byte: ascii_bin for what machines name (user ids, keys, tags), utf8mb4_bin for what people name. With
-- a default collation `alice` would be a duplicate of `Alice`, and lost.
-- CHECK constraints are a second line: MariaDB and MySQL from 8.0.16 on hold them, MySQL 8.0.15 reads past them.
-- Every statement can be run again, since DDL commits by itself: a migration cut off in the middle starts over.

-- +goose Up
CREATE TABLE IF NOT EXISTS vendors (
    id         BIGINT       NOT NULL,
    name       VARCHAR(100) CHARACTER SET utf8mb4 COLLATE utf8mb4_bin NOT NULL,
    balance    BIGINT       NOT NULL DEFAULT 0, -- minor units of money
    created_at DATETIME(6)  NOT NULL,
    PRIMARY KEY (id),
    UNIQUE KEY vendors_name (name)
) ENGINE = InnoDB DEFAULT CHARACTER SET utf8mb4 COLLATE utf8mb4_bin;

CREATE TABLE IF NOT EXISTS events (
    id         BIGINT       NOT NULL,
    name       VARCHAR(100) CHARACTER SET utf8mb4 COLLATE utf8mb4_bin NOT NULL,
    starts_at  DATETIME(6)  NOT NULL,
    ends_at    DATETIME(6)  NOT NULL,
    created_at DATETIME(6)  NOT NULL,
    PRIMARY KEY (id),
    UNIQUE KEY events_name (name)
) ENGINE = InnoDB DEFAULT CHARACTER SET utf8mb4 COLLATE utf8mb4_bin;

CREATE TABLE IF NOT EXISTS coupons (
    id               BIGINT       NOT NULL,
    vendor_id        BIGINT       NOT NULL,
    event_id         BIGINT       NULL,     -- NULL: of no event
    tag              VARCHAR(24)  CHARACTER SET ascii COLLATE ascii_bin NOT NULL,
    name             VARCHAR(100) CHARACTER SET utf8mb4 COLLATE utf8mb4_bin NOT NULL,
    kind             VARCHAR(20)  CHARACTER SET ascii COLLATE ascii_bin NOT NULL,
    total_quantity   BIGINT       NULL,     -- NULL: unlimited
    issued_count     BIGINT       NOT NULL DEFAULT 0,
    per_user_limit   INT          NOT NULL,
    state            VARCHAR(10)  CHARACTER SET ascii COLLATE ascii_bin NOT NULL,
    opens_at         DATETIME(6)  NOT NULL,
    closes_at        DATETIME(6)  NOT NULL, -- the first instant after the window
    revision         BIGINT       NOT NULL, -- the latest change taken
    applied_revision BIGINT       NOT NULL, -- the change whose terms stand in this row
    discount_type    VARCHAR(10)  CHARACTER SET ascii COLLATE ascii_bin NULL,
    discount_value   BIGINT       NOT NULL DEFAULT 0,
    min_order_amount BIGINT       NOT NULL DEFAULT 0,
    stackable        TINYINT(1)   NOT NULL DEFAULT 0,
    valid_for_days   INT          NULL,     -- NULL: no end
    max_uses         BIGINT       NULL,     -- NULL: no cap on uses
    created_at       DATETIME(6)  NOT NULL,
    PRIMARY KEY (id),
    UNIQUE KEY coupons_name (name),
    KEY coupons_tag (tag, id),
    CONSTRAINT coupons_vendor FOREIGN KEY (vendor_id) REFERENCES vendors (id),
    CONSTRAINT coupons_event FOREIGN KEY (event_id) REFERENCES events (id),
    CONSTRAINT coupons_cap CHECK (total_quantity IS NULL OR issued_count <= total_quantity),
    CONSTRAINT coupons_count CHECK (issued_count >= 0),
    CONSTRAINT coupons_window CHECK (opens_at < closes_at),
    CONSTRAINT coupons_limit CHECK (per_user_limit BETWEEN 1 AND 100)
) ENGINE = InnoDB DEFAULT CHARACTER SET utf8mb4 COLLATE utf8mb4_bin;

-- The changes of a coupon's terms, append-only: what was wanted, by whom and why. How a change ended is a row of its own.
CREATE TABLE IF NOT EXISTS coupon_changes (
    coupon_id      BIGINT       NOT NULL,
    revision       BIGINT       NOT NULL,
    epoch          BIGINT       NOT NULL, -- of the gate when the revision was taken
    stored_first   TINYINT(1)   NOT NULL, -- a widening: the coupon's row took the terms in the same transaction
    from_total     BIGINT       NULL,
    from_state     VARCHAR(10)  CHARACTER SET ascii COLLATE ascii_bin NOT NULL,
    from_opens_at  DATETIME(6)  NOT NULL,
    from_closes_at DATETIME(6)  NOT NULL,
    to_total       BIGINT       NULL,
    to_state       VARCHAR(10)  CHARACTER SET ascii COLLATE ascii_bin NOT NULL,
    to_opens_at    DATETIME(6)  NOT NULL,
    to_closes_at   DATETIME(6)  NOT NULL,
    reason         VARCHAR(200) CHARACTER SET utf8mb4 COLLATE utf8mb4_bin NOT NULL,
    changed_by     VARCHAR(64)  CHARACTER SET utf8mb4 COLLATE utf8mb4_bin NOT NULL,
    created_at     DATETIME(6)  NOT NULL,
    PRIMARY KEY (coupon_id, revision)
) ENGINE = InnoDB DEFAULT CHARACTER SET utf8mb4 COLLATE utf8mb4_bin;

CREATE TABLE IF NOT EXISTS coupon_change_ends (
    coupon_id BIGINT      NOT NULL,
    revision  BIGINT      NOT NULL,
    outcome   VARCHAR(16) CHARACTER SET ascii COLLATE ascii_bin NOT NULL, -- done, refused or superseded
    ended_at  DATETIME(6) NOT NULL,
    PRIMARY KEY (coupon_id, revision)
) ENGINE = InnoDB DEFAULT CHARACTER SET utf8mb4 COLLATE utf8mb4_bin;

CREATE TABLE IF NOT EXISTS gates (
    tag         VARCHAR(24)  CHARACTER SET ascii COLLATE ascii_bin NOT NULL,
    epoch       BIGINT       NOT NULL,
    state       VARCHAR(10)  CHARACTER SET ascii COLLATE ascii_bin NOT NULL DEFAULT 'live', -- live or retired
    owner       VARCHAR(128) CHARACTER SET utf8mb4 COLLATE utf8mb4_bin NOT NULL DEFAULT '', -- the latest rebuild's name
    lease_until DATETIME(6)  NULL, -- saves work only; safety rests on the epoch
    created_at  DATETIME(6)  NOT NULL,
    updated_at  DATETIME(6)  NOT NULL,
    PRIMARY KEY (tag),
    CONSTRAINT gates_epoch CHECK (epoch >= 1)
) ENGINE = InnoDB DEFAULT CHARACTER SET utf8mb4 COLLATE utf8mb4_bin;

-- Never deleted: an old barrier may still be needed to judge a record.
CREATE TABLE IF NOT EXISTS gate_barriers (
    tag          VARCHAR(24) CHARACTER SET ascii COLLATE ascii_bin NOT NULL,
    epoch        BIGINT      NOT NULL,
    partition_no INT         NOT NULL,
    noted_end    BIGINT      NOT NULL,
    PRIMARY KEY (tag, epoch, partition_no)
) ENGINE = InnoDB DEFAULT CHARACTER SET utf8mb4 COLLATE utf8mb4_bin;

-- No foreign key to coupons: inserting an issue would lock the coupon's row shared before its counter is raised, and two
-- writers of one coupon would deadlock on every batch.
CREATE TABLE IF NOT EXISTS issues (
    coupon_id       BIGINT      NOT NULL,
    user_id         VARCHAR(64) CHARACTER SET ascii COLLATE ascii_bin NOT NULL,
    nth             INT         NOT NULL,
    seq             BIGINT      NOT NULL,
    epoch           BIGINT      NOT NULL,
    status          VARCHAR(10) CHARACTER SET ascii COLLATE ascii_bin NOT NULL,
    event_id        BIGINT      NULL, -- NULL: taking it does not use up the user's place in an event
    idempotency_key VARCHAR(64) CHARACTER SET ascii COLLATE ascii_bin NULL, -- NULL: the per-user limit is 1
    accepted_at     DATETIME(6) NOT NULL,
    issued_at       DATETIME(6) NOT NULL,
    used_at         DATETIME(6) NULL,
    expires_at      DATETIME(6) NULL, -- NULL: never
    PRIMARY KEY (coupon_id, user_id, nth),
    UNIQUE KEY issues_event_user (event_id, user_id),
    UNIQUE KEY issues_coupon_user_key (coupon_id, user_id, idempotency_key),
    KEY issues_of_user (user_id, accepted_at),
    CONSTRAINT issues_nth CHECK (nth BETWEEN 1 AND 100),
    CONSTRAINT issues_seq CHECK (seq >= 1),
    CONSTRAINT issues_status CHECK (status IN ('issued', 'used', 'expired', 'revoked'))
) ENGINE = InnoDB DEFAULT CHARACTER SET utf8mb4 COLLATE utf8mb4_bin;

CREATE TABLE IF NOT EXISTS failed_events (
    id              BIGINT         NOT NULL AUTO_INCREMENT,
    topic           VARCHAR(249)   CHARACTER SET ascii COLLATE ascii_bin NOT NULL,
    partition_no    INT            NOT NULL,
    offset_no       BIGINT         NOT NULL,
    record_key      VARBINARY(256) NOT NULL, -- cut to its length here
    payload         BLOB           NOT NULL, -- cut to 8 KiB
    reason          VARCHAR(32)    CHARACTER SET ascii COLLATE ascii_bin NOT NULL,
    error           VARCHAR(1000)  CHARACTER SET utf8mb4 COLLATE utf8mb4_bin NOT NULL,
    attempts        INT            NOT NULL,
    next_attempt_at DATETIME(6)    NOT NULL,
    status          VARCHAR(16)    CHARACTER SET ascii COLLATE ascii_bin NOT NULL,
    coupon_id       BIGINT         NULL, -- NULL: not known
    user_id         VARCHAR(64)    CHARACTER SET ascii COLLATE ascii_bin NULL, -- NULL: not known
    lease_owner     VARCHAR(128)   CHARACTER SET utf8mb4 COLLATE utf8mb4_bin NOT NULL DEFAULT '',
    lease_until     DATETIME(6)    NULL,
    created_at      DATETIME(6)    NOT NULL,
    updated_at      DATETIME(6)    NOT NULL,
    PRIMARY KEY (id),
    UNIQUE KEY failed_events_place (topic, partition_no, offset_no),
    KEY failed_events_due (status, next_attempt_at),
    KEY failed_events_user (coupon_id, user_id),
    CONSTRAINT failed_events_status CHECK (status IN ('waiting', 'replayed', 'quarantined'))
) ENGINE = InnoDB DEFAULT CHARACTER SET utf8mb4 COLLATE utf8mb4_bin;

CREATE TABLE IF NOT EXISTS leases (
    name    VARCHAR(100) CHARACTER SET ascii COLLATE ascii_bin NOT NULL,
    owner   VARCHAR(128) CHARACTER SET utf8mb4 COLLATE utf8mb4_bin NOT NULL,
    `until` DATETIME(6)  NOT NULL,
    PRIMARY KEY (name)
) ENGINE = InnoDB DEFAULT CHARACTER SET utf8mb4 COLLATE utf8mb4_bin;
