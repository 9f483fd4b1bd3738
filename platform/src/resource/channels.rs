//! Channels: where notifications of an organisation go. A webhook is signed with a secret, which lies sealed and is shown
//! once, when it is made here.

use deadpool_postgres::Transaction;
use model::Severity;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value, json};
use utoipa::ToSchema;
use uuid::Uuid;

use super::{ALL, Editable, Filter, Instant, Kind, Needs, Resource, Sort, body, check, engine};
use crate::outgoing::Rules;
use crate::permission::Permission;
use crate::refusal::Outcome;
use crate::seal::Sealer;
use crate::validate::{Fields, Problem};
use crate::{Error, names, opaque};

/// Channels, as a resource.
#[derive(Debug)]
pub struct Channels;

/// How a channel reaches people.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum ChannelKind {
    /// A POST to an address.
    Webhook,
    /// A mail.
    Email,
}

/// A channel, without its secret.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct Channel {
    /// Id.
    pub id: Uuid,
    /// Name, unique in the organisation.
    pub name: String,
    /// How it reaches people.
    pub kind: ChannelKind,
    /// Address of a webhook.
    #[schema(example = "https://hooks.example.org/optibid")]
    pub url: Option<String>,
    /// Address of mails.
    pub email: Option<String>,
    /// Less severe ones do not go here.
    #[schema(schema_with = super::schema::severity)]
    pub minimal_severity: Severity,
    /// Whether anything goes here.
    pub enabled: bool,
    /// Raised by each change; the ETag.
    pub version: i64,
    /// When it was made.
    pub created_time: Instant,
    /// When it was changed last.
    pub updated_time: Instant,
}

/// A channel to be made: a webhook with its `url`, or a mail with its `email`.
#[derive(Clone, Debug, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(example = json!({"name": "Desk", "kind": "webhook", "url": "https://hooks.example.org/optibid", "minimal_severity": "warning"}))]
pub struct NewChannel {
    /// Name, unique in the organisation; 1 to 120 characters.
    #[schema(min_length = 1, max_length = 120)]
    pub name: String,
    /// How it reaches people. Stays as it was made.
    pub kind: ChannelKind,
    /// Address of a webhook.
    #[serde(default)]
    #[schema(max_length = 2000)]
    pub url: Option<String>,
    /// What calls of a webhook are signed with, 16 to 200 characters; made, and shown once, when absent.
    #[serde(default)]
    #[schema(write_only, min_length = 16, max_length = 200)]
    pub secret: Option<String>,
    /// Address of mails.
    #[serde(default)]
    #[schema(max_length = 254)]
    pub email: Option<String>,
    /// Less severe ones do not go here.
    #[serde(default = "info")]
    #[schema(schema_with = super::schema::severity)]
    pub minimal_severity: Severity,
    /// Whether anything goes here.
    #[serde(default = "super::yes")]
    pub enabled: bool,
}

fn info() -> Severity {
    Severity::Info
}

/// What channels need beside the database.
#[derive(Clone, Copy, Debug)]
pub struct Vault<'a> {
    /// Of the purpose [`PURPOSE`].
    pub sealer: &'a Sealer,
    /// Which addresses may be called.
    pub rules: Rules,
}

/// Purpose of the sealer.
pub const PURPOSE: &str = "webhook";

impl Resource for Channels {
    const WHAT: &'static str = "channel";
    const TABLE: &'static str = "notification_channels";
    const COLUMNS: &'static [&'static str] = &[
        "id",
        "name",
        "kind",
        "url",
        "email",
        "minimal_severity",
        "enabled",
        "version",
        "created_time",
        "updated_time",
    ];
    const SORTS: &'static [Sort] = &[Sort::NAME, Sort::NEWEST, Sort::OLDEST];
    const FILTERS: &'static [Filter] = &[
        Filter::new("kind", "t.kind = ?", Kind::Word(&["webhook", "email"])),
        Filter::new("enabled", "t.enabled = ?", Kind::Flag),
    ];
    const SEARCH: &'static [&'static str] = &["name"];
    const READ: Needs = Needs::Permission(Permission::ChannelsRead);
    type Id = Uuid;
    type View = Channel;
}

impl Editable for Channels {
    const WRITABLE: &'static [&'static str] = &["name", "kind", "url", "email", "minimal_severity", "enabled"];
    const FIXED: &'static [&'static str] = &["kind"];
    const EXISTS: &'static str = "channel_exists";
    const CONSTRAINTS: &'static [(&'static str, &'static str)] = &[("notification_channels_check", "kind")];
    const WRITE: Needs = Needs::Permission(Permission::ChannelsWrite);
    type New = NewChannel;

    fn check(new: &mut NewChannel, fields: &mut Fields) {
        check::name(fields, "name", &mut new.name);
        if let Some(email) = &mut new.email {
            let normal = names::email(email);
            check::replace(fields, "email", email, normal);
        }
        let (needed, has, other, strange) = match new.kind {
            ChannelKind::Webhook => ("url", new.url.is_some(), "email", new.email.is_some()),
            ChannelKind::Email => ("email", new.email.is_some(), "url", new.url.is_some()),
        };
        if !has {
            fields.add([Problem::new("required", "is missing: this kind of channel needs it").of(needed)]);
        }
        if strange {
            fields.add([Problem::new("not_of_kind", "is for the other kind of channel").of(other)]);
        }
        secret(fields, new.kind, new.secret.as_deref());
    }
}

fn secret(fields: &mut Fields, kind: ChannelKind, secret: Option<&str>) {
    let Some(secret) = secret else { return };
    if kind == ChannelKind::Email {
        fields.add([Problem::new("not_of_kind", "is for webhooks only").of("secret")]);
    }
    let length = secret.chars().count();
    if !(16..=200).contains(&length) || secret.chars().any(char::is_control) {
        fields.add([Problem::new("invalid_secret", "must have 16 to 200 characters, none of control").of("secret")]);
    }
}

impl Vault<'_> {
    /// Columns of a secret. The nonce and the name of the key are in the sealed bytes, too, and read from there.
    fn columns(self, id: Uuid, secret: &str) -> Result<Map<String, Value>, Error> {
        let sealed = self.sealer.seal(Channels::TABLE, &id.to_string(), secret.as_bytes())?;
        let hex = |bytes: &[u8]| data_encoding::HEXLOWER.encode(bytes);
        Ok(Map::from_iter([
            ("secret_encrypted".to_owned(), json!(format!("\\x{}", hex(&sealed)))),
            ("nonce".to_owned(), json!(format!("\\x{}", hex(&sealed[5..17])))),
            ("key_id".to_owned(), json!(hex(&sealed[1..5]))),
        ]))
    }

    fn address(self, url: Option<&str>) -> Outcome<()> {
        let Some(url) = url else { return Ok(()) };
        let reason = match self.rules.parse(url) {
            Ok(_) => return Ok(()),
            Err(Error::Forbidden { reason, .. }) => reason.to_owned(),
            Err(_) => "this is no address".to_owned(),
        };
        Err(vec![Problem::new("forbidden_address", reason).of("url")].into())
    }
}

/// A new channel. The secret of a webhook that was made for it is in this answer alone.
pub async fn create(
    transaction: &Transaction<'_>,
    vault: Vault<'_>,
    new: NewChannel,
) -> Outcome<(Channel, Option<String>)> {
    let id = Uuid::new_v4();
    let mut given = Map::from_iter([("id".to_owned(), json!(id))]);
    let mut made = None;
    if new.kind == ChannelKind::Webhook {
        vault.address(new.url.as_deref())?;
        let secret = match new.secret.clone() {
            Some(secret) => secret,
            None => made.insert(opaque::random_text::<32>()?).clone(),
        };
        given.extend(vault.columns(id, &secret)?);
    }
    Ok((engine::create::<Channels>(transaction, given, new).await?, made))
}

/// Changes a channel by a merge patch; a `secret` in it takes the place of the one before.
pub async fn patch(
    transaction: &Transaction<'_>,
    vault: Vault<'_>,
    id: &Uuid,
    patch: &Value,
    expected_version: Option<i64>,
) -> Outcome<Channel> {
    vault.address(patch.get("url").and_then(Value::as_str))?;
    let mut patch = patch.clone();
    let new_secret = patch.as_object_mut().and_then(|patch| patch.remove("secret"));
    let channel = engine::patch::<Channels>(transaction, ALL, id, &patch, expected_version).await?;
    let Some(new_secret) = new_secret else { return Ok(channel) };
    let Value::String(new_secret) = new_secret else {
        return Err(vec![body::string().of("secret")].into());
    };
    let mut fields = Fields::default();
    secret(&mut fields, channel.kind, Some(&new_secret));
    fields.finish()?;
    let columns = vault.columns(*id, &new_secret)?;
    let sql = "UPDATE notification_channels AS t SET secret_encrypted = r.secret_encrypted, nonce = r.nonce, key_id = r.key_id \
        FROM jsonb_populate_record(NULL::notification_channels, $2) AS r WHERE t.id = $1";
    let statement = transaction.prepare_cached(sql).await?;
    transaction.execute(&statement, &[id, &tokio_postgres::types::Json(&columns)]).await?;
    engine::get::<Channels>(transaction, ALL, id).await
}

/// The secret of a webhook, for whoever signs a call: as the system.
pub async fn open(transaction: &Transaction<'_>, sealer: &Sealer, id: &Uuid) -> Outcome<Option<Vec<u8>>> {
    let sql = "SELECT secret_encrypted FROM notification_channels WHERE id = $1";
    let statement = transaction.prepare_cached(sql).await?;
    let Some(row) = transaction.query_opt(&statement, &[id]).await? else { return Ok(None) };
    let sealed: Option<Vec<u8>> = row.try_get(0)?;
    Ok(sealed.map(|sealed| sealer.open(Channels::TABLE, &id.to_string(), &sealed)).transpose()?)
}
