-- +goose Up
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
