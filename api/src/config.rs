//! The `api` section of the configuration: where to listen, what to allow, how long to wait.
//!
//! Every limit of the API is here, so that an operator finds them in one place (`optibid config print`).

use std::net::{Ipv4Addr, SocketAddr};
use std::path::PathBuf;

use model::humane::{Secret, Span};
use serde::{Deserialize, Serialize};

/// The HTTP and WebSocket server.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Config {
    /// Address and port; port 0 takes a free one.
    pub listen: SocketAddr,
    /// Folder with the built page. Without one, the page built into the binary is served.
    pub web_dir: Option<PathBuf>,
    /// The administrator's key. Empty: a random one is made at start and logged once.
    pub admin_key: Secret,
    /// Origins that browsers may call from; `*` means any, an empty list none but our own.
    pub cors_origins: Vec<String>,
    /// Longest time a request may take until its answer begins.
    pub request_timeout: Span,
    /// Longest time a client may take to send its request head.
    pub header_timeout: Span,
    /// Longest time open connections get to finish when the server stops.
    pub stop_timeout: Span,
    /// Connections at one time; further ones wait in the listen queue.
    pub max_connections: usize,
    /// Whether a proxy of ours stands before us, whose `X-Forwarded-For` tells the client's address.
    pub behind_proxy: bool,
    /// Largest request body in bytes.
    pub body_limit_bytes: usize,
    /// Most bars one answer is computed from.
    pub max_bars: usize,
    /// The WebSocket.
    pub websocket: WebSocket,
}

impl Default for Config {
    fn default() -> Self {
        Self {
            listen: SocketAddr::from((Ipv4Addr::UNSPECIFIED, 8000)),
            web_dir: None,
            admin_key: Secret::default(),
            cors_origins: vec!["*".to_owned()],
            request_timeout: Span::from_millis(30_000),
            header_timeout: Span::from_millis(10_000),
            stop_timeout: Span::from_millis(1_500),
            max_connections: 20_000,
            behind_proxy: false,
            body_limit_bytes: 1 << 20,
            max_bars: 200_000,
            websocket: WebSocket::default(),
        }
    }
}

/// Limits of the WebSocket.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct WebSocket {
    /// Sockets at one time; a further one is refused with 503.
    pub max_sockets: usize,
    /// Closed moments that wait for a client before it must resynchronise from a snapshot.
    pub queue_moments: usize,
    /// From this many waiting moments on, a client gets the last value of each key instead of every value.
    pub conflate_after: usize,
    /// A client that takes longer than this to accept what it is sent is disconnected.
    pub send_timeout: Span,
    /// How often the server sends a heartbeat.
    pub heartbeat: Span,
    /// A client that says nothing for this long (not even a pong) is disconnected.
    pub idle_timeout: Span,
    /// How far back `since` can resume, by T.
    pub resume_window: Span,
    /// How far back `since` can resume, by encoded bytes.
    pub resume_bytes: usize,
    /// How old a shared snapshot frame may be for a new client; later moments follow it anyway.
    pub snapshot_reuse: Span,
    /// Alerts and notices in a snapshot frame, newest first to be kept.
    pub snapshot_alerts: usize,
    /// Largest message from a client in bytes.
    pub max_message_bytes: usize,
    /// Kernel send buffer of a socket in bytes; 0 leaves it to the system.
    pub send_buffer_bytes: u32,
}

impl Default for WebSocket {
    fn default() -> Self {
        Self {
            max_sockets: 10_000,
            queue_moments: 1_024,
            conflate_after: 64,
            send_timeout: Span::from_millis(10_000),
            heartbeat: Span::from_millis(15_000),
            idle_timeout: Span::from_millis(60_000),
            resume_window: Span::from_millis(120_000),
            resume_bytes: 64 << 20,
            snapshot_reuse: Span::from_millis(250),
            snapshot_alerts: 500,
            max_message_bytes: 64 << 10,
            send_buffer_bytes: 0,
        }
    }
}
