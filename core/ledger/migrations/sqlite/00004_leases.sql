-- +goose Up
CREATE TABLE leases (
    name    TEXT     NOT NULL PRIMARY KEY,
    owner   TEXT     NOT NULL,
    "until" DATETIME NOT NULL
) WITHOUT ROWID;
