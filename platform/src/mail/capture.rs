//! A mail server that keeps what it is sent: for tests, and for demos without a server.
//!
//! Speaks as much SMTP (RFC 5321) as a client without TLS needs, over TCP, on a free port of this machine.

use std::net::SocketAddr;

use data_encoding::BASE64;
use tokio::io::{AsyncBufReadExt, AsyncWriteExt, BufReader};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::mpsc;
use tokio::task::JoinSet;

use crate::Error;

/// Bytes of one line, and of one letter, at most.
const LINE_BYTES: u64 = 4_096;
const LETTER_BYTES: usize = 1 << 20;
/// Letters kept until somebody looks; after that senders wait.
const LETTERS: usize = 256;

/// A letter as it came over the wire.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Captured {
    /// Envelope: who sends.
    pub from: String,
    /// Envelope: to whom.
    pub to: Vec<String>,
    /// Headers and body, with line ends as `\n`.
    pub data: String,
}

impl Captured {
    /// The body as its reader sees it: without headers, decoded.
    pub fn text(&self) -> String {
        let (headers, body) = self.data.split_once("\n\n").unwrap_or((&self.data, ""));
        let encoding = headers.lines().find_map(|line| line.strip_prefix("Content-Transfer-Encoding: "));
        let bytes = match encoding {
            Some("quoted-printable") => quoted_printable(body),
            Some("base64") => BASE64.decode(body.replace('\n', "").as_bytes()).unwrap_or_default(),
            _ => body.as_bytes().to_vec(),
        };
        String::from_utf8_lossy(&bytes).replace("\r\n", "\n")
    }
}

/// RFC 2045 6.7: `=` and two digits is a byte, `=` at the end of a line joins it with the next.
fn quoted_printable(body: &str) -> Vec<u8> {
    let joined = body.replace("=\n", "");
    let mut pieces = joined.split('=');
    let mut bytes = pieces.next().unwrap_or_default().as_bytes().to_vec();
    for piece in pieces {
        let code = piece.get(..2).and_then(|digits| u8::from_str_radix(digits, 16).ok());
        bytes.extend(code);
        bytes.extend_from_slice(piece.get(2..).unwrap_or_default().as_bytes());
    }
    bytes
}

/// The running server; ends when dropped.
#[derive(Debug)]
pub struct Capture {
    address: SocketAddr,
    letters: mpsc::Receiver<Captured>,
    _server: JoinSet<()>,
}

impl Capture {
    /// Starts it.
    pub async fn start() -> Result<Self, Error> {
        let failed = |error: std::io::Error| Error::Unreachable { host: "127.0.0.1".into(), reason: error.to_string() };
        let listener = TcpListener::bind("127.0.0.1:0").await.map_err(failed)?;
        let address = listener.local_addr().map_err(failed)?;
        let (sender, letters) = mpsc::channel(LETTERS);
        let mut server = JoinSet::new();
        server.spawn(async move {
            let mut clients = JoinSet::new();
            while let Ok((stream, _)) = listener.accept().await {
                clients.spawn(serve(stream, sender.clone()));
                while clients.try_join_next().is_some() {}
            }
        });
        Ok(Self { address, letters, _server: server })
    }

    /// `smtp://127.0.0.1:port`, as it stands in a configuration.
    pub fn url(&self) -> String {
        format!("smtp://{}", self.address)
    }

    /// The next letter; waits for one.
    pub async fn next(&mut self) -> Option<Captured> {
        self.letters.recv().await
    }

    /// A letter that is there already.
    pub fn try_next(&mut self) -> Option<Captured> {
        self.letters.try_recv().ok()
    }
}

async fn serve(stream: TcpStream, letters: mpsc::Sender<Captured>) {
    // Who goes away in the middle has sent nothing.
    let _ = talk(stream, letters).await;
}

async fn talk(stream: TcpStream, letters: mpsc::Sender<Captured>) -> std::io::Result<()> {
    let mut stream = BufReader::new(stream);
    stream.write_all(b"220 capture.invalid ESMTP\r\n").await?;
    let (mut from, mut to) = (String::new(), Vec::new());
    while let Some(line) = line(&mut stream).await? {
        let verb = line.get(..4).unwrap_or(&line).to_ascii_uppercase();
        let answer = match verb.as_str() {
            "EHLO" => "250-capture.invalid\r\n250 8BITMIME",
            "MAIL" => {
                from = path(&line);
                to.clear();
                "250 ok"
            }
            "RCPT" if to.len() < 100 => {
                to.push(path(&line));
                "250 ok"
            }
            "DATA" if to.is_empty() => "503 no recipients",
            "DATA" => {
                stream.write_all(b"354 go ahead\r\n").await?;
                let Some(data) = data(&mut stream).await? else { return Ok(()) };
                let letter = Captured { from: std::mem::take(&mut from), to: std::mem::take(&mut to), data };
                if letters.send(letter).await.is_err() {
                    return Ok(());
                }
                "250 taken"
            }
            "HELO" | "NOOP" | "RSET" => "250 ok",
            "QUIT" => {
                stream.write_all(b"221 bye\r\n").await?;
                return Ok(());
            }
            _ => "502 not here",
        };
        stream.write_all(answer.as_bytes()).await?;
        stream.write_all(b"\r\n").await?;
    }
    Ok(())
}

/// The text of a letter, up to the line with a dot; `None` when it is too long or breaks off.
async fn data(stream: &mut BufReader<TcpStream>) -> std::io::Result<Option<String>> {
    let mut data = String::new();
    while let Some(line) = line(stream).await? {
        if line == "." {
            return Ok(Some(data));
        }
        data.push_str(line.strip_prefix('.').unwrap_or(&line));
        data.push('\n');
        if data.len() > LETTER_BYTES {
            break;
        }
    }
    Ok(None)
}

async fn line(stream: &mut BufReader<TcpStream>) -> std::io::Result<Option<String>> {
    use tokio::io::AsyncReadExt;
    let mut bytes = Vec::new();
    stream.take(LINE_BYTES).read_until(b'\n', &mut bytes).await?;
    if !bytes.ends_with(b"\r\n") {
        return Ok(None);
    }
    bytes.truncate(bytes.len() - 2);
    Ok(Some(String::from_utf8_lossy(&bytes).into_owned()))
}

/// What stands between the angle brackets.
fn path(line: &str) -> String {
    let inner = line.split_once('<').and_then(|(_, rest)| rest.split_once('>'));
    inner.map_or(String::new(), |(path, _)| path.to_owned())
}
