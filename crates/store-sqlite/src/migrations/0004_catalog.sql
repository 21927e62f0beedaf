-- What the platform says it publishes. Filled with the types that the program ships when it is made.
CREATE TABLE event_types (
    seq            INTEGER PRIMARY KEY,
    name           TEXT NOT NULL UNIQUE,
    description    TEXT NOT NULL,
    sample_payload TEXT, -- a JSON object
    schema         TEXT, -- a JSON Schema
    deprecated     INTEGER NOT NULL
) STRICT;

-- One row; its number goes up with each change of the catalog.
CREATE TABLE catalog_state (
    version INTEGER NOT NULL
) STRICT;

INSERT INTO catalog_state (version) VALUES (1);
