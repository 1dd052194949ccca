-- +goose Up
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
