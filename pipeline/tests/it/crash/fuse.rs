//! What becomes of a life: it dies at a chosen effect, or freezes there and goes on later, as a *zombie*.
//!
//! Effects are counted wherever a life touches what outlives it: bindings appended, objects put or deleted, batches
//! applied by the stores. When a life dies, the fatal effect is done or not done and never answered, and nothing after
//! it has any effect, as after `kill -9`. When it freezes, that effect and all others wait until it is thawed, as after
//! `SIGSTOP` or a long pause of a virtual machine: then it goes on as if nothing had happened.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicI64, AtomicU64, Ordering};

use pipeline::Shutdown;
use tokio::sync::watch;

/// What is about to be done.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum What {
    Bind,
    Write,
    Put,
    Manifest,
    Delete,
}

/// What the fuse says of an effect.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Now {
    Do,
    /// This one is fatal, after it is done.
    DoAndDie,
    Die,
}

/// Where something happens to a life.
#[derive(Clone, Copy, Debug)]
pub(crate) enum At {
    /// At this effect, from 1.
    Effect(u64),
    /// At its next manifest.
    Manifest,
}

#[derive(Clone, Copy, Debug)]
pub(crate) enum Fate {
    Lives,
    Dies {
        at: At,
        /// Whether the fatal effect is done.
        is_done: bool,
    },
    Freezes(At),
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum State {
    Awake,
    Frozen,
    Thawed,
}

/// What a thawed life has done.
#[derive(Debug, Default)]
pub(crate) struct Late {
    pub(crate) writes: AtomicU64,
    pub(crate) puts: AtomicU64,
    pub(crate) manifests: AtomicU64,
    pub(crate) deletes: AtomicU64,
}

struct Inner {
    fate: Fate,
    left: AtomicI64,
    blown: AtomicBool,
    state: watch::Sender<State>,
    late: Late,
    life: Shutdown,
}

#[derive(Clone)]
pub(crate) struct Fuse(Arc<Inner>);

impl Fuse {
    /// Of a life that ends with `life`.
    pub(crate) fn new(fate: Fate, life: &Shutdown) -> Self {
        let left = match fate {
            Fate::Dies { at: At::Effect(n), .. } | Fate::Freezes(At::Effect(n)) => n as i64,
            Fate::Dies { .. } | Fate::Freezes(_) => 1,
            Fate::Lives => i64::MAX,
        };
        let state = watch::Sender::new(State::Awake);
        let (blown, late) = Default::default();
        Self(Arc::new(Inner { fate, left: left.into(), blown, state, late, life: life.clone() }))
    }

    pub(crate) fn is_blown(&self) -> bool {
        self.0.blown.load(Ordering::Acquire)
    }

    pub(crate) fn late(&self) -> &Late {
        &self.0.late
    }

    /// Waits until the life freezes; for ever when it does not.
    pub(crate) async fn frozen(&self) {
        let mut state = self.0.state.subscribe();
        // The sender is ours: waiting on it cannot fail.
        let _ = state.wait_for(|state| *state == State::Frozen).await;
    }

    /// A frozen life goes on.
    pub(crate) fn thaw(&self) {
        self.0.state.send_if_modified(|state| std::mem::replace(state, State::Thawed) == State::Frozen);
    }

    pub(crate) async fn effect(&self, what: What) -> Now {
        let inner = &*self.0;
        if inner.blown.load(Ordering::Acquire) {
            return Now::Die;
        }
        let counts = match inner.fate {
            Fate::Lives => false,
            Fate::Dies { at: At::Manifest, .. } | Fate::Freezes(At::Manifest) => what == What::Manifest,
            Fate::Dies { .. } | Fate::Freezes(_) => true,
        };
        if counts && inner.left.fetch_sub(1, Ordering::AcqRel) == 1 {
            match inner.fate {
                Fate::Dies { is_done, .. } => {
                    inner.blown.store(true, Ordering::Release);
                    inner.life.stop();
                    return if is_done { Now::DoAndDie } else { Now::Die };
                }
                Fate::Freezes(_) => {
                    inner.state.send_if_modified(|state| {
                        let awake = *state == State::Awake;
                        if awake {
                            *state = State::Frozen;
                        }
                        awake
                    });
                }
                Fate::Lives => {}
            }
        }
        let mut state = inner.state.subscribe();
        let _ = state.wait_for(|state| *state != State::Frozen).await;
        if *state.borrow() == State::Thawed {
            let late = match what {
                What::Write => Some(&inner.late.writes),
                What::Put => Some(&inner.late.puts),
                What::Manifest => Some(&inner.late.manifests),
                What::Delete => Some(&inner.late.deletes),
                // What becomes of it is the log's to say.
                What::Bind => None,
            };
            if let Some(late) = late {
                late.fetch_add(1, Ordering::Relaxed);
            }
        }
        Now::Do
    }

    /// The same, on a thread.
    pub(crate) fn effect_blocking(&self, what: What) -> Now {
        futures::executor::block_on(self.effect(what))
    }
}
