//! What a registration says, and whether it will do.

use model::humane::Secret;
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use crate::identity::tongue;
use crate::names;
use crate::refusal::Outcome;
use crate::validate::{Fields, Problem};

/// Consents that one form can hold.
const MOST_CONSENTS: usize = 20;

/// Registers somebody with an organisation of their own.
#[derive(Clone, Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(example = json!({"email": "ada@example.org", "password": "mauve kettle orbit sandal", "full_name": "Ada Lovelace",
    "organisation": {"name": "North Sea Wind", "country": "GB", "timezone": "Europe/London"},
    "consents": [{"purpose": "terms", "text_version": "2026-01"}]}))]
pub struct Register {
    /// Address; it becomes what one logs in with.
    #[schema(max_length = 254)]
    pub email: String,
    /// Password.
    #[schema(value_type = String, format = Password, min_length = 10, max_length = 1024)]
    pub password: Secret,
    /// Name of the person.
    #[schema(min_length = 1, max_length = 120)]
    pub full_name: String,
    /// The organisation.
    pub organisation: NewOrganisation,
    /// Language of the person.
    #[serde(default = "english")]
    #[schema(example = "en")]
    pub locale: String,
    /// What the person agrees to.
    #[serde(default)]
    #[schema(max_items = 20)]
    pub consents: Vec<Consent>,
}

/// An organisation to be made.
#[derive(Clone, Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(example = json!({"name": "North Sea Wind", "country": "GB", "timezone": "Europe/London"}))]
pub struct NewOrganisation {
    /// Name; its code is made of it.
    #[schema(min_length = 1, max_length = 120)]
    pub name: String,
    /// ISO 3166, two letters.
    #[serde(default)]
    #[schema(example = "GB")]
    pub country: Option<String>,
    /// IANA name of its time zone.
    #[serde(default = "utc")]
    #[schema(example = "Europe/London")]
    pub timezone: String,
}

/// Something that is agreed to.
#[derive(Clone, Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(example = json!({"purpose": "terms", "text_version": "2026-01"}))]
pub struct Consent {
    /// To what: a word.
    #[schema(pattern = "^[a-z][a-z0-9_]{0,63}$")]
    pub purpose: String,
    /// In which wording.
    #[schema(min_length = 1, max_length = 64)]
    pub text_version: String,
}

/// What is to be done next.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum NextStep {
    /// Follow the link in the letter.
    VerifyEmail,
    /// Log in.
    LogIn,
}

/// A registration was taken; the same for every address.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[schema(example = json!({"email": "ada@example.org", "next": "verify_email"}))]
pub struct Registered {
    /// Address, as it is kept.
    pub email: String,
    /// What is to be done next.
    pub next: NextStep,
}

fn english() -> String {
    "en".to_owned()
}

fn utc() -> String {
    "UTC".to_owned()
}

/// A form that will do.
pub(super) struct Checked {
    pub(super) email: String,
    pub(super) full_name: String,
    pub(super) locale: String,
    pub(super) organisation: Organisation,
    pub(super) consents: Vec<Consent>,
}

/// An organisation that will do.
#[derive(Default)]
pub(super) struct Organisation {
    pub(super) name: String,
    pub(super) country: Option<String>,
    pub(super) timezone: String,
}

/// All but the password, which takes longer.
pub(super) fn checked(form: &Register) -> Outcome<Checked> {
    let mut fields = Fields::default();
    let email = fields.take("email", names::email(&form.email));
    let full_name = fields.take("full_name", names::display_name(&form.full_name));
    let locale = fields.take("locale", tongue::locale(&form.locale));
    let organisation = organisation(&mut fields, "organisation.", &form.organisation);
    let consents = consents(&mut fields, &form.consents);
    fields.finish()?;
    Ok(Checked {
        email: email.unwrap_or_default(),
        full_name: full_name.unwrap_or_default(),
        locale: locale.unwrap_or_default(),
        organisation,
        consents,
    })
}

pub(super) fn organisation(fields: &mut Fields, place: &str, form: &NewOrganisation) -> Organisation {
    let name = fields.take(&format!("{place}name"), names::display_name(&form.name));
    let country = form.country.as_deref();
    let country = country.and_then(|country| fields.take(&format!("{place}country"), tongue::country(country)));
    let timezone = fields.take(&format!("{place}timezone"), tongue::timezone(&form.timezone));
    Organisation { name: name.unwrap_or_default(), country, timezone: timezone.unwrap_or_default() }
}

fn consents(fields: &mut Fields, wishes: &[Consent]) -> Vec<Consent> {
    if wishes.len() > MOST_CONSENTS {
        fields.add([Problem::new("too_long", format!("must have at most {MOST_CONSENTS} entries")).of("consents")]);
        return Vec::new();
    }
    let mut good: Vec<Consent> = Vec::new();
    for (n, wish) in wishes.iter().enumerate() {
        let at = |name: &str| format!("consents[{n}].{name}");
        let word = |text: &str| {
            let begins = text.as_bytes().first().is_some_and(u8::is_ascii_lowercase);
            begins
                && text.len() <= 64
                && text.bytes().all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'_')
        };
        if !word(&wish.purpose) {
            fields.add([Problem::allowed("invalid_word", "is no word", "a word like terms").of(at("purpose"))]);
        }
        if good.iter().any(|other| other.purpose == wish.purpose) {
            fields.add([Problem::new("repeated", "stands here twice").of(at("purpose"))]);
        }
        if let Some(text_version) = fields.take(&at("text_version"), names::line(&wish.text_version, 1, 64)) {
            good.push(Consent { purpose: wish.purpose.clone(), text_version });
        }
    }
    good
}
