//! How the processes of a group find each other: each listens for those after it and calls those before it, again and
//! again, until all have all. Names that do not resolve yet and peers that start, die and start again are waited for.
//!
//! ```text
//! 2 ── Hello ──► 1 ── Hello ──► 0      the one that is called compares, and welcomes or refuses
//! 1, 2 ── Whole(all my sockets stand) ──► 0 ── Opening ──► 1, 2      then the sockets are timely's
//! ```
//!
//! One thread, one loop, no locks: it looks at every socket a few times a second.

use std::io::{self, ErrorKind};
use std::net::{Ipv4Addr, Ipv6Addr, SocketAddr, TcpListener, TcpStream, ToSocketAddrs};
use std::time::Duration;

use serde::{Deserialize, Serialize};

use super::wire::{receive, send};
use super::{Config, Group, Opening};
use crate::Error;
use crate::clock::now;
use crate::shutdown::Shutdown;

/// Pause between two looks.
const LOOK: Duration = Duration::from_millis(20);
/// How long a call may take, and the one that is called may think.
const PATIENCE: Duration = Duration::from_secs(5);
/// How often the log says who is missing.
const TELL: Duration = Duration::from_secs(10);

/// What all processes of a group must have in common.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Identity {
    /// The pipeline: first part of its topics.
    pub(crate) pipeline: String,
    /// The program's version.
    pub(crate) version: String,
    /// Processes in the group.
    pub(crate) processes: usize,
    /// Worker threads of each.
    pub(crate) workers: usize,
    /// Everything that decides about results, as a hash.
    pub(crate) settings: String,
}

impl Identity {
    /// What is different, for people.
    fn differs(&self, other: &Self) -> Option<String> {
        let pairs = [
            ("pipeline", self.pipeline.clone(), other.pipeline.clone()),
            ("version", self.version.clone(), other.version.clone()),
            ("processes", self.processes.to_string(), other.processes.to_string()),
            ("workers", self.workers.to_string(), other.workers.to_string()),
            ("settings of operators, zones, clock or checkpoints", self.settings.clone(), other.settings.clone()),
        ];
        pairs
            .into_iter()
            .find(|(_, ours, theirs)| ours != theirs)
            .map(|(what, ours, theirs)| format!("{what}: {ours} here, {theirs} there"))
    }
}

#[derive(Debug, Serialize, Deserialize)]
struct Hello {
    identity: Identity,
    index: usize,
}

#[derive(Debug, Serialize, Deserialize)]
enum Answer {
    Welcome,
    Refused(String),
}

/// Whether all sockets of a process stand.
#[derive(Debug, Serialize, Deserialize)]
struct Whole(bool);

/// The port of `host:port`.
pub(super) fn port(address: &str) -> Option<u16> {
    let (host, port) = address.rsplit_once(':')?;
    (!host.is_empty()).then(|| port.parse().ok())?
}

/// Waits until every process has met every other. Process 0 returns without, the others with what process 0 told them.
pub(crate) fn meet(
    config: &Config,
    identity: Identity,
    shutdown: &Shutdown,
    stage: &dyn Fn(String),
) -> Result<(Group, Option<Opening>), Error> {
    let addresses = config.addresses()?;
    let listener = listen(&addresses[config.index])?;
    let mut meeting = Meeting {
        index: config.index,
        sockets: addresses.iter().map(|_| None).collect(),
        whole: vec![false; addresses.len()],
        told_whole: false,
        addresses,
        identity,
        shutdown,
    };
    let mut told = now();
    loop {
        if shutdown.is_stopping() {
            return Err(Error::Config("stopped while waiting for the other processes".to_owned()));
        }
        meeting.answer(&listener)?;
        meeting.call()?;
        meeting.look();
        if let Some(opening) = meeting.agree() {
            let Meeting { index, sockets, addresses, .. } = meeting;
            return Ok((Group { index, sockets, addresses }, opening));
        }
        let missing = meeting.missing();
        stage(missing.clone());
        if told.elapsed() >= TELL {
            told = now();
            tracing::info!("{missing}");
        }
        std::thread::sleep(LOOK);
    }
}

/// On the port that the others know; on every address of this machine, unless the group lives on it alone.
fn listen(address: &str) -> Result<TcpListener, Error> {
    let port = port(address).unwrap_or_default();
    let host = address.rsplit_once(':').map_or("", |(host, _)| host).trim_matches(['[', ']']);
    let bound = match host {
        "localhost" | "127.0.0.1" => TcpListener::bind((Ipv4Addr::LOCALHOST, port)),
        "::1" => TcpListener::bind((Ipv6Addr::LOCALHOST, port)),
        _ => TcpListener::bind((Ipv6Addr::UNSPECIFIED, port))
            .or_else(|_| TcpListener::bind((Ipv4Addr::UNSPECIFIED, port))),
    };
    let listener = bound.map_err(|error| Error::Config(format!("listen on port {port} for the others: {error}")))?;
    listener.set_nonblocking(true)?;
    Ok(listener)
}

struct Meeting<'a> {
    index: usize,
    addresses: Vec<String>,
    identity: Identity,
    sockets: Vec<Option<TcpStream>>,
    /// Process 0: which of the others have all their sockets.
    whole: Vec<bool>,
    /// The others: what process 0 was told last.
    told_whole: bool,
    shutdown: &'a Shutdown,
}

impl Meeting<'_> {
    /// Answers those that call. One that was here before has started again: the new call counts.
    fn answer(&mut self, listener: &TcpListener) -> Result<(), Error> {
        loop {
            let mut socket = match listener.accept() {
                Ok((socket, _)) => socket,
                Err(error) if error.kind() == ErrorKind::WouldBlock => return Ok(()),
                Err(error) => {
                    tracing::debug!(%error, "a call that came to nothing");
                    return Ok(());
                }
            };
            let hello = socket.set_nonblocking(false).and_then(|()| receive(&mut socket, PATIENCE, self.shutdown));
            let Hello { identity, index } = match hello {
                Ok(hello) => hello,
                Err(error) => {
                    tracing::debug!(%error, "a call that is none of ours");
                    continue;
                }
            };
            let differs = identity.differs(&self.identity);
            if let Some(why) = differs.or_else(|| (index <= self.index).then(|| format!("index {index} called us"))) {
                tracing::error!(peer = index, why, "a process that cannot be of this group");
                let _ = send(&mut socket, &Answer::Refused(why));
                continue;
            }
            if send(&mut socket, &Answer::Welcome).is_ok() {
                self.keep(index, socket);
            }
        }
    }

    /// Calls those before us that are not there yet.
    fn call(&mut self) -> Result<(), Error> {
        for index in 0..self.index {
            if self.sockets[index].is_some() {
                continue;
            }
            match self.greet(index) {
                Ok((socket, Answer::Welcome)) => self.keep(index, socket),
                Ok((_, Answer::Refused(why))) => {
                    let address = self.addresses[index].clone();
                    return Err(Error::Peer { index, address, why: format!("it refuses us: {why}") });
                }
                Err(error) => tracing::debug!(peer = self.addresses[index], %error, "not there yet"),
            }
        }
        Ok(())
    }

    fn greet(&self, index: usize) -> io::Result<(TcpStream, Answer)> {
        let mut socket = connect(&self.addresses[index])?;
        send(&mut socket, &Hello { identity: self.identity.clone(), index: self.index })?;
        let answer = receive(&mut socket, PATIENCE, self.shutdown)?;
        Ok((socket, answer))
    }

    fn keep(&mut self, index: usize, socket: TcpStream) {
        tracing::debug!(peer = self.addresses[index], "met");
        self.whole[index] = false;
        self.told_whole &= index != 0;
        self.sockets[index] = Some(socket);
    }

    /// Lets go of sockets whose other end has gone.
    fn look(&mut self) {
        for (index, slot) in self.sockets.iter_mut().enumerate() {
            if let Some(socket) = slot
                && bytes_wait(socket).is_err()
            {
                tracing::info!(peer = self.addresses[index], "gone again: waiting for it");
                *slot = None;
                self.whole[index] = false;
            }
        }
    }

    fn is_whole(&self) -> bool {
        self.sockets.iter().enumerate().all(|(index, socket)| index == self.index || socket.is_some())
    }

    /// Whether everybody has everybody; for those after process 0, what it says then.
    fn agree(&mut self) -> Option<Option<Opening>> {
        let (is_whole, shutdown) = (self.is_whole(), self.shutdown);
        if self.index == 0 {
            for (socket, whole) in self.sockets.iter_mut().zip(&mut self.whole) {
                while let Some(socket) = socket
                    && bytes_wait(socket).is_ok_and(|wait| wait)
                    && let Ok(Whole(now)) = receive(socket, PATIENCE, shutdown)
                {
                    *whole = now;
                }
            }
            return (is_whole && self.whole[1..].iter().all(|whole| *whole)).then_some(None);
        }
        let leader = self.sockets[0].as_mut()?;
        if self.told_whole != is_whole && send(leader, &Whole(is_whole)).is_ok() {
            self.told_whole = is_whole;
        }
        if is_whole && bytes_wait(leader).is_ok_and(|wait| wait) {
            return receive(leader, PATIENCE, shutdown).ok().map(Some);
        }
        None
    }

    fn missing(&self) -> String {
        let missing =
            self.sockets.iter().enumerate().filter(|(index, socket)| *index != self.index && socket.is_none());
        let missing: Vec<String> =
            missing.map(|(index, _)| format!("process {index} ({})", self.addresses[index])).collect();
        match (missing.is_empty(), self.index) {
            (false, _) => format!("waiting for {}", missing.join(", ")),
            (true, 0) => "waiting until the others have met".to_owned(),
            (true, _) => "waiting for process 0 to begin".to_owned(),
        }
    }
}

fn connect(address: &str) -> io::Result<TcpStream> {
    let mut last = io::Error::new(ErrorKind::NotFound, "the name stands for no address");
    let found: Vec<SocketAddr> = address.to_socket_addrs()?.collect();
    for address in found {
        match TcpStream::connect_timeout(&address, PATIENCE) {
            Ok(socket) => {
                socket.set_nodelay(true)?;
                return Ok(socket);
            }
            Err(error) => last = error,
        }
    }
    Err(last)
}

/// Whether there is something to read; an error when the other end has gone.
fn bytes_wait(socket: &TcpStream) -> io::Result<bool> {
    socket.set_nonblocking(true)?;
    let peeked = socket.peek(&mut [0]);
    socket.set_nonblocking(false)?;
    match peeked {
        Ok(0) => Err(io::Error::new(ErrorKind::UnexpectedEof, "it hung up")),
        Ok(_) => Ok(true),
        Err(error) if matches!(error.kind(), ErrorKind::WouldBlock | ErrorKind::Interrupted) => Ok(false),
        Err(error) => Err(error),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn identity() -> Identity {
        Identity { pipeline: "optibid".into(), version: "1".into(), processes: 3, workers: 2, settings: "00".into() }
    }

    fn free_ports(count: usize) -> String {
        let held: Vec<TcpListener> = (0..count).map(|_| TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap()).collect();
        let name = |listener: &TcpListener| format!("127.0.0.1:{}", listener.local_addr().unwrap().port());
        held.iter().map(name).collect::<Vec<_>>().join(",")
    }

    fn process(
        index: usize,
        hosts: &str,
        identity: Identity,
        shutdown: &Shutdown,
    ) -> std::thread::JoinHandle<Result<(Group, Option<Opening>), Error>> {
        let (config, shutdown) = (Config { processes: 3, index, hosts: hosts.to_owned() }, shutdown.clone());
        std::thread::spawn(move || meet(&config, identity, &shutdown, &|_| {}))
    }

    #[test]
    fn three_meet_in_any_order_and_one_may_start_again() {
        let (hosts, shutdown) = (free_ports(3), Shutdown::new());
        let second = process(2, &hosts, identity(), &shutdown);
        let doomed = Shutdown::new();
        let died = process(1, &hosts, identity(), &doomed);
        std::thread::sleep(Duration::from_millis(300));
        doomed.stop();
        assert!(died.join().unwrap().is_err());
        let first = process(1, &hosts, identity(), &shutdown);
        let zero = process(0, &hosts, identity(), &shutdown);
        let (mut group, none) = zero.join().unwrap().unwrap();
        assert!(none.is_none());
        let opening = Opening { begins: true, follows: true, start: vec![("ticks".into(), 3, 11)] };
        group.open(&opening).unwrap();
        // Each keeps its sockets until all have been told: one that goes earlier is waited for again.
        let met = [first, second].map(|other| other.join().unwrap().unwrap());
        assert!(met.iter().all(|(_, told)| told.as_ref() == Some(&opening)));
    }

    #[test]
    fn one_that_differs_is_told_what() {
        let (hosts, shutdown) = (free_ports(3), Shutdown::new());
        let zero = process(0, &hosts, identity(), &shutdown);
        let other = process(1, &hosts, Identity { workers: 4, ..identity() }, &shutdown);
        let told = other.join().unwrap().err().unwrap().to_string();
        assert!(told.contains("workers: 4 here, 2 there"), "{told}");
        shutdown.stop();
        assert!(zero.join().unwrap().is_err());
    }
}
