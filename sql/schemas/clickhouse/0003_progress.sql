-- How far the sink has written, and withdrawals that outlive what they withdraw.

-- Every closed batch up to max(t) is written: a row comes after all rows of the run that it closes.
CREATE TABLE IF NOT EXISTS progress (
    sink LowCardinality(String),
    t DateTime64(3, 'UTC'),
    updated_time DateTime DEFAULT now()
)
ENGINE = ReplacingMergeTree(t)
ORDER BY sink;

-- Retention counts from insertion. A withdrawn row hides every older version of its key, also one that was inserted
-- after it (late, or again), which would outlive it by that while: so withdrawals stay a month longer than rows.
ALTER TABLE bars MODIFY TTL inserted_time + INTERVAL 430 DAY, inserted_time + INTERVAL 400 DAY DELETE WHERE NOT removed;

ALTER TABLE kpis MODIFY TTL inserted_time + INTERVAL 430 DAY, inserted_time + INTERVAL 400 DAY DELETE WHERE NOT removed;

ALTER TABLE correlations
    MODIFY TTL inserted_time + INTERVAL 430 DAY, inserted_time + INTERVAL 400 DAY DELETE WHERE NOT removed;

ALTER TABLE bids MODIFY TTL inserted_time + INTERVAL 430 DAY, inserted_time + INTERVAL 400 DAY DELETE WHERE NOT removed;
