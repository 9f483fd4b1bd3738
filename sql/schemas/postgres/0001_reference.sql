-- Reference data, and how far each sink has written. The sink upserts zones at its start.

CREATE TABLE zones (
    code text PRIMARY KEY,
    name text NOT NULL,
    aliases text[] NOT NULL,
    timezone text NOT NULL,
    currency text NOT NULL,
    market text NOT NULL,
    operator text,
    country text NOT NULL,
    region text,
    latitude double precision NOT NULL,
    longitude double precision NOT NULL,
    headline text,
    reference text,
    limits jsonb NOT NULL,
    updated_time timestamptz NOT NULL DEFAULT now()
);
COMMENT ON TABLE zones IS 'market zones, as the running process knows them; prices in limits are currency per MWh';

CREATE TABLE locations (
    zone text NOT NULL REFERENCES zones (code) ON DELETE CASCADE,
    location text NOT NULL,
    aliases text[] NOT NULL,
    latitude double precision,
    longitude double precision,
    PRIMARY KEY (zone, location)
);
COMMENT ON TABLE locations IS 'hubs, areas and nodes known in advance; others appear in bars as they come';

CREATE TABLE progress (
    sink text NOT NULL,
    generation bigint NOT NULL,
    t timestamptz NOT NULL,
    updated_time timestamptz NOT NULL DEFAULT now(),
    PRIMARY KEY (sink, generation)
);
COMMENT ON TABLE progress IS 'every closed batch up to t is written; changed in the transaction that writes the rows';
