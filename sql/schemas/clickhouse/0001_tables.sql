-- Everything the dataflow says, for analytics. Columns are those of the live SQL tables.
--
-- A row is a version: t is the moment it was written at. Tables are ReplacingMergeTree(t), so of the versions of one key
-- the newest stands: read with FINAL, or with argMax(…, t). Withdrawn bars and bids are rows with removed = true, which
-- FINAL leaves out. Retention counts from insertion, not from the row's own time, so that a replay of old years stays;
-- change it with ALTER TABLE … MODIFY TTL.
-- non_replicated_deduplication_window: a block inserted twice (same token) is dropped by the server.
-- ClickHouse has no transactions for this: IF NOT EXISTS lets a file that was half applied be applied again.

CREATE TABLE IF NOT EXISTS ticks (
    t DateTime64(3, 'UTC'),
    zone LowCardinality(String),
    location LowCardinality(String),
    market LowCardinality(String),
    event_time DateTime64(3, 'UTC') CODEC(Delta, ZSTD),
    duration_ms Int64,
    price Float64,
    volume Float64,
    currency LowCardinality(Nullable(String)),
    energy Nullable(Float64),
    congestion Nullable(Float64),
    loss Nullable(Float64),
    id String,
    revision Int64,
    cancelled Bool,
    disposition LowCardinality(String),
    source LowCardinality(Nullable(String)),
    topic LowCardinality(String),
    partition Int32,
    offset Int64 CODEC(Delta, ZSTD),
    removed Bool,
    inserted_time DateTime DEFAULT now()
)
ENGINE = ReplacingMergeTree(t)
PARTITION BY toYYYYMM(event_time)
ORDER BY (zone, location, market, event_time, topic, partition, offset, id)
TTL inserted_time + INTERVAL 90 DAY
SETTINGS non_replicated_deduplication_window = 1000;

CREATE TABLE IF NOT EXISTS bars (
    t DateTime64(3, 'UTC'),
    zone LowCardinality(String),
    location LowCardinality(String),
    market LowCardinality(String),
    granularity LowCardinality(String),
    start_time DateTime64(3, 'UTC') CODEC(Delta, ZSTD),
    end_time DateTime64(3, 'UTC') CODEC(Delta, ZSTD),
    open Float64,
    high Float64,
    low Float64,
    close Float64,
    mean Float64,
    vwap Nullable(Float64),
    std Nullable(Float64),
    volume Float64,
    count Int64,
    first_time DateTime64(3, 'UTC'),
    last_time DateTime64(3, 'UTC'),
    currency LowCardinality(Nullable(String)),
    sum_price Int128,
    sum_price_sq Int128,
    sum_price_volume Int128,
    removed Bool,
    is_deleted UInt8 DEFAULT removed,
    inserted_time DateTime DEFAULT now()
)
ENGINE = ReplacingMergeTree(t, is_deleted)
PARTITION BY toYYYYMM(start_time)
ORDER BY (granularity, zone, location, market, start_time)
TTL inserted_time + INTERVAL 400 DAY
SETTINGS non_replicated_deduplication_window = 1000;

-- One point a minute of T; a withdrawal is a point too (removed), so that an earlier point does not stand in for it.
CREATE TABLE IF NOT EXISTS kpis (
    t DateTime64(3, 'UTC'),
    zone LowCardinality(String),
    location LowCardinality(String),
    market LowCardinality(String),
    window_min UInt32,
    last Float64,
    last_time DateTime64(3, 'UTC'),
    change Float64,
    change_percent Nullable(Float64),
    min Float64,
    max Float64,
    mean Float64,
    vwap Nullable(Float64),
    volatility Nullable(Float64),
    volume Float64,
    count Int64,
    spread Nullable(Float64),
    currency LowCardinality(Nullable(String)),
    removed Bool,
    minute DateTime('UTC') MATERIALIZED toStartOfMinute(t),
    inserted_time DateTime DEFAULT now()
)
ENGINE = ReplacingMergeTree(t)
PARTITION BY toYYYYMM(t)
ORDER BY (zone, location, market, window_min, minute)
TTL inserted_time + INTERVAL 400 DAY
SETTINGS non_replicated_deduplication_window = 1000;

-- Each alert as it stands. Its life is in anomaly_life.
CREATE TABLE IF NOT EXISTS anomalies (
    t DateTime64(3, 'UTC'),
    id String,
    zone LowCardinality(String),
    location LowCardinality(String),
    market LowCardinality(String),
    rule LowCardinality(String),
    kind LowCardinality(String),
    severity LowCardinality(String),
    start_time DateTime64(3, 'UTC'),
    value Float64,
    baseline Nullable(Float64),
    z Nullable(Float64),
    threshold Float64,
    state LowCardinality(String),
    raised_time DateTime64(3, 'UTC'),
    revision UInt32,
    withdrawn Bool,
    removed Bool,
    inserted_time DateTime DEFAULT now()
)
ENGINE = ReplacingMergeTree(t)
PARTITION BY toYYYYMM(start_time)
ORDER BY (zone, location, market, start_time, id)
TTL inserted_time + INTERVAL 400 DAY
SETTINGS non_replicated_deduplication_window = 1000;

CREATE TABLE IF NOT EXISTS correlations (
    t DateTime64(3, 'UTC'),
    zone_a LowCardinality(String),
    location_a LowCardinality(String),
    market_a LowCardinality(String),
    zone_b LowCardinality(String),
    location_b LowCardinality(String),
    market_b LowCardinality(String),
    window_min UInt32,
    lag_min UInt32,
    n Int64,
    r Nullable(Float64),
    removed Bool,
    minute DateTime('UTC') MATERIALIZED toStartOfMinute(t),
    inserted_time DateTime DEFAULT now()
)
ENGINE = ReplacingMergeTree(t)
PARTITION BY toYYYYMM(t)
ORDER BY (zone_a, location_a, market_a, zone_b, location_b, market_b, window_min, lag_min, minute)
TTL inserted_time + INTERVAL 400 DAY
SETTINGS non_replicated_deduplication_window = 1000;

CREATE TABLE IF NOT EXISTS bids (
    t DateTime64(3, 'UTC'),
    bid String,
    organisation LowCardinality(String),
    zone LowCardinality(String),
    location LowCardinality(String),
    market LowCardinality(String),
    delivery_time DateTime64(3, 'UTC'),
    duration_ms Int64,
    side LowCardinality(String),
    status LowCardinality(String),
    revision Int64,
    power_mw Float64,
    steps String,
    event_time DateTime64(3, 'UTC'),
    removed Bool,
    is_deleted UInt8 DEFAULT removed,
    inserted_time DateTime DEFAULT now()
)
ENGINE = ReplacingMergeTree(t, is_deleted)
PARTITION BY toYYYYMM(inserted_time)
ORDER BY bid
TTL inserted_time + INTERVAL 400 DAY
SETTINGS non_replicated_deduplication_window = 1000;

CREATE TABLE IF NOT EXISTS notices (
    t DateTime64(3, 'UTC'),
    id String,
    zone LowCardinality(String),
    class LowCardinality(String),
    alert_type LowCardinality(String),
    message String,
    severity LowCardinality(String),
    event_time DateTime64(3, 'UTC'),
    inserted_time DateTime DEFAULT now()
)
ENGINE = ReplacingMergeTree(t)
PARTITION BY toYYYYMM(event_time)
ORDER BY (zone, event_time, id)
TTL inserted_time + INTERVAL 400 DAY
SETTINGS non_replicated_deduplication_window = 1000;

CREATE TABLE IF NOT EXISTS dead_letters (
    t DateTime64(3, 'UTC'),
    topic LowCardinality(String),
    partition Int32,
    offset Int64,
    row UInt32,
    reason LowCardinality(String),
    detail String,
    bytes String,
    inserted_time DateTime DEFAULT now()
)
ENGINE = ReplacingMergeTree(t)
PARTITION BY toYYYYMM(t)
ORDER BY (topic, partition, offset, row)
TTL inserted_time + INTERVAL 30 DAY
SETTINGS non_replicated_deduplication_window = 1000;
