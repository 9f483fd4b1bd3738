//! A socket of the cluster, as timely uses it: its end, however it comes, ends this process's dataflow with a reason
//! instead of a panic in a thread of timely's.
//!
//! What timely reads or writes after that does not matter: the workers are told to leave, and leave. A reading thread is
//! kept where it is, because the end of a stream in the middle of a message is a panic to it; it ends with the process.

use std::io::{self, Read, Write};
use std::net::{Shutdown as Half, TcpStream};
use std::sync::Arc;

use nix::sys::socket::{setsockopt, sockopt};
use timely::communication::allocator::zero_copy::stream::Stream;

use crate::coordination::Coordination;

/// Seconds after which a silent peer is asked whether it is still there; after as long again it is given up.
const SILENCE_S: u32 = 5;

/// The last that timely sends is a header of so many zeros; no other header is all zeros.
const FAREWELL: usize = 48;

/// One end of the connection to a peer.
pub(super) struct Link {
    socket: TcpStream,
    /// Zeros read last, without anything else between.
    zeros: usize,
    index: usize,
    address: Arc<str>,
    shared: Arc<Coordination>,
}

impl Link {
    pub(super) fn new(socket: TcpStream, index: usize, address: &str, shared: Arc<Coordination>) -> Self {
        let link = Self { socket, zeros: 0, index, address: address.into(), shared };
        if let Err(error) = link.watch() {
            tracing::warn!(peer = address, %error, "a peer that vanishes without a word will be noticed late");
        }
        link
    }

    /// A machine that loses its power sends no farewell.
    fn watch(&self) -> io::Result<()> {
        let socket = &self.socket;
        setsockopt(socket, sockopt::KeepAlive, &true)?;
        setsockopt(socket, sockopt::TcpKeepIdle, &SILENCE_S)?;
        setsockopt(socket, sockopt::TcpKeepInterval, &1)?;
        setsockopt(socket, sockopt::TcpKeepCount, &SILENCE_S)?;
        setsockopt(socket, sockopt::TcpUserTimeout, &(SILENCE_S * 2_000))?;
        socket.set_read_timeout(None)?;
        socket.set_nodelay(true)
    }

    fn gone(&self, why: &str) {
        self.shared.peer_gone(self.index, &self.address, why);
    }
}

impl Read for Link {
    fn read(&mut self, bytes: &mut [u8]) -> io::Result<usize> {
        loop {
            match self.socket.read(bytes) {
                Ok(0) if self.zeros >= FAREWELL => self.shared.peer_left(self.index, &self.address),
                Ok(0) => self.gone("it hung up"),
                Ok(read) => {
                    let last = bytes[..read].iter().rev().take_while(|byte| **byte == 0).count();
                    self.zeros = if last == read { self.zeros + read } else { last };
                    return Ok(read);
                }
                Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
                Err(error) => self.gone(&error.to_string()),
            }
            loop {
                std::thread::park();
            }
        }
    }
}

impl Write for Link {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        if self.shared.is_broken() {
            // A farewell would be an orderly end to a peer that has not noticed the failure yet.
            let _ = self.socket.shutdown(Half::Both);
            return Ok(bytes.len());
        }
        match self.socket.write(bytes) {
            Err(error) if error.kind() != io::ErrorKind::Interrupted => {
                self.gone(&error.to_string());
                Ok(bytes.len())
            }
            written => written,
        }
    }

    fn flush(&mut self) -> io::Result<()> {
        if let Err(error) = self.socket.flush() {
            self.gone(&error.to_string());
        }
        Ok(())
    }
}

impl Stream for Link {
    fn try_clone(&self) -> io::Result<Self> {
        let (socket, shared) = (self.socket.try_clone()?, Arc::clone(&self.shared));
        Ok(Self { socket, zeros: 0, index: self.index, address: Arc::clone(&self.address), shared })
    }

    fn set_nonblocking(&self, nonblocking: bool) -> io::Result<()> {
        self.socket.set_nonblocking(nonblocking)
    }

    fn shutdown(&self, how: Half) -> io::Result<()> {
        // Shut already, when the peer is gone.
        let _ = self.socket.shutdown(how);
        Ok(())
    }
}
