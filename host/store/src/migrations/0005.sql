-- Version 5: full text over the payloads of some types, for `events --text`.

-- The types that are opted in, as patterns; the host's configuration says which. None: the index is empty.
CREATE TABLE full_text_types (
    pattern TEXT PRIMARY KEY
) STRICT, WITHOUT ROWID;

-- The words of their payloads; the row's number is the event's sequence. Follows from the events, which alone have the text.
CREATE VIRTUAL TABLE full_text USING fts5(words, content = '', contentless_delete = 1);
