//! Who reads the market's state, and what of it is theirs to see.
//!
//! Prices, bars and clearing are public. Bids and what follows from them belong to the organisation that made them, and so
//! do the alert rules that it has set and the alerts that these raise. Everything that shows state to clients asks here.

use std::sync::Arc;

use crate::rule;
use crate::snapshot::Snapshot;

/// Who reads.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum Reader {
    /// The house itself, or the only user there is: everything.
    House,
    /// A member of this organisation (its code, as on the stream): what is public, and what is its own.
    Organisation(Arc<str>),
}

impl Reader {
    /// Whose eyes; `None` for the house's.
    pub fn organisation(&self) -> Option<&str> {
        match self {
            Self::House => None,
            Self::Organisation(code) => Some(code),
        }
    }

    /// Whether what belongs to `organisation` may be seen.
    pub fn sees(&self, organisation: &str) -> bool {
        self.organisation().is_none_or(|own| own == organisation)
    }

    /// Whether a bid of this id may be named. One that the state no longer holds is nobody's: rather hidden than shown to
    /// the wrong one.
    pub fn sees_bid(&self, snapshot: &Snapshot, bid: &str) -> bool {
        *self == Self::House || snapshot.bids.get(bid).is_some_and(|(_, bid)| self.sees(&bid.organisation))
    }

    /// Whether a rule of this name, and its alerts, may be seen: public ones, and those of one's own organisation.
    pub fn sees_rule(&self, name: &str) -> bool {
        rule::owner(name).is_none_or(|owner| self.sees(owner))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn members_see_their_own_and_what_is_public() {
        let acme = Reader::Organisation("acme".into());
        assert!(acme.sees("acme") && !acme.sees("Acme") && !acme.sees(""));
        assert!(acme.sees_rule("z-score") && acme.sees_rule("acme/peak") && !acme.sees_rule("acme2/peak"));
        assert!(Reader::House.sees("anybody") && Reader::House.sees_rule("anybody/rule"));
    }
}
