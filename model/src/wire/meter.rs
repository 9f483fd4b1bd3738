//! Meter readings on the wire: what a unit delivered, interval by interval.

use serde::{Deserialize, Serialize};

use crate::dead_letter::Reason;
use crate::location::Names;
use crate::money::volume_mwh;
use crate::settlement::MeterReading;
use crate::time::{MINUTE_MS, rfc3339};
use crate::{DeadLetter, T};

use super::decode::{
    Decoded, Decoder, MAX_INTERVAL_MS, Origin, Refusal, check_name, check_revision, check_version, event_time, parse,
};
use super::json::{Timestamp, is_one, one};

/// A meter reading on the wire:
/// `{"asset":"BALDHWF1","timestamp":"2024-09-01T00:00:00Z","duration_ms":300000,"power":35.5}`.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct WireMeter {
    /// Format version; 1 when absent. A newer one is a dead letter.
    #[serde(default = "one", skip_serializing_if = "is_one")]
    pub v: u32,
    /// The unit, as bids name it.
    pub asset: String,
    /// *Start* of the metered interval.
    pub timestamp: Timestamp,
    /// Its length: whole minutes, up to 25 hours.
    pub duration_ms: u32,
    /// Mean power, MW: positive when delivered to the grid. Only a cancellation may leave it out.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub power: Option<f64>,
    /// Revision, ≥ 0; higher replaces lower. The offset when absent, so that the later reading stands.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub revision: Option<i64>,
    /// This revision takes the reading back.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub cancelled: bool,
    /// Who published it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub source: Option<String>,
    /// When it was published; Kafka's timestamp when absent. Replays of the past set it, so that the event clock can follow.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub published: Option<Timestamp>,
}

impl WireMeter {
    /// A reading that stands.
    pub fn new(asset: &str, start_ms: i64, duration_ms: u32, power: f64) -> Self {
        Self {
            v: 1,
            asset: asset.to_owned(),
            timestamp: Timestamp::Millis(start_ms),
            duration_ms,
            power: Some(power),
            revision: None,
            cancelled: false,
            source: None,
            published: None,
        }
    }

    /// JSON bytes.
    pub fn to_json(&self) -> Vec<u8> {
        serde_json::to_vec(self).expect("a struct of numbers and text always serialises")
    }

    /// The full form of a decoded reading: what a dead letter keeps of it.
    pub fn of(reading: &MeterReading) -> Self {
        Self {
            revision: Some(reading.revision),
            cancelled: reading.cancelled,
            source: reading.source.clone(),
            ..Self::new(&reading.asset, reading.start_ms, reading.duration_ms, volume_mwh(reading.power_kw))
        }
    }
}

impl MeterReading {
    /// The dead letter of a reading that comes too late: at T it is not kept any more.
    pub fn too_old(&self, t: T, names: &Names) -> DeadLetter {
        let (topic, partition) = names.partition_name(self.partition).unwrap_or_else(|| ("unknown".into(), -1));
        let start = rfc3339(self.start_ms);
        let now = rfc3339(i64::try_from(t).unwrap_or(i64::MAX));
        let detail = format!("interval {start} is before the retention horizon at {now}");
        let bytes = WireMeter::of(self).to_json();
        DeadLetter { topic, partition, offset: self.offset, row: 0, reason: Reason::TooOld, detail, bytes }
    }
}

impl Decoder {
    pub(super) fn json_meter(&self, origin: &Origin, bytes: &[u8], out: &mut Decoded) -> Result<MeterReading, Refusal> {
        let wire: WireMeter = parse(bytes)?;
        check_version(wire.v)?;
        check_name("asset", &wire.asset)?;
        if let Some(source) = &wire.source {
            check_name("source", source)?;
        }
        let start_ms = event_time(wire.timestamp.millis(), "timestamp")?;
        let duration_ms = i64::from(wire.duration_ms);
        if duration_ms == 0 || duration_ms % MINUTE_MS != 0 || duration_ms > MAX_INTERVAL_MS {
            let detail = format!("duration_ms {duration_ms} is not whole minutes, 1 to 1500");
            return Err((Reason::BadField, detail));
        }
        let revision = check_revision(wire.revision.unwrap_or(origin.offset))?;
        let end_ms = start_ms + duration_ms;
        // Nobody meters what is not over.
        let given = wire.published.as_ref().map(Timestamp::millis);
        let end = ("end of the interval", end_ms);
        let published_ms = self.published(origin, given, end, self.limits.max_ahead_ms)?;
        let power_kw = match wire.power {
            Some(power) => power_kw(power)?,
            None if wire.cancelled => 0,
            None => return Err((Reason::BadField, "power is missing".into())),
        };
        out.clock_ms = out.clock_ms.max(end_ms.min(published_ms));
        Ok(MeterReading {
            asset: wire.asset,
            start_ms,
            duration_ms: wire.duration_ms,
            power_kw,
            revision,
            cancelled: wire.cancelled,
            source: wire.source,
            partition: origin.partition_id,
            offset: origin.offset,
        })
    }
}

fn power_kw(power: f64) -> Result<i64, Refusal> {
    if power.abs() <= MeterReading::MAX_POWER_MW {
        return Ok((power * 1000.0).round() as i64);
    }
    Err((Reason::BadField, format!("power {power} MW is not within ±10⁹")))
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use serde_json::{Value, json};

    use super::*;
    use crate::wire::{Limits, TopicKind};
    use crate::{PartitionId, Zones};

    fn decode(own: Value) -> Decoded {
        let mut reading =
            json!({"asset": "u1", "timestamp": "2024-09-01T00:00:00Z", "duration_ms": 300_000, "power": 1.5});
        reading.as_object_mut().unwrap().extend(own.as_object().unwrap().clone());
        let names = Arc::new(Names::default());
        let decoder = Decoder { zones: Zones::built_in(), names, limits: Limits::default() };
        let origin = Origin {
            topic: "optibid.meters".into(),
            partition: 0,
            partition_id: PartitionId::new("optibid.meters", 0),
            offset: 7,
            timestamp_ms: crate::time::parse_instant("2024-09-01T00:05:01Z").unwrap(),
        };
        let mut out = Decoded::default();
        decoder.decode(TopicKind::Meters, &origin, reading.to_string().as_bytes(), &mut out);
        assert_eq!(out.meters.len() + out.dead_letters.len(), 1);
        out
    }

    #[test]
    fn a_reading_is_read_and_written_back() {
        let out = decode(json!({"power": -2.0005, "source": "scada"}));
        let reading = &out.meters[0];
        assert_eq!((reading.power_kw, reading.revision, reading.cancelled), (-2_001, 7, false));
        assert_eq!(out.clock_ms, reading.end_ms());
        let again = decode(serde_json::to_value(WireMeter::of(reading)).unwrap());
        assert_eq!(again.meters[0], *reading);
        let gone = decode(json!({"power": null, "cancelled": true, "revision": 9}));
        assert_eq!((gone.meters[0].cancelled, gone.meters[0].revision), (true, 9));
    }

    #[test]
    fn refusals_name_their_reason() {
        for (own, reason) in [
            (json!({"asset": " "}), Reason::BadField),
            (json!({"power": null}), Reason::BadField),
            (json!({"power": 1.1e9}), Reason::BadField),
            (json!({"power": "x"}), Reason::Malformed),
            (json!({"revision": -1}), Reason::BadField),
            (json!({"duration_ms": 0}), Reason::BadField),
            (json!({"duration_ms": 1}), Reason::BadField),
            (json!({"duration_ms": 90_060_000}), Reason::BadField),
            (json!({"timestamp": "noon"}), Reason::BadTime),
            (json!({"timestamp": i64::MAX}), Reason::BadTime),
            (json!({"timestamp": "2024-09-01T00:02:00Z"}), Reason::Future),
            (json!({"published": "2024-09-01T01:00:00Z"}), Reason::Future),
            (json!({"published": "2024-08-31T23:00:00Z"}), Reason::Future),
            (json!({"v": 2}), Reason::Malformed),
            (json!({"zone": "SA1"}), Reason::Malformed),
        ] {
            let out = decode(own.clone());
            assert_eq!(out.dead_letters.first().map(|letter| letter.reason), Some(reason), "{own}");
        }
    }
}
