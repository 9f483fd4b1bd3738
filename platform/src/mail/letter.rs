//! What is written to people. Short, without pictures, and true also for who did not ask for it.

use model::humane::Span;

/// A letter to one person.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Letter {
    /// Address.
    pub to: String,
    /// One line.
    pub subject: String,
    /// Plain text.
    pub text: String,
}

impl Letter {
    /// Somebody asked for a new password. `link` works once, for `life`.
    pub fn reset(to: &str, link: &str, life: Span) -> Self {
        Self {
            to: to.to_owned(),
            subject: "Your new OptiBid password".to_owned(),
            text: format!(
                "Somebody asked to set a new password for this address. If it was you, follow this link within {life}:\n\n\
                 {link}\n\nIt works once. If it was not you, nothing has changed and you need do nothing.\n"
            ),
        }
    }

    /// Somebody gave this address as theirs.
    pub fn verification(to: &str, link: &str, life: Span) -> Self {
        Self {
            to: to.to_owned(),
            subject: "Verify your address for OptiBid".to_owned(),
            text: format!(
                "This address was given for an account at OptiBid. If it was you, follow this link within {life}:\n\n\
                 {link}\n\nIf it was not you, you need do nothing.\n"
            ),
        }
    }

    /// Somebody registered with an address that has an account: said here, and nowhere else.
    pub fn already_registered(to: &str, link: &str) -> Self {
        Self {
            to: to.to_owned(),
            subject: "You have an OptiBid account already".to_owned(),
            text: format!(
                "Somebody tried to register with this address, which has an account. If it was you and the password is \
                 lost, ask for a new one:\n\n{link}\n\nIf it was not you, nothing has changed.\n"
            ),
        }
    }

    /// Somebody is invited into an organisation.
    pub fn invitation(to: &str, organisation: &str, link: &str, life: Span) -> Self {
        Self {
            to: to.to_owned(),
            subject: "An invitation to OptiBid".to_owned(),
            text: format!(
                "You are invited to join {organisation} at OptiBid. Follow this link within {life}:\n\n{link}\n"
            ),
        }
    }

    /// A rule has fired.
    pub fn alert(to: &str, title: &str, text: &str, link: &str) -> Self {
        // A title is shown in the list of letters: the first line of it, and not endless.
        let title: String = title.lines().next().unwrap_or_default().chars().take(120).collect();
        Self { to: to.to_owned(), subject: format!("Alert: {title}"), text: format!("{text}\n\n{link}\n") }
    }
}
