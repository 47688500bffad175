-- A log of version 2 of the schema: the beginning of what a host of version 4 left, without what versions 3 and 4 have added. Frozen: every later version opens it.
PRAGMA application_id = 1414681419;
PRAGMA user_version = 2;

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

INSERT INTO event_types VALUES (1, 'engine:started');
INSERT INTO event_types VALUES (2, 'plugin:loaded');
INSERT INTO event_types VALUES (3, 'provider:registered');
INSERT INTO event_types VALUES (4, 'method:available');
INSERT INTO event_types VALUES (5, 'provider:available');
INSERT INTO event_types VALUES (6, 'system:started');
INSERT INTO event_types VALUES (7, 'reader:created');
INSERT INTO event_types VALUES (8, 'order:placed');
INSERT INTO event_types VALUES (9, 'ledger:noted');
INSERT INTO event_types VALUES (10, 'control:failed');
INSERT INTO event_types VALUES (11, 'workflow:submit');
INSERT INTO event_types VALUES (12, 'workflow:submitted');
INSERT INTO event_types VALUES (13, 'workflow:started');
INSERT INTO event_types VALUES (14, 'task:started');
INSERT INTO event_types VALUES (15, 'task:completed');
INSERT INTO event_types VALUES (16, 'workflow:completed');

INSERT INTO events VALUES (1, X'01A218FC85517AE7A92433EFA9E3B594', 1, 1, 1795715532113685088, 1795715532113717268, 'execution_engine', NULL, NULL, NULL, NULL, NULL, '{}', NULL, NULL, 0);
INSERT INTO events VALUES (2, X'01A218FC85517CF787EAB4B60532E57E', 2, 1, 1795715532113810613, 1795715532113821644, 'plugin_host', NULL, NULL, NULL, NULL, 'ledger', '{"accepted_by":null,"before":null,"changes":null,"effect_class":"stateful","on_fault":"proceed","plugin":"ledger","priority":100,"roles":{"control":false,"observer":true,"worker":false},"settings":"e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855","summary":"a handler of the program that embeds the host","version":"d4df4e095a8a8a7b4b6ec107db8ce29feaba17d0fb495a4825afeebd05953ced"}', NULL, NULL, 0);
INSERT INTO events VALUES (3, X'01A218FC855370088156782124784189', 2, 1, 1795715532115003049, 1795715532115018809, 'plugin_host', NULL, NULL, NULL, NULL, 'grumbler', '{"accepted_by":null,"before":null,"changes":null,"effect_class":"stateful","on_fault":"proceed","plugin":"grumbler","priority":100,"roles":{"control":false,"observer":true,"worker":false},"settings":"e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855","summary":"a handler of the program that embeds the host","version":"c7686c0da17bc931dcfa128bad2aa0729b759dde4fa07ba45b1f60ba317a7f06"}', NULL, NULL, 0);
INSERT INTO events VALUES (4, X'01A218FC855575CE856E48E38289E663', 2, 1, 1795715532117385085, 1795715532117400113, 'plugin_host', NULL, NULL, NULL, NULL, 'echo', '{"accepted_by":null,"before":null,"changes":null,"effect_class":"stateful","on_fault":"proceed","plugin":"echo","priority":100,"roles":{"control":false,"observer":false,"worker":true},"settings":"e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855","summary":"","version":"092c79e8f80e559e404bcf660c48f3522b67aba9ff1484b0367e1a4ddef7431d"}', NULL, NULL, 0);
INSERT INTO events VALUES (5, X'01A218FC8555767F946D3F1448A7DA22', 3, 1, 1795715532117406355, 1795715532117411274, 'plugin_host', NULL, NULL, NULL, NULL, 'echo', '{"methods":["loss/echo","loss/wait"],"workers":4}', NULL, NULL, 0);
INSERT INTO events VALUES (6, X'01A218FC855576B98EF0585D4ACE82F4', 4, 1, 1795715532117420371, 1795715532117423407, 'plugin_host', NULL, NULL, NULL, NULL, 'echo', '{"method":"loss/echo"}', NULL, NULL, 0);
INSERT INTO events VALUES (7, X'01A218FC855576CAB9D8D8AA5E786BCD', 4, 1, 1795715532117424619, 1795715532117426663, 'plugin_host', NULL, NULL, NULL, NULL, 'echo', '{"method":"loss/wait"}', NULL, NULL, 0);
INSERT INTO events VALUES (8, X'01A218FC855576D8B73E5430D75D8B3A', 5, 1, 1795715532117428086, 1795715532117430200, 'plugin_host', NULL, NULL, NULL, NULL, 'echo', '{"workers":4}', NULL, NULL, 0);
INSERT INTO events VALUES (9, X'01A218FC855577A4AFD1B087B620BC88', 6, 1, 1795715532117477869, 1795715532117481837, 'host', NULL, NULL, NULL, NULL, NULL, '{"plugins":3}', NULL, NULL, 0);
INSERT INTO events VALUES (10, X'01A218FC8555784CB110CCB3190D0940', 2, 1, 1795715532117518906, 1795715532117524897, 'plugin_host', NULL, NULL, NULL, NULL, 'gate', '{"accepted_by":null,"before":null,"changes":null,"effect_class":"stateful","on_fault":"proceed","plugin":"gate","priority":100,"roles":{"control":true,"observer":false,"worker":false},"settings":"e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855","summary":"a handler of the program that embeds the host","version":"a0cbc667951789fd43e8dde349ac67e532a9e7bc4ff3c60aeb2123abb1d72b18"}', NULL, NULL, 0);
INSERT INTO events VALUES (11, X'01A218FC855579139CFAA165B6815553', 7, 1, 1795715532117567427, 1795715532117575302, 'event_store', NULL, NULL, NULL, NULL, NULL, '{"by":"test","from":"0.0","options":{"ack_wait_ms":30000,"backoff_ms":100,"deliveries":5,"filter":{"correlation_ids":null,"event_types":["order:*"],"min_severity":null,"provider_ids":null,"source_components":null,"task_ids":null,"workflow_ids":null},"in_flight":8,"most_backoff_ms":10000,"narration":false,"order":"none"},"reader":"desk"}', NULL, NULL, 0);
INSERT INTO events VALUES (12, X'01A218FC855774C6B4E86F5E1620AC20', 8, 1, 1795715532119298262, 1795715532119439567, 'shop', NULL, NULL, NULL, NULL, NULL, '{"item":"Lämpchen","n":1}', '{"tenant":"acme"}', NULL, 0);
INSERT INTO events VALUES (13, X'01A218FC85577EC19AFD0D15536FDA73', 8, 1, 1795715532119922152, 1795715532120308116, 'shop', NULL, NULL, NULL, NULL, NULL, '{"item":"Lämpchen","n":2}', '{"tenant":"acme"}', NULL, 0);
INSERT INTO events VALUES (14, X'53C4546D9C8A5B25B3A71B193CAC3096', 9, 1, 1795715532121158510, 1795715532121244752, 'ledger', X'01A218FC855774C6B4E86F5E1620AC20', X'01A218FC855774C6B4E86F5E1620AC20', NULL, NULL, NULL, '{"of":12}', '{"hops":"1","plugin_version":"d4df4e095a8a"}', NULL, 0);
INSERT INTO events VALUES (15, X'01A218FC85587FB999F2F64EBF9ECB98', 8, 1, 1795715532120982611, 1795715532121303983, 'shop', NULL, NULL, NULL, NULL, NULL, '{"item":"Lämpchen","n":3}', '{"tenant":"acme"}', NULL, 0);
INSERT INTO events VALUES (16, X'01A218FC85597D7BBEAFA9D7B07F7A67', 8, 3, 1795715532121842673, 1795715532121909779, 'shop', 'basket-7', NULL, NULL, NULL, NULL, '{"item":"Lämpchen","n":4}', '{"tenant":"acme"}', NULL, 0);
INSERT INTO events VALUES (17, X'01A218FC855A7A26BB8D3615C0E468A1', 10, 2, 1795715532122634678, 1795715532122644907, 'control_manager', 'basket-7', X'01A218FC855A7904A672DE06DA53DF42', NULL, NULL, NULL, '{"by":"gate","event":{"event_id":"01a218fc-855a-7904-a672-de06da53df42","event_type":"order:placed","source_component":"shop"},"point":"publish","reason":"five is too many"}', NULL, NULL, 0);
INSERT INTO events VALUES (18, X'D5C7C71A35F85375B57D09A36E18EF7C', 9, 1, 1795715532122847898, 1795715532122872003, 'ledger', X'01A218FC85577EC19AFD0D15536FDA73', X'01A218FC85577EC19AFD0D15536FDA73', NULL, NULL, NULL, '{"of":13}', '{"hops":"1","plugin_version":"d4df4e095a8a"}', NULL, 0);
INSERT INTO events VALUES (19, X'8EF5A8C75FE05CF2BC05336D40784B7A', 9, 1, 1795715532135328088, 1795715532135368374, 'ledger', X'01A218FC85587FB999F2F64EBF9ECB98', X'01A218FC85587FB999F2F64EBF9ECB98', NULL, NULL, NULL, '{"of":15}', '{"hops":"1","plugin_version":"d4df4e095a8a"}', NULL, 0);
INSERT INTO events VALUES (20, X'01A218FC8567766BA5D74C46F69D2775', 8, 1, 1795715532135401095, 1795715532135608905, 'shop', 'basket-7', NULL, NULL, NULL, NULL, '{"item":"Lämpchen","n":6}', '{"tenant":"acme"}', NULL, 0);
INSERT INTO events VALUES (21, X'F941AEBAB16B5115B2E721DD4415C554', 9, 1, 1795715532141066598, 1795715532141153070, 'ledger', 'basket-7', X'01A218FC85597D7BBEAFA9D7B07F7A67', NULL, NULL, NULL, '{"of":16}', '{"hops":"1","plugin_version":"d4df4e095a8a"}', NULL, 0);
INSERT INTO events VALUES (22, X'01A218FC856F704C996C2EF9039E3CB1', 8, 1, 1795715532143018387, 1795715532143154653, 'shop', 'basket-7', NULL, NULL, NULL, NULL, '{"item":"Lämpchen","n":7}', '{"tenant":"acme"}', NULL, 0);
INSERT INTO events VALUES (23, X'01A218FC856F7E06ADB02CEDE1C28C40', 11, 1, 1795715532143876576, 1795715532144065500, 'embedded', NULL, NULL, X'01A218FC856F7E06ADB02CEDE1C28C40', NULL, NULL, '{"definition":"91bd461a4951fc496dc6aea854b10722223ad81e656dcf8a7e23bada7aef7a64","input":{"of":"whole"},"name":"whole"}', NULL, NULL, 0);
INSERT INTO events VALUES (24, X'01A218FC856F7F21B489459A9EC903F5', 12, 1, 1795715532143942219, 1795715532144065500, 'execution_engine', X'01A218FC856F7E06ADB02CEDE1C28C40', X'01A218FC856F7E06ADB02CEDE1C28C40', X'01A218FC856F7E06ADB02CEDE1C28C40', NULL, NULL, '{"name":"whole","definition":"91bd461a4951fc496dc6aea854b10722223ad81e656dcf8a7e23bada7aef7a64","input":{"of":"whole"},"tasks":2,"origin":"embedded"}', NULL, NULL, 0);
INSERT INTO events VALUES (25, X'01A218FC856F7FA0BC910E31215FE885', 13, 1, 1795715532143942219, 1795715532144065500, 'execution_engine', X'01A218FC856F7E06ADB02CEDE1C28C40', X'01A218FC856F7F21B489459A9EC903F5', X'01A218FC856F7E06ADB02CEDE1C28C40', NULL, NULL, '{}', NULL, '[{"t":"workflow:state_changed","at":1795715532143942219,"p":{"from":"submitted","to":"running"}},{"t":"task:submitted","at":1795715532143942219,"task":"a"},{"t":"task:created","at":1795715532143942219,"task":"a","p":{"method":"loss/echo"}},{"t":"task:submitted","at":1795715532143942219,"task":"b"},{"t":"task:created","at":1795715532143942219,"task":"b","p":{"method":"loss/echo"}}]', 5);
INSERT INTO events VALUES (26, X'01A218FC857070089AFCB1C448A31220', 14, 1, 1795715532143942219, 1795715532144065500, 'execution_engine', X'01A218FC856F7E06ADB02CEDE1C28C40', X'01A218FC856F7FA0BC910E31215FE885', X'01A218FC856F7E06ADB02CEDE1C28C40', 'a', 'echo', '{"method":"loss/echo","attempt":1,"version":"092c79e8f80e"}', NULL, '[{"t":"wave:started","at":1795715532143942219,"p":{"wave":0}},{"t":"task:ready","at":1795715532143942219},{"t":"queue:task_enqueued","at":1795715532143942219,"p":{"depth":0,"queue":"loss/echo"}},{"t":"task:queued","at":1795715532143942219},{"t":"task:available","at":1795715532143942219},{"t":"assignment:requested","at":1795715532143942219,"p":{"method":"loss/echo"}},{"t":"assignment:candidate_found","at":1795715532143942219,"provider":"echo","p":{"candidates":1}},{"t":"assignment:validated","at":1795715532143942219,"provider":"echo"},{"t":"assignment:approved","at":1795715532143942219,"provider":"echo"},{"t":"queue:task_dequeued","at":1795715532143942219,"p":{"queue":"loss/echo"}},{"t":"task:claimed","at":1795715532143942219,"provider":"echo"},{"t":"task:assigned","at":1795715532143942219,"provider":"echo"},{"t":"parameters:resolve_requested","at":1795715532143942219},{"t":"parameters:resolved","at":1795715532143942219,"p":{"substitutions":[]}},{"t":"assignment:executed","at":1795715532143942219,"provider":"echo"},{"t":"worker:busy","at":1795715532143942219,"provider":"echo"}]', 16);
INSERT INTO events VALUES (27, X'AC7E391DDCD75B298B2C3C9B433B0351', 9, 1, 1795715532146557212, 1795715532146588591, 'ledger', 'basket-7', X'01A218FC8567766BA5D74C46F69D2775', NULL, NULL, NULL, '{"of":20}', '{"hops":"1","plugin_version":"d4df4e095a8a"}', NULL, 0);
INSERT INTO events VALUES (28, X'01A218FC85757043BBCA2F09538125A5', 15, 1, 1795715532149009841, 1795715532149155163, 'execution_engine', X'01A218FC856F7E06ADB02CEDE1C28C40', X'01A218FC857070089AFCB1C448A31220', X'01A218FC856F7E06ADB02CEDE1C28C40', 'a', 'echo', '{"method":"loss/echo","attempt":1,"result":{"v":1},"duration_ms":5}', NULL, '[{"t":"worker:idle","at":1795715532149009841,"provider":"echo"},{"t":"task:duration","at":1795715532149009841,"p":{"duration_ms":5}}]', 2);
INSERT INTO events VALUES (29, X'01A218FC85757122A9634CA92FB61350', 14, 1, 1795715532149009841, 1795715532149155163, 'execution_engine', X'01A218FC856F7E06ADB02CEDE1C28C40', X'01A218FC85757043BBCA2F09538125A5', X'01A218FC856F7E06ADB02CEDE1C28C40', 'b', 'echo', '{"method":"loss/echo","attempt":1,"version":"092c79e8f80e"}', NULL, '[{"t":"wave:completed","at":1795715532149009841,"p":{"wave":0}},{"t":"wave:started","at":1795715532149009841,"p":{"wave":1}},{"t":"dependency:satisfied","at":1795715532149009841,"p":{"on":"a"}},{"t":"dependent:task:ready","at":1795715532149009841},{"t":"task:ready","at":1795715532149009841},{"t":"queue:task_enqueued","at":1795715532149009841,"p":{"depth":0,"queue":"loss/echo"}},{"t":"task:queued","at":1795715532149009841},{"t":"task:available","at":1795715532149009841},{"t":"assignment:requested","at":1795715532149009841,"p":{"method":"loss/echo"}},{"t":"assignment:candidate_found","at":1795715532149009841,"provider":"echo","p":{"candidates":1}},{"t":"assignment:validated","at":1795715532149009841,"provider":"echo"},{"t":"assignment:approved","at":1795715532149009841,"provider":"echo"},{"t":"queue:task_dequeued","at":1795715532149009841,"p":{"queue":"loss/echo"}},{"t":"task:claimed","at":1795715532149009841,"provider":"echo"},{"t":"task:assigned","at":1795715532149009841,"provider":"echo"},{"t":"parameters:resolve_requested","at":1795715532149009841},{"t":"parameters:resolved","at":1795715532149009841,"p":{"substitutions":[{"bytes":1,"from":"a","pointer":"/v","reference":"${a.v}"}]}},{"t":"assignment:executed","at":1795715532149009841,"provider":"echo"},{"t":"worker:busy","at":1795715532149009841,"provider":"echo"}]', 19);
INSERT INTO events VALUES (30, X'9A2A66F3F7405BD6B11ABA95B555449A', 9, 1, 1795715532154367496, 1795715532154418081, 'ledger', 'basket-7', X'01A218FC856F704C996C2EF9039E3CB1', NULL, NULL, NULL, '{"of":22}', '{"hops":"1","plugin_version":"d4df4e095a8a"}', NULL, 0);
INSERT INTO events VALUES (31, X'01A218FC857D704DA0FDBC5116A0249C', 15, 1, 1795715532157013197, 1795715532157086074, 'execution_engine', X'01A218FC856F7E06ADB02CEDE1C28C40', X'01A218FC85757122A9634CA92FB61350', X'01A218FC856F7E06ADB02CEDE1C28C40', 'b', 'echo', '{"method":"loss/echo","attempt":1,"result":{"v":1},"duration_ms":8}', NULL, '[{"t":"worker:idle","at":1795715532157013197,"provider":"echo"},{"t":"task:duration","at":1795715532157013197,"p":{"duration_ms":8}}]', 2);
INSERT INTO events VALUES (32, X'01A218FC857D70D78B767ADE9C32CF91', 16, 1, 1795715532157013197, 1795715532157086074, 'execution_engine', X'01A218FC856F7E06ADB02CEDE1C28C40', X'01A218FC856F7FA0BC910E31215FE885', X'01A218FC856F7E06ADB02CEDE1C28C40', NULL, NULL, '{"name":"whole","duration_ms":13,"completed":2,"skipped":0}', NULL, '[{"t":"wave:completed","at":1795715532157013197,"p":{"wave":1}},{"t":"workflow:state_changed","at":1795715532157013197,"p":{"from":"running","to":"completed"}},{"t":"workflow:duration","at":1795715532157013197,"p":{"duration_ms":13}}]', 3);
INSERT INTO events VALUES (33, X'01A218FC858F76FF8BCFA77B203158F8', 11, 1, 1795715532175437102, 1795715532175645182, 'embedded', NULL, NULL, X'01A218FC858F76FF8BCFA77B203158F8', NULL, NULL, '{"definition":"c6362731180d2da9c8069009f64e370bfd3644ba5efd1e338dc356f6f51e585f","input":{"of":"waiting"},"name":"waiting"}', NULL, NULL, 0);
INSERT INTO events VALUES (34, X'01A218FC858F7868B7AA156255229C95', 12, 1, 1795715532175520598, 1795715532175645182, 'execution_engine', X'01A218FC858F76FF8BCFA77B203158F8', X'01A218FC858F76FF8BCFA77B203158F8', X'01A218FC858F76FF8BCFA77B203158F8', NULL, NULL, '{"name":"waiting","definition":"c6362731180d2da9c8069009f64e370bfd3644ba5efd1e338dc356f6f51e585f","input":{"of":"waiting"},"tasks":2,"origin":"embedded"}', NULL, NULL, 0);
INSERT INTO events VALUES (35, X'01A218FC858F78DB8DD10C4D6BBD6FDD', 13, 1, 1795715532175520598, 1795715532175645182, 'execution_engine', X'01A218FC858F76FF8BCFA77B203158F8', X'01A218FC858F7868B7AA156255229C95', X'01A218FC858F76FF8BCFA77B203158F8', NULL, NULL, '{}', NULL, '[{"t":"workflow:state_changed","at":1795715532175520598,"p":{"from":"submitted","to":"running"}},{"t":"task:submitted","at":1795715532175520598,"task":"a"},{"t":"task:created","at":1795715532175520598,"task":"a","p":{"method":"loss/echo"}},{"t":"task:submitted","at":1795715532175520598,"task":"b"},{"t":"task:created","at":1795715532175520598,"task":"b","p":{"method":"loss/wait"}}]', 5);
INSERT INTO events VALUES (36, X'01A218FC858F7991B4851CB60D4F0C31', 14, 1, 1795715532175520598, 1795715532175645182, 'execution_engine', X'01A218FC858F76FF8BCFA77B203158F8', X'01A218FC858F78DB8DD10C4D6BBD6FDD', X'01A218FC858F76FF8BCFA77B203158F8', 'a', 'echo', '{"method":"loss/echo","attempt":1,"version":"092c79e8f80e"}', NULL, '[{"t":"wave:started","at":1795715532175520598,"p":{"wave":0}},{"t":"task:ready","at":1795715532175520598},{"t":"queue:task_enqueued","at":1795715532175520598,"p":{"depth":0,"queue":"loss/echo"}},{"t":"task:queued","at":1795715532175520598},{"t":"task:available","at":1795715532175520598},{"t":"assignment:requested","at":1795715532175520598,"p":{"method":"loss/echo"}},{"t":"assignment:candidate_found","at":1795715532175520598,"provider":"echo","p":{"candidates":1}},{"t":"assignment:validated","at":1795715532175520598,"provider":"echo"},{"t":"assignment:approved","at":1795715532175520598,"provider":"echo"},{"t":"queue:task_dequeued","at":1795715532175520598,"p":{"queue":"loss/echo"}},{"t":"task:claimed","at":1795715532175520598,"provider":"echo"},{"t":"task:assigned","at":1795715532175520598,"provider":"echo"},{"t":"parameters:resolve_requested","at":1795715532175520598},{"t":"parameters:resolved","at":1795715532175520598,"p":{"substitutions":[]}},{"t":"assignment:executed","at":1795715532175520598,"provider":"echo"},{"t":"worker:busy","at":1795715532175520598,"provider":"echo"}]', 16);
INSERT INTO events VALUES (37, X'01A218FC85927F138B14F53F7B75D24B', 15, 1, 1795715532178937004, 1795715532179047140, 'execution_engine', X'01A218FC858F76FF8BCFA77B203158F8', X'01A218FC858F7991B4851CB60D4F0C31', X'01A218FC858F76FF8BCFA77B203158F8', 'a', 'echo', '{"method":"loss/echo","attempt":1,"result":{"v":1},"duration_ms":3}', NULL, '[{"t":"worker:idle","at":1795715532178937004,"provider":"echo"},{"t":"task:duration","at":1795715532178937004,"p":{"duration_ms":3}}]', 2);
INSERT INTO events VALUES (38, X'01A218FC85927FC5A00C255F197F8BB5', 14, 1, 1795715532178937004, 1795715532179047140, 'execution_engine', X'01A218FC858F76FF8BCFA77B203158F8', X'01A218FC85927F138B14F53F7B75D24B', X'01A218FC858F76FF8BCFA77B203158F8', 'b', 'echo', '{"method":"loss/wait","attempt":1,"version":"092c79e8f80e"}', NULL, '[{"t":"wave:completed","at":1795715532178937004,"p":{"wave":0}},{"t":"wave:started","at":1795715532178937004,"p":{"wave":1}},{"t":"dependency:satisfied","at":1795715532178937004,"p":{"on":"a"}},{"t":"dependent:task:ready","at":1795715532178937004},{"t":"task:ready","at":1795715532178937004},{"t":"queue:task_enqueued","at":1795715532178937004,"p":{"depth":0,"queue":"loss/wait"}},{"t":"task:queued","at":1795715532178937004},{"t":"task:available","at":1795715532178937004},{"t":"assignment:requested","at":1795715532178937004,"p":{"method":"loss/wait"}},{"t":"assignment:candidate_found","at":1795715532178937004,"provider":"echo","p":{"candidates":1}},{"t":"assignment:validated","at":1795715532178937004,"provider":"echo"},{"t":"assignment:approved","at":1795715532178937004,"provider":"echo"},{"t":"queue:task_dequeued","at":1795715532178937004,"p":{"queue":"loss/wait"}},{"t":"task:claimed","at":1795715532178937004,"provider":"echo"},{"t":"task:assigned","at":1795715532178937004,"provider":"echo"},{"t":"parameters:resolve_requested","at":1795715532178937004},{"t":"parameters:resolved","at":1795715532178937004,"p":{"substitutions":[{"bytes":1,"from":"a","pointer":"/v","reference":"${a.v}"}]}},{"t":"assignment:executed","at":1795715532178937004,"provider":"echo"},{"t":"worker:busy","at":1795715532178937004,"provider":"echo"}]', 19);

INSERT INTO decisions VALUES (12, '[{"point":"publish","checks":[{"plugin":"gate","version":"a0cbc6679517","settings":"e3b0c44298fc","answer":"proceed","duration_ns":13355,"fuel":0}]}]');
INSERT INTO decisions VALUES (13, '[{"point":"publish","checks":[{"plugin":"gate","version":"a0cbc6679517","settings":"e3b0c44298fc","answer":"proceed","duration_ns":5591,"fuel":0}]}]');
INSERT INTO decisions VALUES (15, '[{"point":"publish","checks":[{"plugin":"gate","version":"a0cbc6679517","settings":"e3b0c44298fc","answer":"proceed","duration_ns":7825,"fuel":0}]}]');
INSERT INTO decisions VALUES (16, '[{"point":"publish","checks":[{"plugin":"gate","version":"a0cbc6679517","settings":"e3b0c44298fc","answer":"proceed","duration_ns":15328,"fuel":0}]}]');
INSERT INTO decisions VALUES (17, '[{"point":"publish","checks":[{"plugin":"gate","version":"a0cbc6679517","settings":"e3b0c44298fc","answer":"fail","reason":"five is too many","duration_ns":5690,"fuel":0}],"ended_by":"gate"}]');
INSERT INTO decisions VALUES (20, '[{"point":"publish","checks":[{"plugin":"gate","version":"a0cbc6679517","settings":"e3b0c44298fc","answer":"proceed","duration_ns":13496,"fuel":0}]}]');
INSERT INTO decisions VALUES (22, '[{"point":"publish","checks":[{"plugin":"gate","version":"a0cbc6679517","settings":"e3b0c44298fc","answer":"proceed","duration_ns":14898,"fuel":0}]}]');

INSERT INTO cursors VALUES ('observer/grumbler', 38, 4294967295);
INSERT INTO cursors VALUES ('observer/ledger', 38, 4294967295);

INSERT INTO kv VALUES ('grumbler', 'count', X'38', NULL);
INSERT INTO kv VALUES ('ledger', 'closing', X'736F6F6E', 9000000000000000000);
INSERT INTO kv VALUES ('ledger', 'count', X'39', NULL);
INSERT INTO kv VALUES ('ledger', 'sum', X'3530', NULL);

INSERT INTO outbox VALUES (10, 'ledger', X'0198F2B4000070008000000000000001', 9000000000000000000, '{"event_id":"0198f2b4-0000-7000-8000-000000000001","event_type":"ledger:closed","severity":"warning","payload":{"of":1},"metadata":{},"cause":null,"correlation_id":null,"timestamp":null,"due":"2255-03-14T16:00:00.000000000Z","raised":false}', 'basket-7', NULL, NULL, NULL, 1);

INSERT INTO blobs VALUES (X'91BD461A4951FC496DC6AEA854B10722223AD81E656DCF8A7E23BADA7AEF7A64', X'7B226E616D65223A2277686F6C65222C227461736B73223A5B7B226964223A2261222C226D6574686F64223A226C6F73732F6563686F222C22706172616D6574657273223A7B2276223A317D7D2C7B226964223A2262222C226D6574686F64223A226C6F73732F6563686F222C22646570656E64656E63696573223A5B2261225D2C22706172616D6574657273223A7B2276223A22247B612E767D227D7D5D7D');
INSERT INTO blobs VALUES (X'C6362731180D2DA9C8069009F64E370BFD3644BA5EFD1E338DC356F6F51E585F', X'7B226E616D65223A2277616974696E67222C227461736B73223A5B7B226964223A2261222C226D6574686F64223A226C6F73732F6563686F222C22706172616D6574657273223A7B2276223A317D7D2C7B226964223A2262222C226D6574686F64223A226C6F73732F77616974222C22646570656E64656E63696573223A5B2261225D2C22706172616D6574657273223A7B2276223A22247B612E767D227D7D5D7D');
INSERT INTO blobs VALUES (X'5570A3CF02207F1D352D2CFEA385BE4BC0B2B9414F606BAA6F55DB60B232F221', X'6120626C6F62');

INSERT INTO workflows VALUES (23, X'01A218FC856F7E06ADB02CEDE1C28C40', 'whole', 'completed', X'01A218FC856F7E06ADB02CEDE1C28C40', 32, 1795715532143942219, 1795715532157013197);
INSERT INTO workflows VALUES (33, X'01A218FC858F76FF8BCFA77B203158F8', 'waiting', 'running', X'01A218FC858F76FF8BCFA77B203158F8', 36, 1795715532175520598, NULL);
