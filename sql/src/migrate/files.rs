//! The migrations, built in. A new file in `sql/schemas` is a new line here; a test compares the two.

/// One numbered file.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Migration {
    /// The number its name starts with.
    pub version: u32,
    /// File name.
    pub name: &'static str,
    /// Its statements.
    pub sql: &'static str,
}

/// Postgres, in order.
pub const POSTGRES: &[Migration] = &[
    Migration {
        version: 1,
        name: "0001_reference.sql",
        sql: include_str!("../../schemas/postgres/0001_reference.sql"),
    },
    Migration {
        version: 2,
        name: "0002_time_series.sql",
        sql: include_str!("../../schemas/postgres/0002_time_series.sql"),
    },
    Migration { version: 3, name: "0003_market.sql", sql: include_str!("../../schemas/postgres/0003_market.sql") },
    Migration { version: 4, name: "0004_access.sql", sql: include_str!("../../schemas/postgres/0004_access.sql") },
    Migration { version: 5, name: "0005_audit.sql", sql: include_str!("../../schemas/postgres/0005_audit.sql") },
    Migration { version: 6, name: "0006_identity.sql", sql: include_str!("../../schemas/postgres/0006_identity.sql") },
    Migration { version: 7, name: "0007_sign_in.sql", sql: include_str!("../../schemas/postgres/0007_sign_in.sql") },
    Migration { version: 8, name: "0008_assets.sql", sql: include_str!("../../schemas/postgres/0008_assets.sql") },
    Migration { version: 9, name: "0009_markets.sql", sql: include_str!("../../schemas/postgres/0009_markets.sql") },
    Migration { version: 10, name: "0010_alerts.sql", sql: include_str!("../../schemas/postgres/0010_alerts.sql") },
    Migration { version: 11, name: "0011_service.sql", sql: include_str!("../../schemas/postgres/0011_service.sql") },
    Migration {
        version: 12,
        name: "0012_service_access.sql",
        sql: include_str!("../../schemas/postgres/0012_service_access.sql"),
    },
];

/// ClickHouse, in order.
pub const CLICKHOUSE: &[Migration] = &[
    Migration { version: 1, name: "0001_tables.sql", sql: include_str!("../../schemas/clickhouse/0001_tables.sql") },
    Migration { version: 2, name: "0002_rollups.sql", sql: include_str!("../../schemas/clickhouse/0002_rollups.sql") },
    Migration {
        version: 3,
        name: "0003_progress.sql",
        sql: include_str!("../../schemas/clickhouse/0003_progress.sql"),
    },
    Migration {
        version: 4,
        name: "0004_clearing.sql",
        sql: include_str!("../../schemas/clickhouse/0004_clearing.sql"),
    },
    Migration {
        version: 5,
        name: "0005_settlement.sql",
        sql: include_str!("../../schemas/clickhouse/0005_settlement.sql"),
    },
    Migration {
        version: 6,
        name: "0006_bid_kpis.sql",
        sql: include_str!("../../schemas/clickhouse/0006_bid_kpis.sql"),
    },
];

impl Migration {
    /// FNV-1a over the text, 64 bits: against accidents, not attackers.
    pub fn checksum(&self) -> String {
        let hash = self
            .sql
            .bytes()
            .fold(0xcbf2_9ce4_8422_2325_u64, |hash, byte| (hash ^ u64::from(byte)).wrapping_mul(0x0000_0100_0000_01b3));
        format!("{hash:016x}")
    }

    /// The statements of a file whose statements each end with a semicolon at the end of a line.
    pub(crate) fn statements(&self) -> impl Iterator<Item = &'static str> {
        let statements = self.sql.split(";\n").map(str::trim);
        statements.filter(|text| text.lines().any(|line| !line.trim().is_empty() && !line.starts_with("--")))
    }
}
