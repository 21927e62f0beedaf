-- What the platform says it publishes. Filled with the types that the program ships when it is made.
-- Text that may hold any character is bytea.
CREATE TABLE event_types (
    seq            bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    name           text COLLATE "C" NOT NULL UNIQUE,
    description    bytea NOT NULL,
    sample_payload bytea, -- a JSON object
    schema         bytea, -- a JSON Schema
    deprecated     boolean NOT NULL
);

-- One row; its number goes up with each change of the catalog.
CREATE TABLE catalog_state (
    version bigint NOT NULL
);

INSERT INTO catalog_state (version) VALUES (1);
