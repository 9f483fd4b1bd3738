//! Who somebody is: every flow of `platform::identity` behind its route.

use chrono::Utc;
use futures::future::BoxFuture;
use platform::identity::{Accepted, email, invitation, login, me, oauth, password, register, session};
use platform::validate;
use serde::Serialize;
use utoipa::ToSchema;
use warp::http::{Method, StatusCode};

use super::super::Shared;
use super::super::resources::work::Asked;
use super::{Action, line};
use crate::auth::Access::{Login, Public};
use crate::error::Error;

type Doing<V> = BoxFuture<'static, Result<V, Error>>;

/// How many other sessions were ended.
#[derive(Serialize, ToSchema)]
pub(crate) struct Ended {
    /// So many.
    #[schema(example = 2)]
    ended_sessions: usize,
}

/// Other issuers of identities.
#[derive(Serialize, ToSchema)]
pub(crate) struct Providers {
    /// In the order of their names.
    providers: Vec<oauth::OauthProvider>,
}

/// Signing in, and proving who one is.
pub(super) fn all() -> Vec<Action> {
    const POST: Method = Method::POST;
    const GET: Method = Method::GET;
    let (created, accepted) = (StatusCode::CREATED, StatusCode::ACCEPTED);
    vec![
        line(
            "register",
            POST,
            "/api/auth/register",
            Public,
            "Registers a person, and the organisation that they found.",
        )
        .status(created)
        .takes(do_register),
        line(
            "login",
            POST,
            "/api/auth/login",
            Public,
            "Signs in by password: tokens, or a challenge for the second factor.",
        )
        .takes(do_login),
        line(
            "second_factor",
            POST,
            "/api/auth/login/code",
            Public,
            "Answers the challenge with a code of the app, or a recovery code.",
        )
        .takes(do_second_factor),
        line("me", GET, "/api/auth/me", Login, "Who you are, and where you belong.").tells(do_me),
        line(
            "change_password",
            POST,
            "/api/auth/password",
            Login,
            "Changes the password, and ends all other sessions.",
        )
        .takes(do_change_password),
        line(
            "forgot_password",
            POST,
            "/api/auth/password/forgot",
            Public,
            "Sends a link for a new password, if there is such an account; the answer does not tell.",
        )
        .status(accepted)
        .takes(do_forgot),
        line(
            "reset_password",
            POST,
            "/api/auth/password/reset",
            Public,
            "Sets a new password with a link's token, and ends all sessions.",
        )
        .hears(do_reset),
        line("verify_email", POST, "/api/auth/email/verify", Public, "Proves an address with a link's token.")
            .takes(do_verify),
        line(
            "resend_verification",
            POST,
            "/api/auth/email/resend",
            Public,
            "Sends the link again, if there is something to verify; the answer does not tell.",
        )
        .status(accepted)
        .takes(do_resend),
        line("change_email", POST, "/api/auth/email", Login, "Changes the address, once the new one is verified.")
            .status(accepted)
            .takes(do_change_email),
    ]
}

/// Sessions, and ways into an organisation.
pub(super) fn places() -> Vec<Action> {
    const POST: Method = Method::POST;
    const GET: Method = Method::GET;
    let created = StatusCode::CREATED;
    vec![
        line("refresh", POST, "/api/auth/refresh", Public, "New tokens for a refresh token, which works once.")
            .takes(do_refresh),
        line("logout", POST, "/api/auth/logout", Login, "Ends the session.").does(do_logout),
        line("switch_organisation", POST, "/api/auth/switch", Login, "Goes on in another organisation of one's own.")
            .takes(do_switch),
        line("end_other_sessions", POST, "/api/auth/sessions/end-others", Login, "Ends all sessions but this one.")
            .tells(do_end_others),
        line("end_session", Method::DELETE, "/api/auth/sessions/{id}", Login, "Ends one of your sessions.")
            .does(do_end_session),
        line("found_organisation", POST, "/api/auth/organisations", Login, "Founds another organisation.")
            .status(created)
            .takes(do_found),
        line("invitation", POST, "/api/auth/invitation", Public, "What an invitation is for.").takes(do_invitation),
        line(
            "accept_invitation",
            POST,
            "/api/auth/invitation/accept",
            Public,
            "Registers by an invitation, and signs in.",
        )
        .status(created)
        .takes(do_accept),
        line("join_organisation", POST, "/api/auth/invitation/join", Login, "Joins an organisation by an invitation.")
            .takes(do_join),
        line("oauth_providers", GET, "/api/auth/oauth", Public, "Other issuers that one can sign in with.")
            .tells(do_providers),
    ]
}

fn do_register(app: Shared, wish: register::Register) -> Doing<register::Registered> {
    Box::pin(async move { Ok(app.accounts()?.register(&wish, app.origin(), Utc::now()).await?) })
}

fn do_login(app: Shared, wish: login::Login) -> Doing<login::LoginAnswer> {
    Box::pin(async move { Ok(app.accounts()?.login(&wish, app.origin(), Utc::now()).await?) })
}

fn do_second_factor(app: Shared, wish: login::SecondFactor) -> Doing<login::LoginAnswer> {
    Box::pin(async move { Ok(app.accounts()?.second_factor(&wish, app.origin(), Utc::now()).await?) })
}

fn do_refresh(app: Shared, wish: session::Refresh) -> Doing<session::Tokens> {
    Box::pin(async move { Ok(app.accounts()?.refresh(&wish, app.origin(), Utc::now()).await?) })
}

fn do_logout(app: Shared, _: Vec<String>) -> Doing<()> {
    Box::pin(async move {
        let (platform, caller) = app.platform()?;
        Ok(platform.logout(caller, Utc::now()).await?)
    })
}

fn do_switch(app: Shared, wish: session::SwitchOrganisation) -> Doing<session::Tokens> {
    Box::pin(async move {
        let (platform, caller) = app.platform()?;
        Ok(platform.switch_organisation(caller, &wish, app.origin(), Utc::now()).await?)
    })
}

fn do_me(app: Shared, _: Asked) -> Doing<me::Me> {
    Box::pin(async move {
        let (platform, caller) = app.platform()?;
        Ok(platform.me(caller).await?)
    })
}

fn do_change_password(app: Shared, wish: password::ChangePassword) -> Doing<Ended> {
    Box::pin(async move {
        let (platform, caller) = app.platform()?;
        let ended_sessions = platform.change_password(caller, &wish, Utc::now()).await?;
        Ok(Ended { ended_sessions })
    })
}

fn do_forgot(app: Shared, wish: password::ForgotPassword) -> Doing<Accepted> {
    Box::pin(async move { Ok(app.accounts()?.forgot_password(&wish, app.origin(), Utc::now()).await?) })
}

fn do_reset(app: Shared, wish: password::ResetPassword) -> Doing<()> {
    Box::pin(async move { Ok(app.accounts()?.reset_password(&wish, app.origin(), Utc::now()).await?) })
}

fn do_verify(app: Shared, wish: email::VerifyEmail) -> Doing<email::VerifiedEmail> {
    Box::pin(async move { Ok(app.accounts()?.verify_email(&wish, app.origin(), Utc::now()).await?) })
}

fn do_resend(app: Shared, wish: email::ResendVerification) -> Doing<Accepted> {
    Box::pin(async move { Ok(app.accounts()?.resend_verification(&wish, app.origin(), Utc::now()).await?) })
}

fn do_change_email(app: Shared, wish: email::ChangeEmail) -> Doing<Accepted> {
    Box::pin(async move {
        let (platform, caller) = app.platform()?;
        Ok(platform.change_email(caller, &wish, app.origin(), Utc::now()).await?)
    })
}

fn do_end_others(app: Shared, _: Asked) -> Doing<Ended> {
    Box::pin(async move {
        let (platform, caller) = app.platform()?;
        Ok(Ended { ended_sessions: platform.end_other_sessions(caller, Utc::now()).await? })
    })
}

fn do_end_session(app: Shared, named: Vec<String>) -> Doing<()> {
    Box::pin(async move {
        let (platform, caller) = app.platform()?;
        let named = named.first().map_or("", String::as_str);
        let session = validate::uuid(named).map_err(|_| Error::NotFound(format!("no session {named}")))?;
        Ok(platform.end_session(caller, session, Utc::now()).await?)
    })
}

fn do_found(app: Shared, wish: register::NewOrganisation) -> Doing<session::Place> {
    Box::pin(async move {
        let (platform, caller) = app.platform()?;
        Ok(platform.found_organisation(caller, &wish, Utc::now()).await?)
    })
}

fn do_invitation(app: Shared, wish: invitation::JoinOrganisation) -> Doing<invitation::InvitationView> {
    Box::pin(async move { Ok(app.accounts()?.invitation(&wish, app.origin(), Utc::now()).await?) })
}

fn do_accept(app: Shared, wish: invitation::AcceptInvitation) -> Doing<login::LoginAnswer> {
    Box::pin(async move { Ok(app.accounts()?.accept_invitation(&wish, app.origin(), Utc::now()).await?) })
}

fn do_join(app: Shared, wish: invitation::JoinOrganisation) -> Doing<session::Place> {
    Box::pin(async move {
        let (platform, caller) = app.platform()?;
        Ok(platform.join_organisation(caller, &wish, app.origin(), Utc::now()).await?)
    })
}

fn do_providers(app: Shared, _: Asked) -> Doing<Providers> {
    Box::pin(async move { Ok(Providers { providers: app.accounts()?.oauth_providers() }) })
}
