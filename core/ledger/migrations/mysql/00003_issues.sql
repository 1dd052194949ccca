-- +goose Up
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
