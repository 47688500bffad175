-- The inbox, version 2. One file, `inbox.db`, in WAL mode: any process of this machine adds rows, and the host says what became of each.
--
--     INSERT INTO inbox (event_type, source_component, payload) VALUES ('order:placed', 'shop', '{"amount": 20}')
--     INSERT INTO inbox (cloud_event) VALUES ('{"specversion": "1.0", "id": "o-1", "source": "/shop", "type": "order.placed", "data": {}}')

-- Whose inbox it is: rows are told from those of another file by it.
CREATE TABLE IF NOT EXISTS identity (
    id TEXT NOT NULL
);

CREATE TABLE inbox (
    -- The order, and with the file's identity the event's: never given twice.
    id               INTEGER PRIMARY KEY AUTOINCREMENT,
    event_type       TEXT,
    source_component TEXT,
    payload          TEXT,              -- JSON; NULL: {}
    severity         TEXT,              -- debug, info, warning, error, critical; NULL: info
    event_id         TEXT,              -- a UUID of yours; the host fills in its own
    timestamp        TEXT,              -- RFC 3339; NULL: when the host took it
    correlation_id   TEXT,
    causation_id     TEXT,
    workflow_id      TEXT,
    task_id          TEXT,
    provider_id      TEXT,
    metadata         TEXT,              -- a JSON object of strings
    cloud_event      TEXT,              -- instead of all of these: the event in CloudEvents 1.0, a JSON object

    -- The host's: what became of it. A row without an outcome has yet to be taken.
    outcome          TEXT,              -- appended, duplicate, skipped, refused
    sequence_number  INTEGER,
    reason           TEXT,
    settled_at       INTEGER,           -- nanoseconds since 1970

    CONSTRAINT event_type_and_source_component_or_cloud_event
        CHECK (iif(cloud_event IS NULL, event_type IS NOT NULL AND source_component IS NOT NULL, event_type IS NULL AND source_component IS NULL))
);
CREATE INDEX inbox_waiting ON inbox (id) WHERE outcome IS NULL;
CREATE INDEX inbox_settled ON inbox (settled_at) WHERE settled_at IS NOT NULL;
