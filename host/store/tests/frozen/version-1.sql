-- A log as version 1 of the schema left it. Frozen: every later version opens it.
PRAGMA application_id = 1414681419;
PRAGMA user_version = 1;

CREATE TABLE event_types (
    type_id INTEGER PRIMARY KEY,
    name    TEXT NOT NULL UNIQUE
) STRICT;

CREATE TABLE events (
    sequence         INTEGER PRIMARY KEY,
    event_id         BLOB NOT NULL,
    type_id          INTEGER NOT NULL,  -- event_types
    severity         INTEGER NOT NULL,  -- 0 debug … 4 critical
    timestamp        INTEGER NOT NULL,  -- the publisher's claim
    recorded_at      INTEGER NOT NULL,
    source_component TEXT NOT NULL,
    correlation_id   ANY,               -- NULL: the event's own id
    causation_id     ANY,
    workflow_id      ANY,
    task_id          TEXT,
    provider_id      TEXT,
    payload          TEXT NOT NULL,
    metadata         TEXT,              -- a JSON object of strings; NULL: none
    narration        TEXT,              -- the moments that led here; NULL: none
    parts            INTEGER NOT NULL   -- how many moments
) STRICT;

CREATE UNIQUE INDEX events_by_id ON events (event_id);
CREATE INDEX events_by_type ON events (type_id);
CREATE INDEX events_by_correlation ON events (correlation_id) WHERE correlation_id IS NOT NULL;
CREATE INDEX events_by_workflow ON events (workflow_id) WHERE workflow_id IS NOT NULL;

CREATE TABLE decisions (
    sequence INTEGER PRIMARY KEY,  -- events
    records  TEXT NOT NULL
) STRICT;

CREATE TABLE cursors (
    name     TEXT PRIMARY KEY,
    sequence INTEGER NOT NULL,
    part     INTEGER NOT NULL
) STRICT, WITHOUT ROWID;

CREATE TABLE kv (
    plugin     TEXT NOT NULL,
    key        TEXT NOT NULL,
    value      BLOB NOT NULL,
    expires_at INTEGER,            -- NULL: never
    PRIMARY KEY (plugin, key)
) STRICT, WITHOUT ROWID;
CREATE INDEX kv_by_expiry ON kv (expires_at) WHERE expires_at IS NOT NULL;

CREATE TABLE outbox (
    id             INTEGER PRIMARY KEY,
    plugin         TEXT NOT NULL,
    event_id       BLOB NOT NULL,
    due            INTEGER,        -- NULL: at once
    publish        TEXT NOT NULL,  -- JSON
    correlation_id TEXT NOT NULL,
    causation_id   TEXT,
    workflow_id    TEXT,
    task_id        TEXT,
    hops           INTEGER NOT NULL
) STRICT;

CREATE INDEX outbox_by_due ON outbox (due);
CREATE INDEX outbox_scheduled ON outbox (plugin, event_id) WHERE due IS NOT NULL;

CREATE TABLE blobs (
    digest BLOB NOT NULL UNIQUE,
    bytes  BLOB NOT NULL
) STRICT;

CREATE TABLE workflows (
    first_sequence INTEGER PRIMARY KEY,  -- events: the order of submission
    workflow_id    ANY NOT NULL UNIQUE,
    name           TEXT NOT NULL,
    status         TEXT NOT NULL,
    correlation_id ANY NOT NULL,
    last_sequence  INTEGER NOT NULL,     -- events
    submitted_at   INTEGER NOT NULL,
    ended_at       INTEGER               -- NULL: not ended
) STRICT;
CREATE INDEX workflows_unfinished ON workflows (first_sequence) WHERE ended_at IS NULL;
CREATE INDEX workflows_by_status ON workflows (status);
INSERT INTO event_types VALUES (1, 'order:placed'), (2, 'workflow:submitted');
INSERT INTO events VALUES (1, x'0198f2b4000070008000000000000001', 1, 1, 1700000000123456789, 1700000000200000000, 'shop', NULL, NULL, NULL, NULL, NULL, '{"amount": 20.50}', NULL, NULL, 0);
INSERT INTO events VALUES (2, x'0198f2b4000070008000000000000002', 2, 3, 1700000001000000001, 1700000001000000002, 'shop', 'basket-7', x'0198f2b4000070008000000000000001', 'w-1', 't', 'p', 'null', '{"tenant":"acme"}', NULL, 0);
INSERT INTO cursors VALUES ('observer/audit', 1, 4294967295);
INSERT INTO kv VALUES ('audit', 'seen', x'31', NULL);
INSERT INTO workflows VALUES (2, 'w-1', '', 'submitted', 'basket-7', 2, 1700000001000000001, NULL);
