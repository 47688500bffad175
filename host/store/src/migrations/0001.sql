-- The log, version 1. One file, `log.db`, in WAL mode; only the host's writer thread changes it.
--
-- Ids that are UUIDs in their usual spelling are kept as 16 bytes (BLOB), all others as written (TEXT): hence ANY.
-- Times are nanoseconds since 1970 (INTEGER). JSON is kept as the text it came in.

-- Event types by number, so that an event spends one or two bytes on its type and a pattern becomes a few numbers.
CREATE TABLE event_types (
    type_id INTEGER PRIMARY KEY,
    name    TEXT NOT NULL UNIQUE
) STRICT;

-- The events. `sequence` counts from 1 without gaps; `recorded_at` never falls along it, so that times are found by halving.
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

-- An id is the identity of its event.
CREATE UNIQUE INDEX events_by_id ON events (event_id);
-- Every index ends in the sequence, so each gives its events in the log's order.
CREATE INDEX events_by_type ON events (type_id);
CREATE INDEX events_by_correlation ON events (correlation_id) WHERE correlation_id IS NOT NULL;
CREATE INDEX events_by_workflow ON events (workflow_id) WHERE workflow_id IS NOT NULL;

-- What control handlers said about an event: a JSON array of decision records.
CREATE TABLE decisions (
    sequence INTEGER PRIMARY KEY,  -- events
    records  TEXT NOT NULL
) STRICT;

-- How far each reader has come.
CREATE TABLE cursors (
    name     TEXT PRIMARY KEY,
    sequence INTEGER NOT NULL,
    part     INTEGER NOT NULL
) STRICT, WITHOUT ROWID;

-- The plugins' own spaces.
CREATE TABLE kv (
    plugin     TEXT NOT NULL,
    key        TEXT NOT NULL,
    value      BLOB NOT NULL,
    expires_at INTEGER,            -- NULL: never
    PRIMARY KEY (plugin, key)
) STRICT, WITHOUT ROWID;
CREATE INDEX kv_by_expiry ON kv (expires_at) WHERE expires_at IS NOT NULL;

-- Publishes that were released with a call and have not been taken through the door yet. Rows go when they are done.
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

-- What goes at once, in its order, and what is due next.
CREATE INDEX outbox_by_due ON outbox (due);
-- What a plugin has scheduled.
CREATE INDEX outbox_scheduled ON outbox (plugin, event_id) WHERE due IS NOT NULL;

-- Definitions and large values, by the SHA-256 of their bytes.
CREATE TABLE blobs (
    digest BLOB NOT NULL UNIQUE,
    bytes  BLOB NOT NULL
) STRICT;

-- Workflows, for lists and for finding the work to be done. Their state is a fold over their events; this is an index to it.
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
-- Small whatever the number of finished ones.
CREATE INDEX workflows_unfinished ON workflows (first_sequence) WHERE ended_at IS NULL;
CREATE INDEX workflows_by_status ON workflows (status);
