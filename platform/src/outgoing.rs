//! Calls to addresses that somebody else chose: webhooks of customers, identity providers.
//!
//! ```text
//! address ─► form (https, no credentials) ─► resolve once ─► every address allowed? ─► connect to exactly these
//! ```
//!
//! The name is resolved here, once, and the connection goes to what was looked at, so a name that changes its mind
//! (DNS rebinding) changes nothing. No redirect is followed. Time, and bytes of the answer, have a limit. A connection
//! serves one call: these are rare, and a pool could hand a connection from one customer's call to another's.

mod address;

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use http_body_util::{BodyExt, Full, LengthLimitError, Limited};
use hyper::client::conn::http1;
use hyper::header::{HOST, HeaderName, HeaderValue, USER_AGENT};
use hyper_util::rt::TokioIo;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;
use tokio_rustls::rustls::pki_types::{CertificateDer, ServerName};
use tokio_rustls::rustls::{ClientConfig, RootCertStore, crypto::ring};
use url::{Host, Url};

pub use self::address::Rules;
use crate::Error;

const AGENT: &str = concat!("OptiBid/", env!("CARGO_PKG_VERSION"));
const MOST_ADDRESSES: usize = 4;

/// Calls others.
#[derive(Clone)]
pub struct Client {
    tls: Arc<ClientConfig>,
    timeout: Duration,
    body_limit: usize,
}

/// What to send.
#[derive(Clone, Debug, Default)]
pub struct Request {
    /// `GET` without a body, `POST` with one.
    pub body: Option<Bytes>,
    /// Further headers.
    pub headers: Vec<(HeaderName, HeaderValue)>,
}

/// What came back.
#[derive(Clone, Debug)]
pub struct Response {
    /// Status; 3xx is an answer like any other.
    pub status: u16,
    /// All of the body.
    pub body: Bytes,
}

impl std::fmt::Debug for Client {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Client").field("timeout", &self.timeout).finish_non_exhaustive()
    }
}

impl Client {
    /// Trusts who this machine trusts. `body_limit` in bytes of an answer.
    pub fn new(timeout: Duration, body_limit: usize) -> Result<Self, Error> {
        let found = rustls_native_certs::load_native_certs();
        if found.certs.is_empty() {
            tracing::warn!(errors = ?found.errors, "this machine trusts no certificates: no https call will succeed");
        }
        Self::trusting(found.certs, timeout, body_limit)
    }

    /// Trusts these certificates alone.
    pub fn trusting(
        roots: impl IntoIterator<Item = CertificateDer<'static>>,
        timeout: Duration,
        body_limit: usize,
    ) -> Result<Self, Error> {
        let mut store = RootCertStore::empty();
        store.add_parsable_certificates(roots);
        let tls = ClientConfig::builder_with_provider(Arc::new(ring::default_provider()))
            .with_safe_default_protocol_versions()
            .map_err(|error| Error::Config(format!("tls: {error}")))?
            .with_root_certificates(store)
            .with_no_client_auth();
        Ok(Self { tls: Arc::new(tls), timeout, body_limit })
    }

    /// One call, from the name to the last byte of the answer, within the time that there is.
    pub async fn call(&self, rules: Rules, url: &str, request: Request) -> Result<Response, Error> {
        let url = rules.parse(url)?;
        let work = Box::pin(self.exchange(rules, &url, request));
        tokio::time::timeout(self.timeout, work).await.map_err(|_| Error::Timeout(self.timeout))?
    }

    async fn exchange(&self, rules: Rules, url: &Url, request: Request) -> Result<Response, Error> {
        let addresses = rules.resolve(url).await?;
        let stream = connect(url, &addresses).await?;
        if url.scheme() == "http" {
            return self.speak(url, request, stream).await;
        }
        let name = match url.host() {
            Some(Host::Domain(name)) => ServerName::try_from(name.to_owned()).map_err(|e| unreachable(url, e))?,
            Some(Host::Ipv4(address)) => ServerName::from(std::net::IpAddr::from(address)),
            Some(Host::Ipv6(address)) => ServerName::from(std::net::IpAddr::from(address)),
            None => return Err(unreachable(url, "no host")),
        };
        let stream = TlsConnector::from(self.tls.clone()).connect(name, stream).await;
        self.speak(url, request, stream.map_err(|error| unreachable(url, error))?).await
    }

    async fn speak<S>(&self, url: &Url, request: Request, stream: S) -> Result<Response, Error>
    where
        S: AsyncRead + AsyncWrite + Unpin + Send + 'static,
    {
        let (mut sender, connection) =
            http1::handshake(TokioIo::new(stream)).await.map_err(|error| unreachable(url, error))?;
        // Ends with this call, however it ends.
        let mut driver = tokio::task::JoinSet::new();
        driver.spawn(connection);
        let request = message(url, request).map_err(|error| unreachable(url, error))?;
        let response = sender.send_request(request).await.map_err(|error| unreachable(url, error))?;
        let status = response.status().as_u16();
        let body = Limited::new(response.into_body(), self.body_limit).collect().await.map_err(|error| {
            if error.is::<LengthLimitError>() {
                return unreachable(url, format!("the answer has more than {} bytes", self.body_limit));
            }
            unreachable(url, error)
        })?;
        Ok(Response { status, body: body.to_bytes() })
    }
}

fn message(url: &Url, request: Request) -> Result<hyper::Request<Full<Bytes>>, hyper::http::Error> {
    let method = if request.body.is_some() { "POST" } else { "GET" };
    let path = match url.query() {
        Some(query) => format!("{}?{query}", url.path()),
        None => url.path().to_owned(),
    };
    // As the address names it: without the port when it is the usual one.
    let host = match (url.host_str(), url.port()) {
        (Some(host), Some(port)) => format!("{host}:{port}"),
        (host, _) => host.unwrap_or_default().to_owned(),
    };
    let mut message = hyper::Request::builder().method(method).uri(path).header(HOST, host).header(USER_AGENT, AGENT);
    for (name, value) in request.headers {
        message = message.header(name, value);
    }
    message.body(Full::new(request.body.unwrap_or_default()))
}

async fn connect(url: &Url, addresses: &[SocketAddr]) -> Result<TcpStream, Error> {
    let mut last = "the name has no address".to_owned();
    for address in addresses.iter().take(MOST_ADDRESSES) {
        match TcpStream::connect(address).await {
            Ok(stream) => return Ok(stream),
            Err(error) => last = error.to_string(),
        }
    }
    Err(unreachable(url, last))
}

fn unreachable(url: &Url, reason: impl ToString) -> Error {
    Error::Unreachable { host: address::host(url), reason: reason.to_string() }
}

#[cfg(test)]
mod tests;
