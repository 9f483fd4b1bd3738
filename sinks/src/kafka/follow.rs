//! A follower: a live state made from the changelog alone, and kept up with it.
//!
//! ```text
//! newest marker ─► everything up to it (bulk) ─► what came meanwhile ─► state, whole ─► run after run, each one moment
//! ```
//!
//! A run counts once every partition has been read up to the offsets of its marker; what lies beyond waits for its own.
//! Compaction may take away a row, while it is being loaded, of which a newer version lies beyond the marker: hence the
//! second stretch, to the marker that is newest once the first has been read. Only then is the state shown.
//!
//! When the broker is away librdkafka tries on and nothing is lost. After any other failure following begins again, with
//! the state that is there: all that has changed meanwhile is then one moment.

use std::sync::Arc;
use std::time::Duration;

use model::Snapshot;
use model::snapshot::Limits;

use super::Config;
use super::gather::{Gathered, first_moment};
use super::load::Load;
use super::marker::{self, Marker, Placed};
use super::reader::{Look, Reader};
use super::status::{FollowMetrics, Status};
use crate::{Context, Error};

/// How long one look waits, and so how soon a stop is seen.
const WAIT: Duration = Duration::from_millis(100);
/// Pause while there is no changelog, and the first one after a failure; it doubles.
const PAUSE: Duration = Duration::from_millis(500);
/// The longest pause after a failure.
const LONGEST_PAUSE: Duration = Duration::from_secs(10);

/// Follows a changelog.
#[derive(Debug)]
pub struct Follower {
    config: Config,
    context: Context,
    metrics: FollowMetrics,
    status: Arc<Status>,
    live: Snapshot,
}

/// What a follower is told from outside, and tells.
pub trait Audience {
    /// Whether to end.
    fn is_stopping(&self) -> bool;

    /// The state has changed, by this moment; of a state that was just loaded the moment tells the prices only.
    fn show(&mut self, live: &Snapshot, moment: model::Batch);
}

impl Follower {
    /// A follower of the changelog in `config`, whose state keeps `limits`. It registers names in `context`.
    pub fn new(config: Config, context: Context, limits: Limits, metrics: FollowMetrics) -> Self {
        let status = Arc::new(Status::new(&config.bootstrap_servers));
        Self { config, context, metrics, status, live: Snapshot::new(limits) }
    }

    /// How it is doing.
    pub fn status(&self) -> Arc<Status> {
        Arc::clone(&self.status)
    }

    /// Follows until told to stop. Blocks: give it a thread of its own.
    pub fn run(mut self, audience: &mut dyn Audience) {
        let mut pause = PAUSE;
        while !audience.is_stopping() {
            let before = self.live.t;
            let Err(error) = self.follow(audience) else { return };
            self.metrics.failures.inc();
            if self.status.trouble(error.to_string()) {
                tracing::warn!(%error, t = self.live.t, "following the changelog failed; trying again");
            }
            pause = if self.live.t > before { PAUSE } else { (pause * 2).min(LONGEST_PAUSE) };
            rest(pause, audience);
        }
    }

    fn follow(&mut self, audience: &mut dyn Audience) -> Result<(), Error> {
        let mut reader = Reader::open(&self.config, &self.context.names)?;
        let Some(target) = self.first_marker(audience)? else { return Ok(()) };
        let Some(target) = self.load(&mut reader, target, audience)? else { return Ok(()) };
        reader.begin_markers(&target)?;
        while !audience.is_stopping() {
            match reader.look(WAIT, None)? {
                Look::Message => {
                    self.metrics.messages.inc();
                    self.answers();
                }
                Look::Quiet => {}
                Look::Away(code) => self.is_away(code),
            }
            while let Some((placed, gathered)) = reader.whole()? {
                self.take(&placed, gathered, audience);
            }
        }
        Ok(())
    }

    /// Waits for a marker that says how far it reaches; `None` when told to stop.
    fn first_marker(&self, audience: &dyn Audience) -> Result<Option<Placed>, Error> {
        let mut told = false;
        while !audience.is_stopping() {
            match marker::newest(&self.config)? {
                Some(placed) if !placed.marker.offsets.is_empty() => return Ok(Some(placed)),
                _ if !told => tracing::info!(prefix = self.config.prefix, "waiting for a changelog"),
                _ => {}
            }
            told = true;
            self.status.answers();
            rest(PAUSE, audience);
        }
        Ok(None)
    }

    /// Brings the state to the newest marker; `None` when told to stop.
    fn load(
        &mut self,
        reader: &mut Reader,
        first: Placed,
        audience: &mut dyn Audience,
    ) -> Result<Option<Placed>, Error> {
        let mut load = Load::new(self.live.limits(), self.live.t, first.marker.t);
        let mut messages = 0;
        let mut target = first;
        for stretch in 0..2 {
            if stretch > 0 {
                target = marker::newest(&self.config)?.unwrap_or(target);
                load.extend(target.marker.t);
            }
            reader.aim(&target.marker, &mut load)?;
            while !reader.has_reached(&target.marker) {
                if audience.is_stopping() {
                    return Ok(None);
                }
                self.stretch(reader, &target.marker, &mut load, &mut messages)?;
            }
        }
        let gathered = load.finish(&self.context.names)?;
        tracing::info!(t = target.marker.t, messages, "the changelog is read; following it");
        self.take(&target, gathered, audience);
        Ok(Some(target))
    }

    /// Reads a good piece, so that asking how far it is costs little.
    fn stretch(&self, reader: &mut Reader, target: &Marker, load: &mut Load, messages: &mut u64) -> Result<(), Error> {
        self.status.loading(target.t, *messages);
        for _ in 0..1_000 {
            match reader.look(WAIT, Some(&mut *load))? {
                Look::Message => {
                    *messages += 1;
                    self.metrics.messages.inc();
                    self.answers();
                }
                Look::Quiet => return Ok(()),
                Look::Away(code) => {
                    self.is_away(code);
                    return Ok(());
                }
            }
        }
        Ok(())
    }

    /// Applies a run and shows it.
    fn take(&mut self, placed: &Placed, gathered: Gathered, audience: &mut dyn Audience) {
        let Placed { marker, written_ms, .. } = placed;
        if marker.t > self.live.t {
            let is_first = self.live.t == 0;
            let run = gathered.run(&self.live, marker.t, marker.counts);
            self.live.apply_all(&run.steps);
            audience.show(&self.live, if is_first { first_moment(&self.live) } else { run.moment });
            self.metrics.moments.inc();
        } else if marker.t < self.live.t {
            tracing::warn!(t = marker.t, live_t = self.live.t, "an older moment in the changelog: was it made anew?");
        }
        self.metrics.t.set(i64::try_from(self.live.t).unwrap_or(i64::MAX));
        self.status.following(self.live.t, *written_ms);
    }

    fn answers(&self) {
        if self.status.answers() {
            tracing::info!(t = self.live.t, "the changelog's broker answers again");
        }
    }

    fn is_away(&self, code: rdkafka::types::RDKafkaErrorCode) {
        if self.status.trouble(code.to_string()) {
            tracing::warn!(%code, t = self.live.t, "the changelog's broker does not answer; trying on");
        }
    }
}

/// Pauses, but not when told to stop.
fn rest(pause: Duration, audience: &dyn Audience) {
    let mut left = pause;
    while !left.is_zero() && !audience.is_stopping() {
        let nap = left.min(WAIT);
        std::thread::sleep(nap);
        left -= nap;
    }
}
