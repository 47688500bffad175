-- Version 3: what is kept, and what is not. Retention takes events out of the middle of the log; dead letters stay until somebody has decided.

-- Stretches of the log that are no longer there, both ends included; two that touch are one. The log has no gaps but these. Programs that read the
-- log through the view `log` find here what they cannot see any more.
CREATE TABLE trimmed (
    first INTEGER PRIMARY KEY,
    last  INTEGER NOT NULL
) STRICT;

-- Ids of trimmed events, for a while: who publishes one again is told that it was there.
CREATE TABLE trimmed_ids (
    event_id   BLOB PRIMARY KEY,
    sequence   INTEGER NOT NULL,
    content    BLOB NOT NULL,     -- what the event is known again by; the engine's
    trimmed_at INTEGER NOT NULL
) STRICT, WITHOUT ROWID;
CREATE INDEX trimmed_ids_by_time ON trimmed_ids (trimmed_at);

-- Dead letters: a fold over `event:dead_lettered`, `event:redriven` and `event:purged`, which hold all that is known of them.
CREATE TABLE dead_letters (
    sequence       INTEGER PRIMARY KEY,  -- events: the event:dead_lettered
    plugin         TEXT NOT NULL,
    code           TEXT NOT NULL,
    event_type     TEXT NOT NULL,        -- of what could not be handed over, or published
    event_sequence INTEGER,              -- events: what could not be handed over; NULL: a publish, which is in no log
    dead_at        INTEGER NOT NULL
) STRICT;
CREATE INDEX dead_letters_by_event ON dead_letters (event_sequence) WHERE event_sequence IS NOT NULL;

-- Deliveries that failed, of events that may yet be taken. Rows go when the reader has come past the event, and stand in the dead letter then.
CREATE TABLE attempts (
    reader   TEXT NOT NULL,
    sequence INTEGER NOT NULL,  -- events
    part     INTEGER NOT NULL,
    attempt  INTEGER NOT NULL,  -- from 1
    told     TEXT NOT NULL,     -- JSON: when, of which version, and what it said
    PRIMARY KEY (reader, sequence, part, attempt)
) STRICT, WITHOUT ROWID;
