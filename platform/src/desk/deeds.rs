//! What is more than a row: a key that is shown once, a letter that goes out, tokens that end. One function each, for the
//! routes whose resource does not do by itself.

use serde::{Deserialize, Serialize};
use serde_json::Value;
use utoipa::ToSchema;
use uuid::Uuid;

use model::humane::Span;

use super::{Afterwards, Desk, Doing};
use crate::identity::{Ended, Revealed};
use crate::mail::Letter;
use crate::opaque::Token;
use crate::outgoing::Rules;
use crate::permission::Role;
use crate::refusal::Outcome;
use crate::resource::Page;
use crate::resource::alert_rules;
use crate::resource::api_keys::{self, ApiKey, NewApiKey};
use crate::resource::channels::{self, Channel, NewChannel, Vault};
use crate::resource::consents::{self, Consent, NewConsent};
use crate::resource::dashboards::{self, Dashboard, NewDashboard};
use crate::resource::invitations::{self, Invitation, NewInvitation};
use crate::resource::members::{self, Member};
use crate::resource::retention::{self, RetentionPolicy};
use crate::resource::widgets::{self, NewWidget, Widget};

const DAY_MS: u64 = 86_400_000;
/// Where the page takes an invitation.
const INVITED: &str = "/accept-invitation";

/// A new API key, with what makes it one.
#[derive(Clone, Debug, Serialize, Deserialize, ToSchema)]
pub struct MadeApiKey {
    /// What can be read of it again.
    #[serde(flatten)]
    pub api_key: ApiKey,
    /// The key itself: in this answer alone.
    #[schema(example = "obk_abcd2345_…")]
    pub key: Revealed,
}

/// An invitation, with its token.
#[derive(Clone, Debug, Serialize, Deserialize, ToSchema)]
pub struct MadeInvitation {
    /// What can be read of it again.
    #[serde(flatten)]
    pub invitation: Invitation,
    /// What accepts it: in this answer alone.
    #[schema(example = "obi_…")]
    pub token: Revealed,
    /// Where it is accepted, for whoever sends it by other ways.
    #[schema(example = "https://optibid.example/accept-invitation#token=obi_…")]
    pub link: Revealed,
    /// Whether a letter with it goes out.
    pub posted: bool,
}

/// A new channel.
#[derive(Clone, Debug, Serialize, Deserialize, ToSchema)]
pub struct MadeChannel {
    /// What can be read of it again.
    #[serde(flatten)]
    pub channel: Channel,
    /// What calls are signed with, if it was made here: in this answer alone.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub secret: Option<Revealed>,
}

/// A new API key of the caller, who gives away no more than they have.
pub fn make_api_key<'d>(desk: &'d Desk<'d>, new: NewApiKey) -> Doing<'d, MadeApiKey> {
    Box::pin(async move {
        let (api_key, token) = api_keys::create(desk.transaction, desk.caller.permissions, new).await?;
        Ok(MadeApiKey { api_key, key: Revealed::new(token.expose()) })
    })
}

/// Changes an API key.
pub fn change_api_key<'d>(desk: &'d Desk<'d>, id: Uuid, patch: Value, version: Option<i64>) -> Doing<'d, ApiKey> {
    Box::pin(async move {
        let maker = desk.caller.permissions;
        let key = api_keys::patch(desk.transaction, desk.scope, maker, &id, &patch, version).await?;
        desk.afterwards(Afterwards::Reread(id));
        Ok(key)
    })
}

/// Takes an API key back.
pub fn revoke_api_key<'d>(desk: &'d Desk<'d>, id: Uuid) -> Doing<'d, ApiKey> {
    Box::pin(async move {
        let key = api_keys::revoke(desk.transaction, desk.scope, &id).await?;
        desk.afterwards(Afterwards::End(Ended::ApiKey(id)));
        Ok(key)
    })
}

/// Whose API keys one sees: everybody's as an admin, else one's own.
pub fn of_own(caller: &crate::identity::Caller) -> Vec<(&'static str, Uuid)> {
    if caller.role == Some(Role::Admin) { Vec::new() } else { vec![("user_id", caller.user)] }
}

/// Invites somebody.
pub fn invite<'d>(desk: &'d Desk<'d>, new: NewInvitation) -> Doing<'d, MadeInvitation> {
    Box::pin(async move {
        let days = new.days;
        let (invitation, token) = invitations::create(desk.transaction, new).await?;
        sent(desk, invitation, &token, days).await
    })
}

/// A new token for an invitation.
pub fn renew_invitation<'d>(desk: &'d Desk<'d>, id: Uuid, days: i32) -> Doing<'d, MadeInvitation> {
    Box::pin(async move {
        let (invitation, token) = invitations::renew(desk.transaction, &id, days).await?;
        sent(desk, invitation, &token, days).await
    })
}

/// Takes an invitation back.
pub fn revoke_invitation<'d>(desk: &'d Desk<'d>, id: Uuid) -> Doing<'d, Invitation> {
    Box::pin(async move { invitations::revoke(desk.transaction, &id).await })
}

async fn sent(desk: &Desk<'_>, invitation: Invitation, token: &Token, days: i32) -> Outcome<MadeInvitation> {
    let link = desk.platform.link(INVITED, token.expose());
    let posted = desk.platform.0.mailer.is_configured();
    if posted {
        let sql = "SELECT name FROM organisations WHERE id = current_organisation()";
        let statement = desk.transaction.prepare_cached(sql).await?;
        let name: String = desk.transaction.query_one(&statement, &[]).await?.try_get(0)?;
        let life = Span::from_millis(u64::try_from(days).unwrap_or(1).saturating_mul(DAY_MS));
        desk.afterwards(Afterwards::Post(Letter::invitation(&invitation.email, &name, &link, life)));
    }
    Ok(MadeInvitation { invitation, token: Revealed::new(token.expose()), link: Revealed::new(link), posted })
}

/// Gives a member another role; tokens that say the old one are good no more.
pub fn change_member<'d>(desk: &'d Desk<'d>, id: Uuid, patch: Value, version: Option<i64>) -> Doing<'d, Member> {
    Box::pin(async move {
        let member = members::change_role(desk.transaction, &id, &patch, version).await?;
        is_other(desk, member.user_id)?;
        Ok(member)
    })
}

/// Removes a member; tokens for this organisation are good no more.
pub fn remove_member<'d>(desk: &'d Desk<'d>, id: Uuid, version: Option<i64>) -> Doing<'d, ()> {
    Box::pin(async move {
        let member = members::remove(desk.transaction, &id, version).await?;
        is_other(desk, member.user_id)
    })
}

/// Ends what a member holds of who they were here.
fn is_other(desk: &Desk<'_>, user: Uuid) -> Outcome<()> {
    let organisation = desk.caller.organisation()?;
    desk.afterwards(Afterwards::End(Ended::Membership { organisation, user }));
    Ok(())
}

/// Removes an alert rule; the stream hears of it by its publisher.
pub fn remove_rule<'d>(desk: &'d Desk<'d>, id: Uuid, version: Option<i64>) -> Doing<'d, ()> {
    Box::pin(async move { alert_rules::remove(desk.transaction, &id, version).await.map(drop) })
}

fn rules(desk: &Desk<'_>) -> Rules {
    let webhooks = &desk.platform.config().webhooks;
    Rules { allow_http: webhooks.allow_http, allow_private: webhooks.allow_private }
}

/// A new channel.
pub fn make_channel<'d>(desk: &'d Desk<'d>, new: NewChannel) -> Doing<'d, MadeChannel> {
    Box::pin(async move {
        let vault = Vault { sealer: &desk.platform.sealer(channels::PURPOSE), rules: rules(desk) };
        let (channel, secret) = channels::create(desk.transaction, vault, new).await?;
        Ok(MadeChannel { channel, secret: secret.map(Revealed::new) })
    })
}

/// Changes a channel.
pub fn change_channel<'d>(desk: &'d Desk<'d>, id: Uuid, patch: Value, version: Option<i64>) -> Doing<'d, Channel> {
    Box::pin(async move {
        let vault = Vault { sealer: &desk.platform.sealer(channels::PURPOSE), rules: rules(desk) };
        channels::patch(desk.transaction, vault, &id, &patch, version).await
    })
}

/// A new dashboard of the caller.
pub fn make_dashboard<'d>(desk: &'d Desk<'d>, new: NewDashboard) -> Doing<'d, Dashboard> {
    Box::pin(dashboards::create(desk.transaction, new))
}

/// The dashboard whose widgets they are.
fn board(desk: &Desk<'_>) -> Uuid {
    desk.scope.iter().find(|(column, _)| *column == "dashboard_id").map(|(_, id)| *id).unwrap_or_default()
}

/// Widgets of a dashboard.
pub fn list_widgets<'d>(desk: &'d Desk<'d>, parameters: Vec<(String, String)>) -> Doing<'d, Page<Widget>> {
    Box::pin(async move { widgets::list(desk.transaction, board(desk), &parameters).await })
}

/// A new widget on a dashboard.
pub fn make_widget<'d>(desk: &'d Desk<'d>, new: NewWidget) -> Doing<'d, Widget> {
    Box::pin(widgets::create(desk.transaction, board(desk), new))
}

/// Gives a consent of the caller.
pub fn grant_consent<'d>(desk: &'d Desk<'d>, new: NewConsent) -> Doing<'d, Consent> {
    Box::pin(consents::grant(desk.transaction, new))
}

/// Takes a consent of the caller back.
pub fn withdraw_consent<'d>(desk: &'d Desk<'d>, id: Uuid) -> Doing<'d, Consent> {
    Box::pin(async move { consents::withdraw(desk.transaction, &id).await })
}

/// Changes how long a class of data stays.
pub fn change_retention<'d>(
    desk: &'d Desk<'d>,
    class: String,
    patch: Value,
    version: Option<i64>,
) -> Doing<'d, RetentionPolicy> {
    Box::pin(async move { retention::patch(desk.transaction, &class, &patch, version).await })
}
