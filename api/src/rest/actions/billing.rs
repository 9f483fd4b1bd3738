//! The plan of an organisation: which it is, what it includes, what was used of it.

use chrono::{Datelike, NaiveDate, TimeDelta, Utc};
use platform::desk::{Desk, Doing};
use platform::permission::Permission;
use platform::refusal::{Outcome, Refusal};
use platform::resource::quotas::{self, Quota};
use platform::resource::subscription::{self, NewSubscription, Subscription};
use platform::resource::usage::{self, Usage};
use platform::validate::Problem;
use serde::Serialize;
use utoipa::ToSchema;
use utoipa::openapi::schema::{KnownFormat, Object, SchemaFormat, Type};
use warp::http::Method;

use super::super::resources::query_parameter;
use super::super::resources::work::Asked;
use super::{Action, Version, line};
use crate::auth::Access::{self, Member};

/// Everything there is, in one list.
#[derive(Serialize, ToSchema)]
pub(crate) struct Quotas {
    /// One of each metric.
    items: Vec<Quota>,
}

/// What was used, by the day.
#[derive(Serialize, ToSchema)]
pub(crate) struct UsageDays {
    /// By day and metric.
    items: Vec<Usage>,
}

const BILLING: Access = Member(Permission::BillingRead);

pub(super) fn all() -> Vec<Action> {
    const GET: Method = Method::GET;
    const PATCH: Method = Method::PATCH;
    let date =
        || Object::builder().schema_type(Type::String).format(Some(SchemaFormat::KnownFormat(KnownFormat::Date)));
    let day = |name, says| query_parameter(name, says, date().build());
    vec![
        line("subscription", GET, "/api/subscription", BILLING, "The plan of your organisation.")
            .tag("billing")
            .shows(plan),
        line(
            "change_subscription",
            PATCH,
            "/api/subscription",
            Member(Permission::BillingWrite),
            "Subscribes to another plan, if it has a price and room for what there is.",
        )
        .tag("billing")
        .version(Version::Must)
        .works(change_plan),
        line("quotas", GET, "/api/quotas", BILLING, "What your plan includes, and how much of it is taken.")
            .tag("billing")
            .shows(included),
        line("usage", GET, "/api/usage", BILLING, "What was used, by the day.")
            .tag("billing")
            .parameters(vec![
                day("from", "First day, UTC; 30 days before the last without it"),
                day("to", "Last day, UTC; today without it"),
            ])
            .shows(used),
    ]
}

fn plan<'d>(desk: &'d Desk<'d>, _: Asked) -> Doing<'d, Subscription> {
    Box::pin(subscription::current(desk.transaction))
}

fn change_plan<'d>(desk: &'d Desk<'d>, asked: Asked, wish: NewSubscription) -> Doing<'d, Subscription> {
    Box::pin(subscription::change(desk.transaction, wish, asked.version))
}

fn included<'d>(desk: &'d Desk<'d>, _: Asked) -> Doing<'d, Quotas> {
    Box::pin(async move { Ok(Quotas { items: quotas::list(desk.transaction).await? }) })
}

fn used<'d>(desk: &'d Desk<'d>, asked: Asked) -> Doing<'d, UsageDays> {
    Box::pin(async move {
        let to = day(&asked, "to")?.unwrap_or_else(|| Utc::now().date_naive());
        let from = day(&asked, "from")?.unwrap_or_else(|| to - TimeDelta::days(30));
        Ok(UsageDays { items: usage::list(desk.transaction, from, to).await? })
    })
}

/// A day that may be given, once.
fn day(asked: &Asked, name: &'static str) -> Outcome<Option<NaiveDate>> {
    let mut values = asked.parameters.iter().filter(|(known, _)| known == name);
    let wrong = || Problem::allowed("invalid_date", "is no date", "a date like 2026-01-31, once").of(name);
    let Some((_, text)) = values.next() else { return Ok(None) };
    let date =
        text.parse::<NaiveDate>().ok().filter(|date| values.next().is_none() && (1970..3000).contains(&date.year()));
    Ok(Some(date.ok_or_else(|| Refusal::Invalid(vec![wrong()]))?))
}
