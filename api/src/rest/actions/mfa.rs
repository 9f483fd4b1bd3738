//! The second factor: enrolled, confirmed, taken off; and the codes for when it is lost.

use chrono::Utc;
use futures::future::BoxFuture;
use platform::identity::mfa;
use warp::http::Method;

use super::super::Shared;
use super::{Action, line};
use crate::auth::Access::Login;
use crate::error::Error;

type Doing<V> = BoxFuture<'static, Result<V, Error>>;

pub(super) fn all() -> Vec<Action> {
    const POST: Method = Method::POST;
    vec![
        line(
            "enrol_mfa",
            POST,
            "/api/auth/mfa",
            Login,
            "Begins with a second factor: the secret for an authenticator app.",
        )
        .takes(do_enrol),
        line(
            "confirm_mfa",
            POST,
            "/api/auth/mfa/confirm",
            Login,
            "Puts the second factor in force with its first code; answers the recovery codes, this once.",
        )
        .takes(do_confirm),
        line(
            "disable_mfa",
            POST,
            "/api/auth/mfa/disable",
            Login,
            "Takes the second factor off, with password and code.",
        )
        .hears(do_disable),
        line(
            "new_recovery_codes",
            POST,
            "/api/auth/mfa/recovery-codes",
            Login,
            "New recovery codes; the ones before are void.",
        )
        .takes(do_recovery),
    ]
}

fn do_enrol(app: Shared, wish: mfa::EnrolMfa) -> Doing<mfa::MfaEnrolment> {
    Box::pin(async move {
        let (platform, caller) = app.platform()?;
        Ok(platform.enrol_mfa(caller, &wish, Utc::now()).await?)
    })
}

fn do_confirm(app: Shared, wish: mfa::ConfirmMfa) -> Doing<mfa::RecoveryCodes> {
    Box::pin(async move {
        let (platform, caller) = app.platform()?;
        Ok(platform.confirm_mfa(caller, &wish, app.origin(), Utc::now()).await?)
    })
}

fn do_disable(app: Shared, wish: mfa::PasswordAndCode) -> Doing<()> {
    Box::pin(async move {
        let (platform, caller) = app.platform()?;
        Ok(platform.disable_mfa(caller, &wish, app.origin(), Utc::now()).await?)
    })
}

fn do_recovery(app: Shared, wish: mfa::PasswordAndCode) -> Doing<mfa::RecoveryCodes> {
    Box::pin(async move {
        let (platform, caller) = app.platform()?;
        Ok(platform.new_recovery_codes(caller, &wish, app.origin(), Utc::now()).await?)
    })
}
