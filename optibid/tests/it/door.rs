//! A door before a server: while it is shut nobody gets in, and who was in is thrown out. To a client that is a
//! server that has died and comes back with what it had.

use std::net::SocketAddr;

use tokio::net::{TcpListener, TcpStream};
use tokio::sync::watch;

/// Listens on a port of its own and passes everything on while open.
pub(crate) struct Door {
    address: SocketAddr,
    open: watch::Sender<bool>,
}

impl Door {
    /// An open door to `host:port`.
    pub(crate) async fn to(target: &str) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let open = watch::Sender::new(true);
        tokio::spawn(keep(listener, target.to_owned(), open.subscribe()));
        Self { address, open }
    }

    pub(crate) fn set_open(&self, open: bool) {
        self.open.send_replace(open);
    }

    /// `url` through this door: its `host:port` replaced.
    pub(crate) fn before(&self, url: &str) -> String {
        url.replace(&host(url), &self.address.to_string())
    }
}

/// The `host:port` of an address.
pub(crate) fn host(url: &str) -> String {
    let rest = url.split_once("://").map_or(url, |(_, rest)| rest);
    let authority = rest.split('/').next().unwrap();
    authority.rsplit('@').next().unwrap().to_owned()
}

async fn keep(listener: TcpListener, target: String, open: watch::Receiver<bool>) {
    while let Ok((mut guest, _)) = listener.accept().await {
        if !*open.borrow() {
            continue;
        }
        let (target, mut open) = (target.clone(), open.clone());
        tokio::spawn(async move {
            let Ok(mut server) = TcpStream::connect(&target).await else { return };
            tokio::select! {
                _ = tokio::io::copy_bidirectional(&mut guest, &mut server) => {}
                _ = open.wait_for(|open| !open) => {}
            }
        });
    }
}
