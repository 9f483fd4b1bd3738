-- The market of bids: bids as they stand, their life, and auctions. A row is the newest version of its key, as in 0002; read the
-- views *_current, or add WHERE NOT removed.
--
-- A bid may move to another day of delivery, so its row is in no partition. terms is json, since names in it may hold what
-- jsonb refuses (the character 0); steps are numbers alone.

CREATE TABLE bids (
    t timestamptz NOT NULL,
    bid text NOT NULL,
    organisation text NOT NULL,
    asset text,
    zone text NOT NULL,
    location text NOT NULL,
    market text NOT NULL,
    delivery_time timestamptz NOT NULL,
    duration_ms bigint NOT NULL,
    side text NOT NULL,
    status text NOT NULL,
    revision bigint NOT NULL,
    power_mw double precision NOT NULL,
    kind text NOT NULL,
    terms json NOT NULL,
    steps jsonb NOT NULL,
    event_time timestamptz NOT NULL,
    removed boolean NOT NULL,
    PRIMARY KEY (bid)
);
COMMENT ON TABLE bids IS 'each bid as it stands, whatever its status; its life is in bid_events';

SELECT create_time_series('bid_events', $$
    t timestamptz NOT NULL,
    bid text NOT NULL,
    organisation text NOT NULL,
    asset text,
    zone text NOT NULL,
    location text NOT NULL,
    market text NOT NULL,
    delivery_time timestamptz NOT NULL,
    duration_ms bigint NOT NULL,
    side text NOT NULL,
    status text NOT NULL,
    revision bigint NOT NULL,
    power_mw double precision NOT NULL,
    kind text NOT NULL,
    terms json NOT NULL,
    steps jsonb NOT NULL,
    event_time timestamptz NOT NULL,
    removed boolean NOT NULL,
    PRIMARY KEY (bid, t)
$$, 't');
COMMENT ON TABLE bid_events IS 'each version of each bid that became current, at the t when it did';

SELECT create_time_series('auctions', $$
    t timestamptz NOT NULL,
    zone text NOT NULL,
    location text NOT NULL,
    market text NOT NULL,
    start_time timestamptz NOT NULL,
    duration_ms bigint NOT NULL,
    price double precision,
    price_low double precision,
    price_high double precision,
    sold_mw double precision NOT NULL,
    bought_mw double precision NOT NULL,
    import_mw double precision NOT NULL,
    congested boolean NOT NULL,
    marginal_side text,
    marginal_bid text,
    buy_surplus double precision NOT NULL,
    sell_surplus double precision NOT NULL,
    offered_mw double precision NOT NULL,
    wanted_mw double precision NOT NULL,
    best_buy double precision,
    best_sell double precision,
    bids bigint NOT NULL,
    currency text,
    removed boolean NOT NULL,
    PRIMARY KEY (zone, location, market, start_time)
$$, 'start_time');
COMMENT ON TABLE auctions IS 'how each delivery interval clears in one zone, as its book stands; revised in place';

CREATE INDEX bids_by_delivery ON bids (delivery_time, zone);
CREATE INDEX bids_by_organisation ON bids (organisation, delivery_time);
CREATE INDEX auctions_by_time ON auctions (start_time);

CREATE VIEW bids_current AS SELECT * FROM bids WHERE NOT removed;
CREATE VIEW auctions_current AS SELECT * FROM auctions WHERE NOT removed;
