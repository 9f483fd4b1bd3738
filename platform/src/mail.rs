//! Mail: a new password, a verified address, an alert. Plain text, one recipient, over TLS.
//!
//! Nothing that a person typed reaches a header unchecked: the recipient is an address of [`names::email`]'s form,
//! the subject is one line, and lettre encodes both. The body is encoded, too, so no dot or line can end it early.

pub mod capture;
mod letter;

use lettre::message::header::ContentType;
use lettre::message::{Mailbox, Message};
use lettre::transport::smtp::AsyncSmtpTransport;
use lettre::transport::smtp::extension::ClientId;
use lettre::{AsyncTransport, Tokio1Executor};
use url::Url;
use uuid::Uuid;

pub use self::letter::Letter;
use crate::config::{self, check};
use crate::{Error, names};

/// Sends letters through one server.
#[derive(Clone, Debug)]
pub struct Mailer {
    transport: Option<AsyncSmtpTransport<Tokio1Executor>>,
    from: Mailbox,
}

impl Mailer {
    /// The server of a configuration; connects with each letter. Without a server nothing is sent.
    pub fn new(config: &config::Mail) -> Result<Self, Error> {
        let from: Mailbox =
            config.from.parse().map_err(|error| Error::Config(format!("from is no sender: {error}")))?;
        if config.url.expose().is_empty() {
            return Ok(Self { transport: None, from });
        }
        // The address may hold a password: it is never repeated.
        let no_address = || Error::Config("url is no smtp:// or smtps:// address".to_owned());
        let url = Url::parse(config.url.expose()).map_err(|_| no_address())?;
        let tls = url.query_pairs().find(|(name, _)| name == "tls").map(|(_, value)| value.into_owned());
        let encrypted = url.scheme() == "smtps" || url.scheme() == "smtp" && tls.as_deref() == Some("required");
        if !encrypted && !config.allow_plain && !check::is_loopback(&url) {
            let reason = "url must be smtps://… or smtp://…?tls=required (or allow_plain = true)";
            return Err(Error::Config(reason.to_owned()));
        }
        let name = ClientId::Domain(from.email.domain().to_owned());
        let transport = AsyncSmtpTransport::<Tokio1Executor>::from_url(config.url.expose())
            .map_err(|_| no_address())?
            .timeout(Some(config.timeout.0))
            .hello_name(name)
            .build();
        Ok(Self { transport: Some(transport), from })
    }

    /// Whether there is a server.
    pub fn is_configured(&self) -> bool {
        self.transport.is_some()
    }

    /// Sends one letter; returns when the server has taken it.
    pub async fn send(&self, letter: &Letter) -> Result<(), Error> {
        let Some(transport) = &self.transport else {
            return Err(Error::Message("no mail server is configured".to_owned()));
        };
        let message = self.message(letter)?;
        Box::pin(transport.send(message)).await?;
        Ok(())
    }

    fn message(&self, letter: &Letter) -> Result<Message, Error> {
        let wrong = |what: &str, reason: &dyn std::fmt::Display| Error::Message(format!("{what} {reason}"));
        let to = names::email(&letter.to).map_err(|problem| wrong("recipient", &problem.message))?;
        let to = to.parse().map_err(|error| wrong("recipient", &error))?;
        let subject = names::line(&letter.subject, 1, 200).map_err(|problem| wrong("subject", &problem.message))?;
        Message::builder()
            .from(self.from.clone())
            .to(Mailbox::new(None, to))
            .subject(subject)
            .message_id(Some(format!("<{}@{}>", Uuid::new_v4(), self.from.email.domain())))
            .header(ContentType::TEXT_PLAIN)
            .body(letter.text.clone())
            .map_err(|error| wrong("message", &error))
    }
}

#[cfg(test)]
mod tests;
