//! Who may do what: roles, permissions, and the one table between them.
//!
//! A request is allowed what its caller's role allows *and* its token's scope names. A scope never widens: an API
//! key made by a Trader can do no more than a Trader, also when its maker later becomes less.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Deserializer, Serialize, Serializer};

use crate::validate::Problem;

/// What somebody is in an organisation.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Role {
    /// Everything, members and money too.
    Admin,
    /// Data, models and SQL; no trading.
    Analyst,
    /// Bids, assets and rules.
    Trader,
    /// Looks on.
    Viewer,
}

/// A set of permissions.
#[derive(Clone, Copy, Default, PartialEq, Eq, Hash)]
pub struct Permissions(u64);

macro_rules! permissions {
    ($($(#[$doc:meta])* $name:ident = $text:literal: $($role:ident)+;)+) => {
        /// One thing that may be done.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
        pub enum Permission { $($(#[$doc])* $name,)+ }

        impl Permission {
            /// All of them, in the order of the table.
            pub const ALL: &[Self] = &[$(Self::$name,)+];

            /// How it is written in scopes and documents.
            pub fn as_str(self) -> &'static str {
                match self { $(Self::$name => $text,)+ }
            }

            /// Who has it.
            fn roles(self) -> &'static [Role] {
                match self { $(Self::$name => &[$(Role::$role,)+],)+ }
            }
        }
    };
}

// The table. An operator (of the platform, not of an organisation) is none of these: see `token::Claims::is_operator`.
permissions! {
    /// See the organisation.
    OrganisationRead = "organisation.read": Admin Analyst Trader Viewer;
    /// Change its name and settings.
    OrganisationWrite = "organisation.write": Admin;
    /// See who belongs to it.
    MembersRead = "members.read": Admin Analyst Trader Viewer;
    /// Invite, remove, give roles.
    MembersWrite = "members.write": Admin;
    /// See sites.
    SitesRead = "sites.read": Admin Analyst Trader Viewer;
    /// Add, change, remove sites.
    SitesWrite = "sites.write": Admin Trader;
    /// See assets.
    AssetsRead = "assets.read": Admin Analyst Trader Viewer;
    /// Add, change, remove assets.
    AssetsWrite = "assets.write": Admin Trader;
    /// See bids and what became of them.
    BidsRead = "bids.read": Admin Analyst Trader Viewer;
    /// Submit, amend, withdraw.
    BidsWrite = "bids.write": Admin Trader;
    /// See settlement and P&L.
    SettlementRead = "settlement.read": Admin Analyst Trader;
    /// See prices, key figures, auctions, maps.
    MarketRead = "market.read": Admin Analyst Trader Viewer;
    /// See alert rules and alerts.
    RulesRead = "rules.read": Admin Analyst Trader Viewer;
    /// Add, change, remove alert rules.
    RulesWrite = "rules.write": Admin Analyst Trader;
    /// See notification channels.
    ChannelsRead = "channels.read": Admin Analyst Trader;
    /// Add, change, remove channels; they send data out of the house.
    ChannelsWrite = "channels.write": Admin;
    /// See notifications.
    NotificationsRead = "notifications.read": Admin Analyst Trader Viewer;
    /// Mark them read.
    NotificationsWrite = "notifications.write": Admin Analyst Trader Viewer;
    /// See dashboards.
    DashboardsRead = "dashboards.read": Admin Analyst Trader Viewer;
    /// Make, change, share, remove dashboards.
    DashboardsWrite = "dashboards.write": Admin Analyst Trader;
    /// Ask in SQL.
    SqlQuery = "sql.query": Admin Analyst;
    /// Take data out in files.
    DataExport = "data.export": Admin Analyst Trader;
    /// See models and forecasts.
    ModelsRead = "models.read": Admin Analyst Trader Viewer;
    /// Train, promote, remove models.
    ModelsWrite = "models.write": Admin Analyst;
    /// See one's own API keys.
    ApiKeysRead = "api_keys.read": Admin Analyst Trader;
    /// Make and revoke API keys.
    ApiKeysWrite = "api_keys.write": Admin Analyst Trader;
    /// Read the audit trail.
    AuditRead = "audit.read": Admin;
    /// See feature flags.
    FlagsRead = "flags.read": Admin Analyst Trader Viewer;
    /// Switch feature flags of the organisation.
    FlagsWrite = "flags.write": Admin;
    /// See plan, quotas and use.
    BillingRead = "billing.read": Admin;
    /// Change the plan.
    BillingWrite = "billing.write": Admin;
    /// Export or erase the data of other members.
    PrivacyWrite = "privacy.write": Admin;
}

const _: () = assert!(Permission::ALL.len() <= 64, "a set is one u64");

impl Role {
    /// All of them.
    pub const ALL: [Self; 4] = [Self::Admin, Self::Analyst, Self::Trader, Self::Viewer];

    /// How it is written.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Admin => "admin",
            Self::Analyst => "analyst",
            Self::Trader => "trader",
            Self::Viewer => "viewer",
        }
    }

    /// What it allows.
    pub fn permissions(self) -> Permissions {
        Permission::ALL.iter().copied().filter(|permission| permission.roles().contains(&self)).collect()
    }

    /// Whether it allows one thing.
    pub fn allows(self, permission: Permission) -> bool {
        permission.roles().contains(&self)
    }
}

impl fmt::Display for Role {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

impl FromStr for Role {
    type Err = Problem;
    /// Case does not matter: older clients write `Admin`.
    fn from_str(text: &str) -> Result<Self, Problem> {
        let found = Self::ALL.into_iter().find(|role| role.as_str().eq_ignore_ascii_case(text));
        found.ok_or_else(|| Problem::allowed("unknown_role", "is no role", "admin, analyst, trader, viewer"))
    }
}

impl fmt::Display for Permission {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

impl FromStr for Permission {
    type Err = Problem;
    fn from_str(text: &str) -> Result<Self, Problem> {
        Self::ALL.iter().copied().find(|permission| permission.as_str() == text).ok_or_else(|| {
            let all: Vec<&str> = Self::ALL.iter().map(|permission| permission.as_str()).collect();
            Problem::allowed("unknown_permission", "is no permission", all.join(", "))
        })
    }
}

impl Permissions {
    /// None at all.
    pub const NONE: Self = Self(0);

    /// Whether one is in it.
    pub fn contains(self, permission: Permission) -> bool {
        self.0 & (1 << permission as u32) != 0
    }

    /// Whether all of `other` are in it.
    pub fn includes(self, other: Self) -> bool {
        other.0 & !self.0 == 0
    }

    /// What is in both.
    pub fn and(self, other: Self) -> Self {
        Self(self.0 & other.0)
    }

    /// One after the other, in the order of the table.
    pub fn iter(self) -> impl Iterator<Item = Permission> {
        Permission::ALL.iter().copied().filter(move |permission| self.contains(*permission))
    }

    /// The scope of a new API key: names of permissions, all of which its maker has (`maker` is what the maker's role
    /// and own token allow).
    pub fn scope<'a>(names: impl IntoIterator<Item = &'a str>, maker: Self) -> Result<Self, Problem> {
        let wanted: Self = names.into_iter().map(str::parse).collect::<Result<_, _>>()?;
        if wanted == Self::NONE {
            return Err(Problem::new("empty", "must name at least one permission"));
        }
        if !maker.includes(wanted) {
            let more: Vec<&str> = wanted.iter().filter(|p| !maker.contains(*p)).map(Permission::as_str).collect();
            let message = format!("asks for more than you may yourself: {}", more.join(", "));
            return Err(Problem::allowed("not_yours", message, maker.to_string().replace(' ', ", ")));
        }
        Ok(wanted)
    }
}

impl FromIterator<Permission> for Permissions {
    fn from_iter<I: IntoIterator<Item = Permission>>(permissions: I) -> Self {
        Self(permissions.into_iter().fold(0, |set, permission| set | 1 << permission as u32))
    }
}

impl fmt::Display for Permissions {
    /// As OAuth writes a scope: names with spaces between them.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let names: Vec<&str> = self.iter().map(Permission::as_str).collect();
        f.write_str(&names.join(" "))
    }
}

impl fmt::Debug for Permissions {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_set().entries(self.iter().map(Permission::as_str)).finish()
    }
}

impl FromStr for Permissions {
    type Err = Problem;
    fn from_str(text: &str) -> Result<Self, Problem> {
        text.split_ascii_whitespace().map(str::parse).collect()
    }
}

impl Serialize for Permissions {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for Permissions {
    /// Names that no longer exist give nothing: a token outlives a release.
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = String::deserialize(deserializer)?;
        Ok(text.split_ascii_whitespace().filter_map(|name| name.parse::<Permission>().ok()).collect())
    }
}

#[cfg(test)]
mod tests;
