-- Version 4: durable readers. Their cursors stand among the others, as `reader/NAME`.
CREATE TABLE readers (
    name    TEXT PRIMARY KEY,
    options TEXT NOT NULL,  -- JSON
    memory  TEXT NOT NULL   -- JSON: what is settled ahead of the cursor, and how often the rest was handed out
) STRICT, WITHOUT ROWID;
