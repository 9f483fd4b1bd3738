//! What an organisation does with what it has, beside making, changing and removing it: acknowledge an alert, read its
//! notifications, switch flags; and what operators do with organisations.

use platform::desk::{Desk, Doing, Suspension, Tenant, deeds, resume, suspend};
use platform::permission::Permission;
use platform::refusal::{Outcome, Refusal};
use platform::resource::alerts::{self, Alert, AlertNote};
use platform::resource::flags::{self, EffectiveFlag};
use platform::resource::models::{self, Model, Stage};
use platform::resource::notifications::{self, Notification};
use platform::validate;
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;
use uuid::Uuid;
use warp::http::Method;

use super::super::resources::work::Asked;
use super::{Action, Version, line};
use crate::auth::Access::{self, Member, Operator};

/// Everything there is, in one list.
#[derive(Serialize, ToSchema)]
pub(crate) struct EffectiveFlags {
    /// By their codes.
    items: Vec<EffectiveFlag>,
}

/// How a flag is to be for the organisation.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(example = json!({"enabled": true}))]
pub(crate) struct FlagSwitch {
    /// Whether it is on; null: as the platform has it.
    enabled: Option<bool>,
}

/// Whether it was read.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(example = json!({"read": true}))]
pub(crate) struct ReadMark {
    /// Whether it was.
    read: bool,
}

/// How many were not read before.
#[derive(Serialize, ToSchema)]
pub(crate) struct Marked {
    /// So many.
    #[schema(example = 3)]
    marked: u64,
}

/// How far a model is trusted.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(example = json!({"stage": "production"}))]
pub(crate) struct ModelStage {
    /// So far.
    stage: Stage,
}

/// For how long an invitation can be accepted.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(example = json!({"days": 7}))]
pub(crate) struct Renewal {
    /// Days from now.
    #[serde(default = "week")]
    #[schema(minimum = 1, maximum = 30)]
    days: i32,
}

fn week() -> i32 {
    7
}

const SEEN: Access = Member(Permission::NotificationsWrite);

pub(super) fn all() -> Vec<Action> {
    const POST: Method = Method::POST;
    const GET: Method = Method::GET;
    const PATCH: Method = Method::PATCH;
    vec![
        line(
            "acknowledge_alert",
            POST,
            "/api/alerts/{id}/acknowledge",
            Member(Permission::RulesWrite),
            "Says that somebody has seen an alert, with a note if there is one.",
        )
        .tag("rules")
        .version(Version::May)
        .works(acknowledge),
        line(
            "mark_notification",
            PATCH,
            "/api/notifications/{id}",
            SEEN,
            "Says that a notification was read, or that it was not.",
        )
        .tag("notifications")
        .works(mark),
        line("mark_all_notifications", POST, "/api/notifications/read", SEEN, "Says that all notifications were read.")
            .tag("notifications")
            .shows(mark_all),
        line(
            "renew_invitation",
            POST,
            "/api/invitations/{id}/renew",
            Member(Permission::MembersWrite),
            "A new token and a new end for an invitation; the old token is good no more.",
        )
        .tag("organisation")
        .works(renew),
        line(
            "stage_model",
            POST,
            "/api/models/{id}/stage",
            Member(Permission::ModelsWrite),
            "Trusts a model more, or less; what was in production under its name is archived.",
        )
        .tag("models")
        .version(Version::May)
        .works(stage),
        line(
            "effective_flags",
            GET,
            "/api/flags",
            Member(Permission::FlagsRead),
            "Every flag as it is for your organisation.",
        )
        .tag("flags")
        .shows(effective),
        line(
            "switch_flag",
            PATCH,
            "/api/flags/{code}",
            Member(Permission::FlagsWrite),
            "Switches a flag for your organisation alone, or leaves it to the platform again.",
        )
        .tag("flags")
        .works(switch),
    ]
}

/// What operators do.
pub(super) fn operators() -> Vec<Action> {
    const POST: Method = Method::POST;
    vec![
        line(
            "suspend_tenant",
            POST,
            "/api/admin/organisations/{id}/suspend",
            Operator,
            "Suspends an organisation: nobody acts for it from now on.",
        )
        .tag("admin")
        .works(suspend_tenant),
        line(
            "resume_tenant",
            POST,
            "/api/admin/organisations/{id}/resume",
            Operator,
            "Lets an organisation go on; its members sign in anew.",
        )
        .tag("admin")
        .shows(resume_tenant),
    ]
}

/// The row that the path names.
fn id(asked: &Asked, what: &'static str) -> Outcome<Uuid> {
    let text = asked.named.first().map_or("", String::as_str);
    let shown = || text.chars().take(64).collect();
    Ok(validate::uuid(text).map_err(|_| Refusal::NotFound { what, id: shown() })?)
}

fn acknowledge<'d>(desk: &'d Desk<'d>, asked: Asked, note: AlertNote) -> Doing<'d, Alert> {
    Box::pin(async move { alerts::acknowledge(desk.transaction, &id(&asked, "alert")?, note, asked.version).await })
}

fn mark<'d>(desk: &'d Desk<'d>, asked: Asked, wish: ReadMark) -> Doing<'d, Notification> {
    Box::pin(async move { notifications::mark(desk.transaction, &id(&asked, "notification")?, wish.read).await })
}

fn mark_all<'d>(desk: &'d Desk<'d>, _: Asked) -> Doing<'d, Marked> {
    Box::pin(async move { Ok(Marked { marked: notifications::mark_all(desk.transaction).await? }) })
}

fn renew<'d>(desk: &'d Desk<'d>, asked: Asked, wish: Renewal) -> Doing<'d, deeds::MadeInvitation> {
    Box::pin(async move { deeds::renew_invitation(desk, id(&asked, "invitation")?, wish.days).await })
}

fn stage<'d>(desk: &'d Desk<'d>, asked: Asked, wish: ModelStage) -> Doing<'d, Model> {
    Box::pin(async move { models::stage(desk.transaction, &id(&asked, "model")?, wish.stage, asked.version).await })
}

fn effective<'d>(desk: &'d Desk<'d>, _: Asked) -> Doing<'d, EffectiveFlags> {
    Box::pin(async move { Ok(EffectiveFlags { items: flags::effective(desk.transaction).await? }) })
}

fn switch<'d>(desk: &'d Desk<'d>, asked: Asked, wish: FlagSwitch) -> Doing<'d, EffectiveFlag> {
    Box::pin(async move {
        let code = asked.named.first().filter(|code| code.len() <= 64 && !code.contains('\0'));
        let unknown = || Refusal::NotFound { what: "flag", id: String::new() };
        flags::switch(desk.transaction, code.ok_or_else(unknown)?, wish.enabled).await
    })
}

fn suspend_tenant<'d>(desk: &'d Desk<'d>, asked: Asked, wish: Suspension) -> Doing<'d, Tenant> {
    Box::pin(async move { suspend(desk, id(&asked, "tenant")?, wish).await })
}

fn resume_tenant<'d>(desk: &'d Desk<'d>, asked: Asked) -> Doing<'d, Tenant> {
    Box::pin(async move { resume(desk, id(&asked, "tenant")?).await })
}
