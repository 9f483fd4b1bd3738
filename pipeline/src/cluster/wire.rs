//! Short messages on a socket before it is timely's: a length, then JSON.

use std::io::{self, ErrorKind, Read, Write};
use std::net::TcpStream;
use std::time::{Duration, Instant};

use serde::Serialize;
use serde::de::DeserializeOwned;

use crate::clock::now;
use crate::shutdown::Shutdown;

/// Longer than any message of ours: whoever sends more is somebody else.
const LONGEST: u32 = 64 << 20;
const TICK: Duration = Duration::from_millis(100);

/// Sends one message.
pub(super) fn send<M: Serialize>(socket: &mut TcpStream, message: &M) -> io::Result<()> {
    let json = serde_json::to_vec(message)?;
    let length = u32::try_from(json.len()).map_err(io::Error::other)?;
    socket.write_all(&length.to_be_bytes())?;
    socket.write_all(&json)?;
    socket.flush()
}

/// Waits for one message: for as long as `patience`, and until the program stops.
pub(super) fn receive<M: DeserializeOwned>(
    socket: &mut TcpStream,
    patience: Duration,
    shutdown: &Shutdown,
) -> io::Result<M> {
    let until = now() + patience;
    socket.set_read_timeout(Some(TICK))?;
    let mut length = [0; 4];
    fill(socket, &mut length, until, shutdown)?;
    let length = u32::from_be_bytes(length);
    if length > LONGEST {
        return Err(io::Error::new(ErrorKind::InvalidData, "that is not one of us"));
    }
    let mut json = vec![0; length as usize];
    fill(socket, &mut json, until, shutdown)?;
    socket.set_read_timeout(None)?;
    Ok(serde_json::from_slice(&json)?)
}

fn fill(socket: &mut TcpStream, bytes: &mut [u8], until: Instant, shutdown: &Shutdown) -> io::Result<()> {
    let mut filled = 0;
    while filled < bytes.len() {
        match socket.read(&mut bytes[filled..]) {
            Ok(0) => return Err(io::Error::new(ErrorKind::UnexpectedEof, "it hung up")),
            Ok(read) => filled += read,
            Err(error) if matches!(error.kind(), ErrorKind::WouldBlock | ErrorKind::TimedOut) => {
                if shutdown.is_stopping() {
                    return Err(io::Error::new(ErrorKind::Interrupted, "stopped while waiting for it"));
                }
                if now() >= until {
                    return Err(io::Error::new(ErrorKind::TimedOut, "it says nothing"));
                }
            }
            Err(error) if error.kind() == ErrorKind::Interrupted => {}
            Err(error) => return Err(error),
        }
    }
    Ok(())
}
