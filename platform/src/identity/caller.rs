//! Who a request is from, and what that one may do.

use std::net::IpAddr;
use std::sync::Arc;

use uuid::Uuid;

use crate::database::{Actor, DatabaseRole, Kind};
use crate::permission::{Permission, Permissions, Role};
use crate::refusal::{Outcome, Refusal};

/// What a request brings along to say who it is from.
#[derive(Clone, Copy)]
pub enum Credential<'a> {
    /// `Authorization: Bearer …`: an access token or an API key.
    Bearer(&'a str),
    /// An API key.
    ApiKey(&'a str),
}

impl std::fmt::Debug for Credential<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(match self {
            Self::Bearer(_) => "Bearer(***)",
            Self::ApiKey(_) => "ApiKey(***)",
        })
    }
}

/// How the caller came in.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum CallerKind {
    /// A person, in this session.
    Session(Uuid),
    /// A program, with this API key.
    ApiKey(Uuid),
}

/// Who a request is from.
#[derive(Clone, Debug)]
pub struct Caller {
    /// The user.
    pub user: Uuid,
    /// The organisation that is acted for: its id, and its code on the stream.
    pub organisation: Option<(Uuid, Arc<str>)>,
    /// What the user is in it.
    pub role: Option<Role>,
    /// What the role allows and the scope of the key or token names.
    pub permissions: Permissions,
    /// How the caller came in.
    pub kind: CallerKind,
    /// Whether the user runs the platform itself.
    pub is_operator: bool,
    /// From where.
    pub address: Option<IpAddr>,
    /// Id of the request.
    pub request: Option<String>,
}

impl Caller {
    /// Who begins a transaction, as which role of the database.
    pub fn actor(&self, role: DatabaseRole) -> Actor {
        let kind = match self.kind {
            CallerKind::Session(_) => Kind::User,
            CallerKind::ApiKey(key) => Kind::ApiKey(key),
        };
        Actor {
            role,
            kind,
            organisation: self.organisation.as_ref().map(|(id, _)| *id),
            user: Some(self.user),
            member: self.role,
            address: self.address,
            request: self.request.clone(),
        }
    }

    /// Refuses who may not.
    pub fn needs(&self, permission: Permission) -> Outcome<()> {
        self.organisation()?;
        if self.permissions.contains(permission) {
            return Ok(());
        }
        Err(Refusal::Forbidden(format!("the permission {permission}")).into())
    }

    /// Refuses who does not run the platform.
    pub fn needs_operator(&self) -> Outcome<()> {
        if self.is_operator {
            Ok(())
        } else {
            Err(Refusal::Forbidden("to be an operator of the platform".into()).into())
        }
    }

    /// The organisation that is acted for.
    pub fn organisation(&self) -> Outcome<Uuid> {
        let none = || Refusal::Forbidden("an organisation: switch to one of yours".into());
        Ok(self.organisation.as_ref().map(|(id, _)| *id).ok_or_else(none)?)
    }

    /// The session: what belongs to a person is not a program's to do.
    pub fn session(&self) -> Outcome<Uuid> {
        match self.kind {
            CallerKind::Session(session) => Ok(session),
            CallerKind::ApiKey(_) => Err(Refusal::Forbidden("a person who is logged in, not an API key".into()).into()),
        }
    }

    /// What limits are counted under.
    pub(crate) fn name(&self) -> Uuid {
        match self.kind {
            CallerKind::Session(_) => self.user,
            CallerKind::ApiKey(key) => key,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn caller(kind: CallerKind) -> Caller {
        Caller {
            user: Uuid::from_u128(1),
            organisation: Some((Uuid::from_u128(2), "acme".into())),
            role: Some(Role::Viewer),
            permissions: Role::Viewer.permissions(),
            kind,
            is_operator: false,
            address: None,
            request: Some("r".into()),
        }
    }

    #[test]
    fn a_role_is_not_more_than_it_is() {
        let viewer = caller(CallerKind::Session(Uuid::from_u128(3)));
        viewer.needs(Permission::BidsRead).unwrap();
        assert_eq!(
            viewer.needs(Permission::BidsWrite).unwrap_err().to_string(),
            "this needs the permission bids.write"
        );
        assert!(viewer.needs_operator().is_err());
        let nowhere = Caller { organisation: None, ..viewer };
        assert!(nowhere.needs(Permission::BidsRead).is_err(), "permissions are of an organisation");
    }

    #[test]
    fn a_program_is_no_person() {
        let program = caller(CallerKind::ApiKey(Uuid::from_u128(4)));
        assert!(program.session().is_err());
        assert_eq!(program.actor(DatabaseRole::Tenant).kind, Kind::ApiKey(Uuid::from_u128(4)));
        assert_eq!(program.actor(DatabaseRole::Tenant).user, Some(Uuid::from_u128(1)));
        assert_eq!(format!("{:?}", Credential::Bearer("secret")), "Bearer(***)");
    }
}
