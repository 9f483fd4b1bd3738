//! A log of bindings that a life may die or freeze in, on a broker with weather: it is away for a while, it does what it
//! is asked and never answers, or it fails for good.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::Duration;

use model::T;
use parking_lot::Mutex;
use pipeline::binding::memory::Memory;
use pipeline::{Binding, Error, Log};
use rand::{Rng, SeedableRng};
use rand_chacha::ChaCha8Rng;

use super::fuse::{Fuse, Now, What};

/// What an append may meet, and how often it did.
#[derive(Debug, Default)]
pub(crate) struct Weather {
    dice: Option<Mutex<ChaCha8Rng>>,
    /// Appends that were tried again.
    pub(crate) repeated: AtomicU64,
    /// Of these, appends that were done and not answered.
    pub(crate) unanswered: AtomicU64,
    /// The log failed for good: this life ends.
    pub(crate) broke: AtomicBool,
}

impl Weather {
    /// Bad weather, by seed.
    pub(crate) fn bad(seed: u64) -> Self {
        Self { dice: Some(Mutex::new(ChaCha8Rng::seed_from_u64(seed))), ..Self::default() }
    }
}

pub(crate) struct FusedLog {
    pub(crate) log: Memory,
    pub(crate) fuse: Fuse,
    pub(crate) weather: Arc<Weather>,
}

fn failed(what: &str) -> Error {
    Error::Checkpoint(what.to_owned())
}

impl FusedLog {
    /// Tried until it is answered, as a client of a broker does.
    fn insist(&mut self, bindings: &[Binding]) -> Result<(), Error> {
        loop {
            let roll = self.weather.dice.as_ref().map_or(99, |dice| dice.lock().random_range(0..100));
            match roll {
                0..10 => {}
                10..20 => {
                    self.log.append(bindings)?;
                    self.weather.unanswered.fetch_add(1, Ordering::Relaxed);
                }
                20..22 => {
                    if roll == 21 {
                        self.log.append(bindings)?;
                    }
                    self.weather.broke.store(true, Ordering::Release);
                    return Err(failed("the log broke"));
                }
                _ => return self.log.append(bindings),
            }
            self.weather.repeated.fetch_add(1, Ordering::Relaxed);
            std::thread::sleep(Duration::from_micros(500));
        }
    }
}

impl Log for FusedLog {
    fn follow(&mut self) -> Result<Option<Vec<Binding>>, Error> {
        self.log.follow()
    }

    fn take_over(&mut self, from: T) -> Result<Vec<Binding>, Error> {
        self.log.take_over(from)
    }

    fn complete_after(&self) -> T {
        self.log.complete_after()
    }

    fn append(&mut self, bindings: &[Binding]) -> Result<(), Error> {
        match self.fuse.effect_blocking(What::Bind) {
            Now::Do => self.insist(bindings),
            Now::DoAndDie => self.log.append(bindings).and(Err(failed("killed"))),
            Now::Die => Err(failed("killed")),
        }
    }

    fn live(&mut self) -> Result<(), Error> {
        self.log.live()
    }

    fn trim(&mut self, t: T) -> Result<(), Error> {
        if self.fuse.effect_blocking(What::Delete) == Now::Do { self.log.trim(t) } else { Err(failed("killed")) }
    }
}
