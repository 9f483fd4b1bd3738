//! Wire forms: what the document shows as an example is taken, and a bad body is told by its fields without what was sent.

use platform::identity::email::{ChangeEmail, ResendVerification, VerifyEmail};
use platform::identity::invitation::{AcceptInvitation, InvitationView, JoinOrganisation};
use platform::identity::login::{ChallengeAnswer, Login, SecondFactor};
use platform::identity::me::{LinkedIdentity, Me, MePatch};
use platform::identity::mfa::{ConfirmMfa, EnrolMfa, MfaEnrolment, PasswordAndCode, RecoveryCodes};
use platform::identity::oauth::{OauthProvider, OauthStarted, StartOauth};
use platform::identity::password::{ChangePassword, ForgotPassword, ResetPassword};
use platform::identity::register::{NewOrganisation, Register, Registered};
use platform::identity::session::{Refresh, SwitchOrganisation, Tokens};
use platform::resource;
use serde::de::DeserializeOwned;
use serde_json::json;
use utoipa::openapi::RefOr;
use utoipa::openapi::schema::Schema;
use utoipa::{PartialSchema, ToSchema};

fn example<D: DeserializeOwned + ToSchema>() {
    let RefOr::T(Schema::Object(schema)) = <D as PartialSchema>::schema() else { panic!("{} is no object", D::name()) };
    let example = schema.example.clone().unwrap_or_else(|| panic!("{} has no example", D::name()));
    resource::read::<D>(&example).unwrap_or_else(|errors| panic!("{}: {errors:?}", D::name()));
    for required in &schema.required {
        assert!(example.get(required).is_some(), "{} shows no {required}", D::name());
    }
}

#[test]
fn what_is_shown_as_an_example_is_taken() {
    example::<Register>();
    example::<NewOrganisation>();
    example::<Registered>();
    example::<Login>();
    example::<ChallengeAnswer>();
    example::<SecondFactor>();
    example::<Tokens>();
    example::<Refresh>();
    example::<SwitchOrganisation>();
    example::<ChangePassword>();
    example::<ForgotPassword>();
    example::<ResetPassword>();
    example::<VerifyEmail>();
    example::<ResendVerification>();
    example::<ChangeEmail>();
    example::<EnrolMfa>();
    example::<MfaEnrolment>();
    example::<ConfirmMfa>();
    example::<RecoveryCodes>();
    example::<PasswordAndCode>();
    example::<AcceptInvitation>();
    example::<JoinOrganisation>();
    example::<InvitationView>();
    example::<Me>();
    example::<MePatch>();
    example::<LinkedIdentity>();
    example::<StartOauth>();
    example::<OauthStarted>();
    example::<OauthProvider>();
}

#[test]
fn a_bad_body_is_told_by_its_fields_and_not_repeated() {
    let sent = json!({"email": 5, "password": ["SECRET"], "organisation": {"a": "SECRET"}, "remember": true});
    let errors = resource::read::<Login>(&sent).unwrap_err();
    let told: Vec<_> = errors.iter().map(|error| (error.field.as_str(), error.code)).collect();
    let expected = [
        ("email", "invalid_type"),
        ("organisation", "invalid_type"),
        ("password", "invalid_type"),
        ("remember", "unknown_field"),
    ];
    assert_eq!(told, expected);
    assert!(!format!("{errors:?}").contains("SECRET"));
    let missing = resource::read::<Login>(&json!({})).unwrap_err();
    assert_eq!(missing.iter().map(|error| error.code).collect::<Vec<_>>(), ["required", "required"]);
}
