-- +goose Up
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
