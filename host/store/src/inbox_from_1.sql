-- An inbox of version 1, whose rows are in the way of the next version's table, is made one of it: see `inbox.sql`, which is run in between.
INSERT INTO inbox (id, event_type, source_component, payload, severity, event_id, timestamp, correlation_id, causation_id, workflow_id, task_id,
        provider_id, metadata, outcome, sequence_number, reason, settled_at)
    SELECT id, event_type, source_component, payload, severity, event_id, timestamp, correlation_id, causation_id, workflow_id, task_id,
        provider_id, metadata, outcome, sequence_number, reason, settled_at
    FROM inbox_1;
-- Numbers are never given twice, those of rows that are gone neither.
DELETE FROM sqlite_sequence WHERE name = 'inbox';
INSERT INTO sqlite_sequence (name, seq) SELECT 'inbox', seq FROM sqlite_sequence WHERE name = 'inbox_1';
DROP TABLE inbox_1;
