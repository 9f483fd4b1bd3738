//! What is done after the answer: letters, and everything whose time would tell whether an address has an account.
//!
//! ```text
//! request ─► Errands (bounded; full is an error that is the same for everybody) ─► background: 8 at a time ─► mail server
//! ```
//! What waits is lost with the process: whoever gets no letter asks again. A letter that the server does not take is tried
//! again for about a minute.

use std::time::Duration;

use tokio::sync::{Mutex, mpsc};
use tokio::task::JoinSet;

use super::{Now, Origin};
use crate::mail::Letter;
use crate::refusal::Outcome;
use crate::{Error, Platform};

/// Errands that wait, and that are run at once.
const WAITING: usize = 1_024;
const AT_ONCE: usize = 8;
/// Tries of a letter; the pause doubles.
const TRIES: u32 = 6;
const PAUSE: Duration = Duration::from_secs(2);

/// Something to be done after the answer.
#[derive(Debug)]
pub(crate) enum Errand {
    /// Sends it.
    Letter(Letter),
    /// Somebody registered with an address that has an account.
    Repeated(Asked),
    /// Somebody forgot a password.
    Forgot(Asked),
    /// Somebody wants to verify an address.
    Verify(Asked),
    /// A user wants another address.
    NewAddress(uuid::Uuid, Asked),
}

/// What was asked for an address, from where, and when.
#[derive(Debug)]
pub(crate) struct Asked {
    pub(super) email: String,
    pub(super) origin: Origin,
    pub(super) now: Now,
}

/// Errands that wait.
#[derive(Debug)]
pub(crate) struct Errands {
    sender: mpsc::Sender<Errand>,
    receiver: Mutex<mpsc::Receiver<Errand>>,
}

impl Default for Errands {
    fn default() -> Self {
        let (sender, receiver) = mpsc::channel(WAITING);
        Self { sender, receiver: Mutex::new(receiver) }
    }
}

impl Errands {
    /// Adds one, unless too many wait.
    pub(crate) fn add(&self, errand: Errand) -> Result<(), Error> {
        self.sender.try_send(errand).map_err(|_| Error::Full("letters and other errands"))
    }
}

impl Platform {
    /// Runs what comes until `stop`, then for so long what is left.
    pub(crate) async fn run_errands(&self, stop: impl Future<Output = ()> + Send, patience: Duration) {
        let mut receiver = self.0.errands.receiver.lock().await;
        let mut running = JoinSet::new();
        let mut stop = std::pin::pin!(stop);
        let begin = |running: &mut JoinSet<()>, errand| {
            let platform = self.clone();
            running.spawn(async move { platform.run(errand).await });
        };
        loop {
            tokio::select! {
                () = &mut stop => break,
                Some(errand) = receiver.recv(), if running.len() < AT_ONCE => begin(&mut running, errand),
                Some(_) = running.join_next() => {}
            }
        }
        let rest = async {
            loop {
                match receiver.try_recv() {
                    Ok(errand) if running.len() < AT_ONCE => begin(&mut running, errand),
                    Ok(errand) => {
                        running.join_next().await;
                        begin(&mut running, errand);
                    }
                    Err(_) => break,
                }
            }
            while running.join_next().await.is_some() {}
        };
        if tokio::time::timeout(patience, rest).await.is_err() {
            tracing::warn!("letters and other errands were given up at the end");
        }
    }

    async fn run(&self, errand: Errand) {
        let done = match errand {
            Errand::Letter(letter) => self.deliver(letter).await,
            Errand::Repeated(asked) => self.repeated(asked).await,
            Errand::Forgot(asked) => self.forgot(asked).await,
            Errand::Verify(asked) => self.send_verification(asked).await,
            Errand::NewAddress(user, asked) => self.send_new_address(user, asked).await,
        };
        if let Err(error) = done {
            tracing::warn!(%error, "an errand was not done");
        }
    }

    /// Sends a letter, now or a little later.
    pub(super) async fn deliver(&self, letter: Letter) -> Outcome<()> {
        if !self.0.mailer.is_configured() {
            tracing::info!("a letter was not sent: no mail server is configured");
            return Ok(());
        }
        let mut pause = PAUSE;
        for attempt in 1.. {
            match self.0.mailer.send(&letter).await {
                Ok(()) => break,
                Err(error) if error.is_transient() && attempt < TRIES => {
                    tracing::debug!(%error, attempt, "a letter is tried again");
                    tokio::time::sleep(pause).await;
                    pause *= 2;
                }
                Err(error) => return Err(error.into()),
            }
        }
        Ok(())
    }
}
