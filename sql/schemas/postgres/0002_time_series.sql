-- Bars, alerts with their life, and notices: partitioned by time.
--
-- With the TimescaleDB extension in the database (CREATE EXTENSION timescaledb before the first migration) the tables
-- are hypertables; without it they are native range partitions, one a month, made by ensure_partitions as rows come.
-- A row is the newest version of its key: t says when it was written, removed that it was withdrawn (the row stays, so
-- that an older version cannot come back). Read the views *_current, or add WHERE NOT removed.

CREATE FUNCTION create_time_series(name text, columns text, time_column text) RETURNS void LANGUAGE plpgsql AS $$
BEGIN
    IF EXISTS (SELECT FROM pg_extension WHERE extname = 'timescaledb') THEN
        EXECUTE format('CREATE TABLE %I (%s)', name, columns);
        EXECUTE format('SELECT create_hypertable(%L, %L, chunk_time_interval => interval ''1 month'')', name, time_column);
    ELSE
        EXECUTE format('CREATE TABLE %I (%s) PARTITION BY RANGE (%I)', name, columns, time_column);
    END IF;
END $$;

-- Makes the monthly partitions of a table for every month that touches [from_time, to_time]. Nothing to do for a
-- hypertable. Concurrent callers wait for each other.
CREATE FUNCTION ensure_partitions(name text, from_time timestamptz, to_time timestamptz) RETURNS integer
LANGUAGE plpgsql AS $$
DECLARE
    month timestamp := date_trunc('month', from_time AT TIME ZONE 'UTC');
    made integer := 0;
    part text;
BEGIN
    IF NOT EXISTS (SELECT FROM pg_partitioned_table WHERE partrelid = name::regclass) THEN
        RETURN 0;
    END IF;
    WHILE month <= to_time AT TIME ZONE 'UTC' LOOP
        part := format('%s_%s', name, to_char(month, 'YYYY_MM'));
        IF to_regclass(quote_ident(part)) IS NULL THEN
            PERFORM pg_advisory_xact_lock(hashtext('optibid.partitions'), hashtext(part));
            IF to_regclass(quote_ident(part)) IS NULL THEN
                EXECUTE format(
                    'CREATE TABLE %I PARTITION OF %I FOR VALUES FROM (%L) TO (%L)',
                    part, name, month AT TIME ZONE 'UTC', (month + interval '1 month') AT TIME ZONE 'UTC'
                );
                made := made + 1;
            END IF;
        END IF;
        month := month + interval '1 month';
    END LOOP;
    RETURN made;
END $$;

-- Drops the monthly partitions that end before a time; returns how many. For a hypertable use drop_chunks.
CREATE FUNCTION drop_partitions_before(name text, before_time timestamptz) RETURNS integer LANGUAGE plpgsql AS $$
DECLARE
    part regclass;
    dropped integer := 0;
BEGIN
    FOR part IN SELECT inhrelid::regclass FROM pg_inherits WHERE inhparent = name::regclass LOOP
        IF (to_date(right(part::text, 7), 'YYYY_MM') + interval '1 month') AT TIME ZONE 'UTC' <= before_time THEN
            EXECUTE format('DROP TABLE %s', part);
            dropped := dropped + 1;
        END IF;
    END LOOP;
    RETURN dropped;
END $$;

SELECT create_time_series('bars', $$
    t timestamptz NOT NULL,
    zone text NOT NULL,
    location text NOT NULL,
    market text NOT NULL,
    granularity text NOT NULL,
    start_time timestamptz NOT NULL,
    end_time timestamptz NOT NULL,
    open double precision NOT NULL,
    high double precision NOT NULL,
    low double precision NOT NULL,
    close double precision NOT NULL,
    mean double precision NOT NULL,
    vwap double precision,
    std double precision,
    volume double precision NOT NULL,
    count bigint NOT NULL,
    first_time timestamptz NOT NULL,
    last_time timestamptz NOT NULL,
    currency text,
    sum_price numeric NOT NULL,
    sum_price_sq numeric NOT NULL,
    sum_price_volume numeric NOT NULL,
    removed boolean NOT NULL,
    PRIMARY KEY (zone, location, market, granularity, start_time)
$$, 'start_time');
COMMENT ON TABLE bars IS 'newest version of each bar; prices in currency per MWh, volume in MWh, exact sums in micros and kWh';

SELECT create_time_series('anomalies', $$
    t timestamptz NOT NULL,
    id text NOT NULL,
    zone text NOT NULL,
    location text NOT NULL,
    market text NOT NULL,
    rule text NOT NULL,
    kind text NOT NULL,
    severity text NOT NULL,
    start_time timestamptz NOT NULL,
    value double precision NOT NULL,
    baseline double precision,
    z double precision,
    threshold double precision NOT NULL,
    state text NOT NULL,
    raised_time timestamptz NOT NULL,
    revision bigint NOT NULL,
    withdrawn boolean NOT NULL,
    removed boolean NOT NULL,
    PRIMARY KEY (id, start_time)
$$, 'start_time');
COMMENT ON TABLE anomalies IS 'each alert as it stands; its life is in anomaly_life';

SELECT create_time_series('anomaly_life', $$
    t timestamptz NOT NULL,
    id text NOT NULL,
    zone text NOT NULL,
    location text NOT NULL,
    market text NOT NULL,
    rule text NOT NULL,
    kind text NOT NULL,
    severity text NOT NULL,
    start_time timestamptz NOT NULL,
    value double precision NOT NULL,
    baseline double precision,
    z double precision,
    threshold double precision NOT NULL,
    state text NOT NULL,
    raised_time timestamptz NOT NULL,
    revision bigint NOT NULL,
    withdrawn boolean NOT NULL,
    removed boolean NOT NULL,
    PRIMARY KEY (id, t, start_time)
$$, 'start_time');
COMMENT ON TABLE anomaly_life IS 'each step of each alert: raised, revised, withdrawn';

SELECT create_time_series('notices', $$
    t timestamptz NOT NULL,
    id text NOT NULL,
    zone text NOT NULL,
    class text NOT NULL,
    alert_type text NOT NULL,
    message text NOT NULL,
    severity text NOT NULL,
    event_time timestamptz NOT NULL,
    PRIMARY KEY (id, event_time)
$$, 'event_time');

CREATE INDEX bars_by_time ON bars (granularity, start_time);
CREATE INDEX anomalies_by_place ON anomalies (zone, start_time);
CREATE INDEX notices_by_place ON notices (zone, event_time);

CREATE VIEW bars_current AS SELECT * FROM bars WHERE NOT removed;
CREATE VIEW anomalies_current AS SELECT * FROM anomalies WHERE NOT withdrawn;
CREATE VIEW latest_prices AS
SELECT DISTINCT ON (zone, location, market)
    zone, location, market, close AS price, currency, last_time, start_time, t
FROM bars
WHERE granularity = '1m' AND NOT removed
ORDER BY zone, location, market, start_time DESC;
