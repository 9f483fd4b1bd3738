-- Markets and their rules by date, areas of zones, settlement; and what of the stream's tables a tenant may read.
--
-- The stream's own rules are those of its zone table, which it was started with; the rules here say what held when, for
-- people and for the API. The sink writes the stream's tables as their owner, so row-level security is not forced on them.

CREATE TABLE markets (
    code text PRIMARY KEY CHECK (code ~ '^[A-Z0-9_]{1,64}$'),
    name text NOT NULL CHECK (is_name(name)),
    kind text NOT NULL CHECK (kind IN ('continuous', 'real_time', 'day_ahead')),
    interval_ms integer NOT NULL CHECK (interval_ms BETWEEN 0 AND 86400000)
);
COMMENT ON TABLE markets IS 'the markets of model::Market; interval_ms 0: no delivery intervals';

CREATE TABLE gate_closures (
    id uuid PRIMARY KEY DEFAULT gen_random_uuid(),
    zone text NOT NULL REFERENCES zones (code) ON DELETE CASCADE,
    market text NOT NULL REFERENCES markets (code),
    effective_date date NOT NULL CHECK (effective_date BETWEEN '1990-01-01' AND '2100-01-01'),
    days_before integer NOT NULL CHECK (days_before BETWEEN 0 AND 31),
    local_time time NOT NULL,
    timezone text NOT NULL CHECK (is_name(timezone, 64)),
    version bigint NOT NULL DEFAULT 1,
    created_time timestamptz NOT NULL DEFAULT now(),
    updated_time timestamptz NOT NULL DEFAULT now(),
    UNIQUE (zone, market, effective_date)
);
COMMENT ON TABLE gate_closures IS 'bids for a day of delivery must be in at local_time, days_before it; holds from effective_date to the next one''s';

CREATE TABLE price_limits (
    id uuid PRIMARY KEY DEFAULT gen_random_uuid(),
    zone text NOT NULL REFERENCES zones (code) ON DELETE CASCADE,
    market text NOT NULL REFERENCES markets (code),
    effective_date date NOT NULL CHECK (effective_date BETWEEN '1990-01-01' AND '2100-01-01'),
    floor_per_mwh double precision NOT NULL CHECK (floor_per_mwh BETWEEN -1e6 AND 1e6),
    cap_per_mwh double precision NOT NULL CHECK (cap_per_mwh BETWEEN -1e6 AND 1e6),
    currency text NOT NULL CHECK (currency ~ '^[A-Z]{3}$'),
    version bigint NOT NULL DEFAULT 1,
    created_time timestamptz NOT NULL DEFAULT now(),
    updated_time timestamptz NOT NULL DEFAULT now(),
    UNIQUE (zone, market, effective_date),
    CHECK (floor_per_mwh < cap_per_mwh)
);
COMMENT ON TABLE price_limits IS 'least and highest price of a bid; holds from effective_date to the next one''s';

CREATE TABLE zone_areas (
    zone text PRIMARY KEY REFERENCES zones (code) ON DELETE CASCADE,
    area geography(MultiPolygon, 4326) NOT NULL,
    source text NOT NULL CHECK (is_name(source, 500)),
    version bigint NOT NULL DEFAULT 1,
    created_time timestamptz NOT NULL DEFAULT now(),
    updated_time timestamptz NOT NULL DEFAULT now()
);
COMMENT ON TABLE zone_areas IS 'outlines of zones where they are known';
CREATE INDEX zone_areas_by_place ON zone_areas USING gist (area);

SELECT create_time_series('settlements', $$
    t timestamptz NOT NULL,
    organisation text NOT NULL,
    asset text NOT NULL,
    bid text NOT NULL,
    zone text NOT NULL,
    location text NOT NULL,
    market text NOT NULL,
    start_time timestamptz NOT NULL,
    duration_ms bigint NOT NULL,
    day_time timestamptz NOT NULL,
    scheduled_mw double precision NOT NULL,
    day_ahead double precision NOT NULL,
    metered_mw double precision,
    imbalance_mw double precision,
    real_time_price double precision,
    imbalance double precision,
    penalty double precision,
    total double precision,
    currency text,
    removed boolean NOT NULL,
    PRIMARY KEY (organisation, asset, bid, zone, location, market, start_time, duration_ms)
$$, 'start_time');
COMMENT ON TABLE settlements IS 'what each asset is owed for each delivery interval; what is not known yet is null, never 0';
CREATE INDEX settlements_by_day ON settlements (organisation, day_time);
CREATE VIEW settlements_current WITH (security_invoker = true) AS SELECT * FROM settlements WHERE NOT removed;

-- A view, since a bid and its steps are one message, written as one row; indexed queries ask for the bid.
CREATE VIEW bid_steps WITH (security_invoker = true) AS
SELECT
    bid, organisation, zone, location, market, side, n::integer AS step,
    CASE jsonb_typeof(item -> 'delivery')
        WHEN 'number' THEN to_timestamp((item ->> 'delivery')::double precision / 1000)
        WHEN 'string' THEN (item ->> 'delivery')::timestamptz
        ELSE delivery_time
    END AS start_time,
    (item ->> 'price')::double precision AS price_per_mwh,
    coalesce(item ->> 'end_price', item ->> 'price')::double precision AS end_price_per_mwh,
    (item ->> 'power')::double precision AS power_mw,
    coalesce((item ->> 'min_power')::double precision, 0) AS min_power_mw
FROM bids, jsonb_array_elements(CASE WHEN jsonb_typeof(steps) = 'array' THEN steps ELSE '[]' END) WITH ORDINALITY AS items (item, n)
WHERE NOT removed;
COMMENT ON VIEW bid_steps IS 'the curve of each bid, a row a step; end_price differs for a piece of a linear curve';

-- Without marginal_bid, which names somebody's bid.
CREATE VIEW auction_results WITH (security_invoker = true) AS
SELECT t, zone, location, market, start_time, duration_ms, price, price_low, price_high, sold_mw, bought_mw, import_mw,
    congested, marginal_side, buy_surplus, sell_surplus, offered_mw, wanted_mw, best_buy, best_sell, bids, currency
FROM auctions WHERE NOT removed;
COMMENT ON VIEW auction_results IS 'auctions as every tenant may see them';

ALTER VIEW bars_current SET (security_invoker = true);
ALTER VIEW anomalies_current SET (security_invoker = true);
ALTER VIEW latest_prices SET (security_invoker = true);
ALTER VIEW bids_current SET (security_invoker = true);
ALTER VIEW auctions_current SET (security_invoker = true);

-- Market data: for whoever signed in.
DO $$
DECLARE
    name text;
BEGIN
    FOREACH name IN ARRAY '{zones,locations,bars,anomalies,anomaly_life,notices,auctions,bids,bid_events,settlements,markets,gate_closures,price_limits,zone_areas}'::text[] LOOP
        EXECUTE format('ALTER TABLE %I ENABLE ROW LEVEL SECURITY', name);
        -- No bid, no settlement and no other tenant's alert is for the operator.
        IF name !~ '^(bids|bid_events|settlements|anomal.*)$' THEN
            EXECUTE format('CREATE POLICY optibid_tenant ON %I FOR SELECT TO optibid_tenant USING ((SELECT current_organisation()) IS NOT NULL)', name);
            EXECUTE format('CREATE POLICY optibid_operator ON %I TO optibid_operator USING (current_user = ''optibid_operator'')', name);
        END IF;
        EXECUTE format('CREATE POLICY optibid_system ON %I FOR SELECT TO optibid_system USING (current_user = ''optibid_system'')', name);
        EXECUTE format('GRANT SELECT ON %I TO optibid_system', name);
    END LOOP;
END $$;
GRANT SELECT ON zones, locations, bars, anomalies, anomaly_life, notices, bids, bid_events, settlements, markets, gate_closures,
    price_limits, zone_areas, bars_current, anomalies_current, latest_prices, bids_current, settlements_current, bid_steps,
    auction_results TO optibid_tenant;
GRANT SELECT (t, zone, location, market, start_time, duration_ms, price, price_low, price_high, sold_mw, bought_mw, import_mw,
    congested, marginal_side, buy_surplus, sell_surplus, offered_mw, wanted_mw, best_buy, best_sell, bids, currency, removed)
    ON auctions TO optibid_tenant;
GRANT SELECT ON zones, locations, bars, notices, auctions, markets, bars_current, latest_prices, auctions_current, auction_results TO optibid_operator;
GRANT SELECT, INSERT, UPDATE, DELETE ON gate_closures, price_limits, zone_areas TO optibid_operator;

-- A tenant's own (its code is asked for in place: a function with a query in it is not inlined and costs 0.1 ms); of alerts also those of the platform's rules, whose names have no slash (see alert_rules.rule).
CREATE POLICY optibid_tenant ON bids FOR SELECT TO optibid_tenant USING (organisation = (SELECT code FROM organisations WHERE id = current_organisation()));
CREATE POLICY optibid_tenant ON bid_events FOR SELECT TO optibid_tenant USING (organisation = (SELECT code FROM organisations WHERE id = current_organisation()));
CREATE POLICY optibid_tenant ON settlements FOR SELECT TO optibid_tenant USING (organisation = (SELECT code FROM organisations WHERE id = current_organisation()));
CREATE POLICY optibid_tenant ON anomalies FOR SELECT TO optibid_tenant USING (
    CASE strpos(rule, '/') WHEN 0 THEN (SELECT current_organisation()) IS NOT NULL
        ELSE split_part(rule, '/', 1) = (SELECT code FROM organisations WHERE id = current_organisation()) END);
CREATE POLICY optibid_tenant ON anomaly_life FOR SELECT TO optibid_tenant USING (
    CASE strpos(rule, '/') WHEN 0 THEN (SELECT current_organisation()) IS NOT NULL
        ELSE split_part(rule, '/', 1) = (SELECT code FROM organisations WHERE id = current_organisation()) END);

-- By keyset; the older index had no last column to tell rows of one moment apart.
DROP INDEX bids_by_organisation;
CREATE INDEX bids_by_organisation ON bids (organisation, delivery_time, bid);

SELECT track_version(name) FROM unnest('{gate_closures,price_limits,zone_areas}'::regclass[]) AS name;
SELECT track_changes('markets', 'id:code');
SELECT track_changes('zone_areas', 'id:zone', 'large:area');
SELECT track_changes(name) FROM unnest('{gate_closures,price_limits}'::regclass[]) AS name;
