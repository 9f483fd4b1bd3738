//! Who asks.

use model::Reader;
use platform::identity::{self, Origin};

use super::Access;
use crate::error::Error;

/// Who asks: put on every request at the gate, so that handlers need not know how it was found out.
#[derive(Clone, Debug)]
pub(crate) struct Caller {
    /// What of the market's state they may see.
    pub(crate) reader: Reader,
    /// Where the request came from.
    pub(crate) origin: Origin,
    who: Who,
}

#[derive(Clone, Debug)]
enum Who {
    /// Somebody of whom nothing is known.
    Anybody,
    /// Anybody, where there are no accounts: one user, who reads everything; to change something takes the key.
    OnlyUser,
    /// The house itself, by its key.
    House,
    /// Somebody with an account, or a key of theirs.
    Known(identity::Caller),
}

impl Caller {
    /// Somebody of whom nothing is known: sees what is public. (No bid is of an organisation without a name.)
    pub(crate) fn anybody(origin: Origin) -> Self {
        Self { reader: Reader::Organisation("".into()), origin, who: Who::Anybody }
    }

    /// Whoever comes where there are no accounts.
    pub(crate) fn only_user(origin: Origin) -> Self {
        Self { reader: Reader::House, origin, who: Who::OnlyUser }
    }

    /// Whoever has the administrator's key.
    pub(crate) fn house(origin: Origin) -> Self {
        Self { reader: Reader::House, origin, who: Who::House }
    }

    /// Somebody with an account. One who acts for no organisation sees what is public.
    pub(crate) fn known(caller: identity::Caller, origin: Origin) -> Self {
        let code = caller.organisation.as_ref().map_or_else(|| "".into(), |(_, code)| code.clone());
        Self { reader: Reader::Organisation(code), origin, who: Who::Known(caller) }
    }

    /// The account behind the request.
    pub(crate) fn account(&self) -> Result<&identity::Caller, Error> {
        match &self.who {
            Who::Known(caller) => Ok(caller),
            Who::Anybody | Who::OnlyUser | Who::House => Err(Error::SignIn),
        }
    }

    /// Whether the caller may use a route that asks for `access`.
    pub(crate) fn may(&self, access: Access) -> Result<(), Error> {
        match (access, &self.who) {
            (Access::Public, _) | (_, Who::House) => Ok(()),
            (Access::Member(permission), Who::OnlyUser) if !permission.as_str().ends_with(".write") => Ok(()),
            (_, Who::OnlyUser) => Err(Error::Unauthorized),
            (_, Who::Anybody) => Err(Error::SignIn),
            (Access::Login, Who::Known(_)) => Ok(()),
            (Access::Member(permission), Who::Known(caller)) => Ok(caller.needs(permission)?),
            (Access::Operator, Who::Known(caller)) if caller.is_operator => Ok(()),
            (Access::Operator, Who::Known(_)) => Err(Error::Denied("this is for operators of the platform".to_owned())),
        }
    }
}
