-- Version 2: the log as other programs of this machine read it, with ids and times as people write them.
--
--     SELECT * FROM log WHERE sequence > ? ORDER BY sequence LIMIT 1000

CREATE VIEW log AS
SELECT
    e.sequence AS sequence,
    lower(substr(hex(e.event_id), 1, 8) || '-' || substr(hex(e.event_id), 9, 4) || '-' || substr(hex(e.event_id), 13, 4) || '-'
        || substr(hex(e.event_id), 17, 4) || '-' || substr(hex(e.event_id), 21)) AS event_id,
    t.name AS event_type,
    CASE e.severity WHEN 0 THEN 'debug' WHEN 1 THEN 'info' WHEN 2 THEN 'warning' WHEN 3 THEN 'error' ELSE 'critical' END AS severity,
    strftime('%Y-%m-%dT%H:%M:%S', e.timestamp / 1000000000, 'unixepoch') || printf('.%09dZ', e.timestamp % 1000000000) AS timestamp,
    strftime('%Y-%m-%dT%H:%M:%S', e.recorded_at / 1000000000, 'unixepoch') || printf('.%09dZ', e.recorded_at % 1000000000) AS recorded_at,
    e.source_component AS source_component,
    CASE typeof(coalesce(e.correlation_id, e.event_id)) WHEN 'blob' THEN
        lower(substr(hex(coalesce(e.correlation_id, e.event_id)), 1, 8) || '-' || substr(hex(coalesce(e.correlation_id, e.event_id)), 9, 4) || '-'
            || substr(hex(coalesce(e.correlation_id, e.event_id)), 13, 4) || '-' || substr(hex(coalesce(e.correlation_id, e.event_id)), 17, 4)
            || '-' || substr(hex(coalesce(e.correlation_id, e.event_id)), 21))
        ELSE e.correlation_id END AS correlation_id,
    CASE typeof(e.causation_id) WHEN 'blob' THEN
        lower(substr(hex(e.causation_id), 1, 8) || '-' || substr(hex(e.causation_id), 9, 4) || '-' || substr(hex(e.causation_id), 13, 4) || '-'
            || substr(hex(e.causation_id), 17, 4) || '-' || substr(hex(e.causation_id), 21))
        ELSE e.causation_id END AS causation_id,
    CASE typeof(e.workflow_id) WHEN 'blob' THEN
        lower(substr(hex(e.workflow_id), 1, 8) || '-' || substr(hex(e.workflow_id), 9, 4) || '-' || substr(hex(e.workflow_id), 13, 4) || '-'
            || substr(hex(e.workflow_id), 17, 4) || '-' || substr(hex(e.workflow_id), 21))
        ELSE e.workflow_id END AS workflow_id,
    e.task_id AS task_id,
    e.provider_id AS provider_id,
    e.payload AS payload,
    e.metadata AS metadata
FROM events AS e JOIN event_types AS t USING (type_id);
