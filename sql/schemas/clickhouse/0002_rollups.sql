-- Hourly and daily figures and alerts' lives, kept by materialised views as rows are inserted.
--
-- A sum over inserted versions would count a corrected bar twice, and a block that is inserted again as well. So the
-- views keep argMax(…, t) of each hour's (day's) bar, which the dataflow itself has already revised: a newer version
-- replaces, an older or repeated one changes nothing, a withdrawn one is left out on reading. Hours and days are the
-- location's own (days of 23, 24 or 25 hours).

CREATE TABLE IF NOT EXISTS prices_hourly (
    zone LowCardinality(String),
    location LowCardinality(String),
    market LowCardinality(String),
    start_time DateTime64(3, 'UTC'),
    version SimpleAggregateFunction(max, DateTime64(3, 'UTC')),
    end_time AggregateFunction(argMax, DateTime64(3, 'UTC'), DateTime64(3, 'UTC')),
    open AggregateFunction(argMax, Float64, DateTime64(3, 'UTC')),
    high AggregateFunction(argMax, Float64, DateTime64(3, 'UTC')),
    low AggregateFunction(argMax, Float64, DateTime64(3, 'UTC')),
    close AggregateFunction(argMax, Float64, DateTime64(3, 'UTC')),
    mean AggregateFunction(argMax, Float64, DateTime64(3, 'UTC')),
    volume AggregateFunction(argMax, Float64, DateTime64(3, 'UTC')),
    count AggregateFunction(argMax, Int64, DateTime64(3, 'UTC')),
    removed AggregateFunction(argMax, Bool, DateTime64(3, 'UTC'))
)
ENGINE = AggregatingMergeTree
PARTITION BY toYYYYMM(start_time)
ORDER BY (zone, location, market, start_time);

CREATE MATERIALIZED VIEW IF NOT EXISTS prices_hourly_mv TO prices_hourly AS
SELECT zone, location, market, start_time, max(t) AS version,
    argMaxState(bars.end_time, t) AS end_time, argMaxState(bars.open, t) AS open, argMaxState(bars.high, t) AS high,
    argMaxState(bars.low, t) AS low, argMaxState(bars.close, t) AS close, argMaxState(bars.mean, t) AS mean,
    argMaxState(bars.volume, t) AS volume, argMaxState(bars.count, t) AS count, argMaxState(bars.removed, t) AS removed
FROM bars
WHERE granularity = '1h'
GROUP BY zone, location, market, start_time;

CREATE VIEW IF NOT EXISTS prices_by_hour AS
SELECT zone, location, market, start_time, argMaxMerge(prices_hourly.end_time) AS end_time,
    argMaxMerge(prices_hourly.open) AS open, argMaxMerge(prices_hourly.high) AS high,
    argMaxMerge(prices_hourly.low) AS low, argMaxMerge(prices_hourly.close) AS close,
    argMaxMerge(prices_hourly.mean) AS mean, argMaxMerge(prices_hourly.volume) AS volume,
    argMaxMerge(prices_hourly.count) AS count, max(version) AS t
FROM prices_hourly
GROUP BY zone, location, market, start_time
HAVING NOT argMaxMerge(prices_hourly.removed);

CREATE TABLE IF NOT EXISTS prices_daily AS prices_hourly
ENGINE = AggregatingMergeTree
PARTITION BY toYYYYMM(start_time)
ORDER BY (zone, location, market, start_time);

CREATE MATERIALIZED VIEW IF NOT EXISTS prices_daily_mv TO prices_daily AS
SELECT zone, location, market, start_time, max(t) AS version,
    argMaxState(bars.end_time, t) AS end_time, argMaxState(bars.open, t) AS open, argMaxState(bars.high, t) AS high,
    argMaxState(bars.low, t) AS low, argMaxState(bars.close, t) AS close, argMaxState(bars.mean, t) AS mean,
    argMaxState(bars.volume, t) AS volume, argMaxState(bars.count, t) AS count, argMaxState(bars.removed, t) AS removed
FROM bars
WHERE granularity = '1d'
GROUP BY zone, location, market, start_time;

CREATE VIEW IF NOT EXISTS prices_by_day AS
SELECT zone, location, market, start_time, argMaxMerge(prices_daily.end_time) AS end_time,
    argMaxMerge(prices_daily.open) AS open, argMaxMerge(prices_daily.high) AS high,
    argMaxMerge(prices_daily.low) AS low, argMaxMerge(prices_daily.close) AS close,
    argMaxMerge(prices_daily.mean) AS mean, argMaxMerge(prices_daily.volume) AS volume,
    argMaxMerge(prices_daily.count) AS count, max(version) AS t
FROM prices_daily
GROUP BY zone, location, market, start_time
HAVING NOT argMaxMerge(prices_daily.removed);

-- Each step of each alert.
CREATE TABLE IF NOT EXISTS anomaly_life (
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
    revision UInt32
)
ENGINE = ReplacingMergeTree
PARTITION BY toYYYYMM(start_time)
ORDER BY (id, t)
SETTINGS non_replicated_deduplication_window = 1000;

CREATE MATERIALIZED VIEW IF NOT EXISTS anomaly_life_mv TO anomaly_life AS
SELECT t, id, zone, location, market, rule, kind, severity, start_time, value, baseline, z, threshold, state,
    raised_time, revision
FROM anomalies;
