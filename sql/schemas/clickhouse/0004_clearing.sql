-- Bids with all their terms, clearing results, and who was awarded what. Of versions with one key the newest stands: read with
-- FINAL. Withdrawals stay a month longer than rows, as in 0003.

ALTER TABLE bids
    ADD COLUMN IF NOT EXISTS asset Nullable(String) AFTER organisation,
    ADD COLUMN IF NOT EXISTS kind LowCardinality(String) DEFAULT 'curve' AFTER power_mw,
    ADD COLUMN IF NOT EXISTS terms String DEFAULT '"curve"' AFTER kind;

CREATE TABLE IF NOT EXISTS clearing (
    t DateTime64(3, 'UTC'),
    zone LowCardinality(String),
    location LowCardinality(String),
    market LowCardinality(String),
    start_time DateTime64(3, 'UTC'),
    duration_ms Int64,
    price Nullable(Float64),
    price_low Nullable(Float64),
    price_high Nullable(Float64),
    sold_mw Float64,
    bought_mw Float64,
    import_mw Float64,
    congested Bool,
    marginal_side LowCardinality(Nullable(String)),
    marginal_bid Nullable(String),
    buy_surplus Float64,
    sell_surplus Float64,
    offered_mw Float64,
    wanted_mw Float64,
    best_buy Nullable(Float64),
    best_sell Nullable(Float64),
    bids Int64,
    currency LowCardinality(Nullable(String)),
    removed Bool,
    is_deleted UInt8 DEFAULT removed,
    inserted_time DateTime DEFAULT now()
)
ENGINE = ReplacingMergeTree(t, is_deleted)
PARTITION BY toYYYYMM(start_time)
ORDER BY (zone, location, market, start_time)
TTL inserted_time + INTERVAL 430 DAY, inserted_time + INTERVAL 400 DAY DELETE WHERE NOT removed
SETTINGS non_replicated_deduplication_window = 1000;

CREATE TABLE IF NOT EXISTS awards (
    t DateTime64(3, 'UTC'),
    bid String,
    organisation LowCardinality(String),
    asset Nullable(String),
    zone LowCardinality(String),
    location LowCardinality(String),
    market LowCardinality(String),
    start_time DateTime64(3, 'UTC'),
    duration_ms Int64,
    side LowCardinality(String),
    power_mw Float64,
    price Float64,
    currency LowCardinality(Nullable(String)),
    removed Bool,
    is_deleted UInt8 DEFAULT removed,
    inserted_time DateTime DEFAULT now()
)
ENGINE = ReplacingMergeTree(t, is_deleted)
PARTITION BY toYYYYMM(start_time)
ORDER BY (bid, start_time)
TTL inserted_time + INTERVAL 430 DAY, inserted_time + INTERVAL 400 DAY DELETE WHERE NOT removed
SETTINGS non_replicated_deduplication_window = 1000;
