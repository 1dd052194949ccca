-- The book of record, for MySQL 8.0 and MariaDB.
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
    closes_at        DATETIME(6)  NOT NULL, -- the first instant after the window; not after opens_at: an empty one, while a window moves
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
