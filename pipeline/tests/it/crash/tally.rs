//! What the lives of the runs went through, so that nobody can think that something was tried which was not.

use std::sync::atomic::{AtomicU64, Ordering};

use super::fuse::Fuse;
use super::life::End;
use super::log::Weather;
use super::stores::Away;

/// How often each thing happened.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Tally {
    pub(super) lives: u64,
    pub(super) killed: u64,
    /// Began with a checkpoint.
    pub(super) restored: u64,
    /// Began with one that lists a file of merged bars.
    pub(super) merged: u64,
    /// A store was away, and failed that often; its queue was full then; the other store was told more meanwhile.
    pub(super) outages: u64,
    pub(super) failed_writes: u64,
    pub(super) full_queues: u64,
    pub(super) others_went_on: u64,
    /// Appends to the log that were tried again; of these, done and not answered; lives that a broken log ended.
    pub(super) log_repeated: u64,
    pub(super) log_unanswered: u64,
    pub(super) log_broke: u64,
    /// The source was away.
    pub(super) source_away: u64,
    /// Lives that were frozen and went on after the next had begun; that were fenced; and what they did too late.
    pub(super) zombies: u64,
    pub(super) fenced: u64,
    pub(super) late_writes: u64,
    pub(super) late_puts: u64,
    pub(super) late_manifests: u64,
    pub(super) late_deletes: u64,
    /// The clock was set back between two lives.
    pub(super) clocks_set_back: u64,
    /// Lives that ended before a store had been told everything.
    pub(super) given_up: u64,
    /// Lives while both cores were busy with something else.
    pub(super) under_load: u64,
}

/// A counter, by name.
type Counter = (&'static str, fn(&mut Tally) -> &mut u64);

const COUNTERS: [Counter; 21] = [
    ("lives", |tally| &mut tally.lives),
    ("killed", |tally| &mut tally.killed),
    ("restored", |tally| &mut tally.restored),
    ("merged", |tally| &mut tally.merged),
    ("outages", |tally| &mut tally.outages),
    ("failed writes", |tally| &mut tally.failed_writes),
    ("full queues", |tally| &mut tally.full_queues),
    ("others went on", |tally| &mut tally.others_went_on),
    ("log repeated", |tally| &mut tally.log_repeated),
    ("log unanswered", |tally| &mut tally.log_unanswered),
    ("log broke", |tally| &mut tally.log_broke),
    ("source away", |tally| &mut tally.source_away),
    ("zombies", |tally| &mut tally.zombies),
    ("fenced", |tally| &mut tally.fenced),
    ("late writes", |tally| &mut tally.late_writes),
    ("late puts", |tally| &mut tally.late_puts),
    ("late manifests", |tally| &mut tally.late_manifests),
    ("late deletes", |tally| &mut tally.late_deletes),
    ("clocks set back", |tally| &mut tally.clocks_set_back),
    ("given up", |tally| &mut tally.given_up),
    ("under load", |tally| &mut tally.under_load),
];

/// A zombie that deletes, a log that breaks while bindings are written to it.
const RARE: [&str; 2] = ["late deletes", "log broke"];

impl Tally {
    pub(super) fn add(&mut self, mut other: Self) {
        COUNTERS.iter().for_each(|(_, counter)| *counter(self) += *counter(&mut other));
    }

    /// What a life met, whatever became of it.
    pub(super) fn met(&mut self, fuse: &Fuse, log: &Weather, away: &Away) {
        let count = |counter: &AtomicU64| counter.load(Ordering::Relaxed);
        let failed = count(&away.failed);
        self.outages += u64::from(failed > 0);
        self.failed_writes += failed;
        self.full_queues += count(&away.full);
        self.others_went_on += count(&away.went_on);
        self.log_repeated += count(&log.repeated);
        self.log_unanswered += count(&log.unanswered);
        self.log_broke += u64::from(log.broke.load(Ordering::Acquire));
        let late = fuse.late();
        self.late_writes += count(&late.writes);
        self.late_puts += count(&late.puts);
        self.late_manifests += count(&late.manifests);
        self.late_deletes += count(&late.deletes);
    }

    pub(super) fn ended(&mut self, end: &End) {
        self.source_away += end.source;
    }

    /// Each thing happened, and not by a rare accident.
    pub(super) fn assert_all(mut self, seeds: u64, except: &[&str]) {
        for (name, counter) in COUNTERS.iter().filter(|(name, _)| !except.contains(name)) {
            let count = *counter(&mut self);
            // How often a rare thing happens is a matter of the machine's pace: only a long run must have met some.
            let at_least = if RARE.contains(name) { seeds / 500 } else { seeds.div_ceil(50) };
            assert!(count >= at_least, "{name}: only {count} in {seeds} seeds: {self:?}");
        }
        assert!(self.killed * 2 > seeds && self.restored * 4 > seeds, "the harness does what it says: {self:?}");
    }
}
