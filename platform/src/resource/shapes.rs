//! What stands in several places is the same in all of them: columns, fields, and the examples of the document.

use std::collections::BTreeSet;

use serde_json::Value;
use utoipa::PartialSchema;
use utoipa::openapi::RefOr;
use utoipa::openapi::schema::{Object, Schema};

use super::*;
use crate::audit::AuditLog;

fn object<S: PartialSchema>() -> Object {
    match S::schema() {
        RefOr::T(Schema::Object(object)) => object,
        _ => panic!("no object"),
    }
}

fn fields<S: PartialSchema>() -> BTreeSet<String> {
    object::<S>().properties.keys().cloned().collect()
}

fn set(names: &[&str]) -> BTreeSet<String> {
    names.iter().map(|name| (*name).to_owned()).collect()
}

/// A row shows its columns, in any order; what it is sorted by is among them.
fn shows<R: Resource>() {
    assert_eq!(fields::<R::View>(), set(R::COLUMNS), "{}", R::WHAT);
    assert!(R::COLUMNS.contains(&R::KEY), "{}", R::WHAT);
    for sort in R::SORTS {
        assert!(R::COLUMNS.contains(&sort.column()), "{} by {}", R::WHAT, sort.name);
    }
    for filter in R::FILTERS {
        assert_eq!(filter.sql.matches('?').count(), 1, "{} {}", R::WHAT, filter.name);
    }
    for column in R::SEARCH {
        assert!(R::COLUMNS.contains(column), "{} in {column}", R::WHAT);
    }
}

/// What is written is what can be read from a body, beside what is `made` of the rest.
fn takes<R: Editable>(made: &[&str]) {
    shows::<R>();
    let mut expected = set(R::WRITABLE);
    expected.extend(set(made));
    assert_eq!(fields::<R::New>(), expected, "{}", R::WHAT);
    for column in R::FIXED {
        assert!(R::WRITABLE.contains(column), "{} {column}", R::WHAT);
    }
    let example = object::<R::New>().example.unwrap_or_else(|| panic!("{} has an example", R::WHAT));
    let mut new: R::New = read(&example).unwrap_or_else(|errors| panic!("example of {}: {errors:?}", R::WHAT));
    let mut fields = Fields::default();
    R::check(&mut new, &mut fields);
    fields.finish().unwrap_or_else(|errors| panic!("example of {}: {errors:?}", R::WHAT));
}

#[test]
fn columns_fields_and_examples_are_of_one_mind() {
    takes::<alert_rules::AlertRules>(&[]);
    takes::<alerts::Alerts>(&[]);
    takes::<api_keys::ApiKeys>(&[]);
    takes::<assets::Assets>(&[]);
    takes::<channels::Channels>(&["secret"]);
    takes::<consents::Consents>(&[]);
    takes::<dashboards::Dashboards>(&[]);
    takes::<flags::Flags>(&[]);
    takes::<invitations::Invitations>(&["days"]);
    takes::<members::Members>(&[]);
    takes::<models::Models>(&[]);
    takes::<organisation::Organisations>(&[]);
    takes::<retention::RetentionPolicies>(&[]);
    takes::<sites::Sites>(&[]);
    takes::<widgets::Widgets>(&[]);
    shows::<notifications::Notifications>();
    shows::<plans::Plans>();
    shows::<retention::RetentionRuns>();
    shows::<sessions::Sessions>();
    shows::<AuditLog>();
    let plan: subscription::NewSubscription =
        read(&object::<subscription::NewSubscription>().example.unwrap()).unwrap();
    assert_eq!(plan.plan, "pro");
}

/// Whatever a field may be left out of is not required, and the other way round.
#[test]
fn what_is_required_is_what_has_no_default() {
    fn required<S: PartialSchema + DeserializeOwned>(example: &Value) {
        let Value::Object(full) = example else { panic!("an object") };
        for name in object::<S>().required {
            let mut without = full.clone();
            assert!(without.remove(&name).is_some(), "{name} is in the example");
            assert!(serde_json::from_value::<S>(Value::Object(without)).is_err(), "{name} is required");
        }
        let least: serde_json::Map<String, Value> =
            full.clone().into_iter().filter(|(name, _)| object::<S>().required.contains(name)).collect();
        assert!(serde_json::from_value::<S>(Value::Object(least)).is_ok(), "what is required is enough");
    }
    macro_rules! each {
        ($($name:ty),+ $(,)?) => { $(required::<$name>(&object::<$name>().example.unwrap());)+ };
    }
    each!(
        alert_rules::NewAlertRule,
        alerts::AlertNote,
        api_keys::NewApiKey,
        assets::NewAsset,
        channels::NewChannel,
        consents::NewConsent,
        dashboards::NewDashboard,
        flags::NewFlag,
        invitations::NewInvitation,
        members::MemberRole,
        models::NewModel,
        organisation::NewOrganisation,
        retention::NewRetentionPolicy,
        sites::NewSite,
        widgets::NewWidget,
    );
}
