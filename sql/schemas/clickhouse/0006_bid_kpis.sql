-- Key figures of bids: what an organisation has in the book of a delivery interval, and how much of it was taken. Of versions with
-- one key the newest stands: read with FINAL. Withdrawals stay a month longer than rows, as in 0003.

CREATE TABLE IF NOT EXISTS bid_kpis (
    t DateTime64(3, 'UTC'),
    organisation LowCardinality(String),
    zone LowCardinality(String),
    location LowCardinality(String),
    market LowCardinality(String),
    side LowCardinality(String),
    start_time DateTime64(3, 'UTC'),
    duration_ms Int64,
    live_bids Int64,
    withdrawn_bids Int64,
    rejected_bids Int64,
    expired_bids Int64,
    offered_mw Float64,
    mean_price Nullable(Float64),
    awarded_mw Float64,
    acceptance_percent Nullable(Float64),
    currency LowCardinality(Nullable(String)),
    removed Bool,
    is_deleted UInt8 DEFAULT removed,
    inserted_time DateTime DEFAULT now()
)
ENGINE = ReplacingMergeTree(t, is_deleted)
PARTITION BY toYYYYMM(start_time)
ORDER BY (zone, location, market, side, start_time, duration_ms, organisation)
TTL inserted_time + INTERVAL 430 DAY, inserted_time + INTERVAL 400 DAY DELETE WHERE NOT removed
SETTINGS non_replicated_deduplication_window = 1000;
