//! Reference data: the zone table of the running process, upserted at each start.

use model::Zones;
use tokio_postgres::Client;

use crate::Error;

const ZONE: &str = "INSERT INTO zones (code, name, aliases, timezone, currency, market, operator, country, region, \
    latitude, longitude, headline, reference, limits) \
    VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14) \
    ON CONFLICT (code) DO UPDATE SET name = excluded.name, aliases = excluded.aliases, timezone = excluded.timezone, \
    currency = excluded.currency, market = excluded.market, operator = excluded.operator, country = excluded.country, \
    region = excluded.region, latitude = excluded.latitude, longitude = excluded.longitude, \
    headline = excluded.headline, reference = excluded.reference, limits = excluded.limits, updated_time = now()";

const LOCATION: &str = "INSERT INTO locations (zone, location, aliases, latitude, longitude) VALUES ($1, $2, $3, $4, $5) \
    ON CONFLICT (zone, location) DO UPDATE SET aliases = excluded.aliases, latitude = excluded.latitude, \
    longitude = excluded.longitude";

/// Writes every zone and the locations it names, in one transaction. Zones that are no longer configured stay:
/// their rows are history.
pub(super) async fn upsert(client: &mut Client, zones: &Zones) -> Result<(), Error> {
    let transaction = client.transaction().await?;
    let (insert_zone, insert_location) = (transaction.prepare(ZONE).await?, transaction.prepare(LOCATION).await?);
    for zone in zones.iter() {
        transaction
            .execute(
                &insert_zone,
                &[
                    &zone.code,
                    &zone.name,
                    &zone.aliases,
                    &zone.timezone.name(),
                    &zone.currency.as_str(),
                    &zone.market.as_str(),
                    &zone.operator,
                    &zone.country,
                    &zone.region,
                    &zone.latitude,
                    &zone.longitude,
                    &zone.headline,
                    &zone.reference,
                    &serde_json::to_value(&zone.limits)?,
                ],
            )
            .await?;
        for location in &zone.locations {
            let values: [&(dyn tokio_postgres::types::ToSql + Sync); 5] =
                [&zone.code, &location.name, &location.aliases, &location.latitude, &location.longitude];
            transaction.execute(&insert_location, &values).await?;
        }
    }
    transaction.commit().await?;
    Ok(())
}
