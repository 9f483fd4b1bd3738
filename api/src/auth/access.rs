//! What a route asks of whoever calls it. The table of routes says it for each; the gate asks.

use platform::permission::Permission;
use platform::resource::Needs;

/// What a route asks.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Access {
    /// Nothing: what is public, and the ways to sign in.
    Public,
    /// To be signed in.
    Login,
    /// To be a member of an organisation who may do this.
    Member(Permission),
    /// To be an operator of the platform.
    Operator,
}

impl From<Needs> for Access {
    fn from(needs: Needs) -> Self {
        match needs {
            Needs::Permission(permission) => Self::Member(permission),
            Needs::Login => Self::Login,
            Needs::Operator => Self::Operator,
        }
    }
}
