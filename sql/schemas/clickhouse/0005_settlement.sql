-- Settlement of delivery intervals, and profit and loss by day of delivery. Of versions with one key the newest stands: read with
-- FINAL. Withdrawals stay a month longer than rows, as in 0003. What is not known yet is NULL, never 0.

CREATE TABLE IF NOT EXISTS settlement (
    t DateTime64(3, 'UTC'),
    organisation LowCardinality(String),
    asset String,
    bid String,
    zone LowCardinality(String),
    location LowCardinality(String),
    market LowCardinality(String),
    start_time DateTime64(3, 'UTC'),
    duration_ms Int64,
    day_time DateTime64(3, 'UTC'),
    scheduled_mw Float64,
    day_ahead Float64,
    metered_mw Nullable(Float64),
    imbalance_mw Nullable(Float64),
    real_time_price Nullable(Float64),
    imbalance Nullable(Float64),
    penalty Nullable(Float64),
    total Nullable(Float64),
    currency LowCardinality(Nullable(String)),
    removed Bool,
    is_deleted UInt8 DEFAULT removed,
    inserted_time DateTime DEFAULT now()
)
ENGINE = ReplacingMergeTree(t, is_deleted)
PARTITION BY toYYYYMM(start_time)
ORDER BY (organisation, asset, bid, zone, location, market, start_time, duration_ms)
TTL inserted_time + INTERVAL 430 DAY, inserted_time + INTERVAL 400 DAY DELETE WHERE NOT removed
SETTINGS non_replicated_deduplication_window = 1000;

CREATE TABLE IF NOT EXISTS pnl (
    t DateTime64(3, 'UTC'),
    organisation LowCardinality(String),
    asset String,
    zone LowCardinality(String),
    start_time DateTime64(3, 'UTC'),
    end_time DateTime64(3, 'UTC'),
    day_ahead Float64,
    imbalance Float64,
    penalty Float64,
    total Float64,
    intervals Int64,
    open_intervals Int64,
    currency LowCardinality(Nullable(String)),
    removed Bool,
    is_deleted UInt8 DEFAULT removed,
    inserted_time DateTime DEFAULT now()
)
ENGINE = ReplacingMergeTree(t, is_deleted)
PARTITION BY toYYYYMM(start_time)
ORDER BY (organisation, asset, zone, start_time)
TTL inserted_time + INTERVAL 430 DAY, inserted_time + INTERVAL 400 DAY DELETE WHERE NOT removed
SETTINGS non_replicated_deduplication_window = 1000;
