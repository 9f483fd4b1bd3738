//! One of everything that a tenant can have.

use platform::outgoing::Rules;
use platform::permission::Role;
use platform::resource;
use platform::resource::api_keys::{self, NewApiKey};
use platform::resource::channels::{self, NewChannel, Vault};
use platform::resource::consents::{self, NewConsent};
use platform::resource::invitations::{self, NewInvitation};
use serde_json::json;
use uuid::Uuid;

use crate::boards::{make_dashboard, make_model, make_widget, widget};
use crate::rules::{make_rule, raise, rule, sealer};
use crate::sites::{battery, make_asset, make_site, site};
use crate::world::World;

/// One of everything that a tenant can have.
pub(crate) struct Belongings {
    pub(crate) site: Uuid,
    pub(crate) asset: Uuid,
    pub(crate) rule: Uuid,
    pub(crate) alert: Uuid,
    pub(crate) channel: Uuid,
    pub(crate) notification: Uuid,
    pub(crate) dashboard: Uuid,
    pub(crate) widget: Uuid,
    pub(crate) model: Uuid,
    pub(crate) key: Uuid,
    pub(crate) invitation: Uuid,
    pub(crate) session: Uuid,
    pub(crate) consent: Uuid,
}

pub(crate) async fn belongings(world: &World) -> Belongings {
    let (admin, sealer) = (&world.b.admin, sealer());
    let site = make_site(world, admin, site("theirs")).await.unwrap().id;
    let dashboard = make_dashboard(world, admin, json!({"name": "theirs", "shared": true})).await.unwrap().id;
    let model = json!({"name": "theirs", "model_version": "1", "kind": "tft"});
    let channel: NewChannel =
        resource::read(&json!({"name": "theirs", "kind": "email", "email": "a@b.example"})).unwrap();
    let key: NewApiKey = resource::read(&json!({"name": "theirs", "scopes": ["bids.read"]})).unwrap();
    let invitation: NewInvitation = resource::read(&json!({"email": "a@b.example", "role": "viewer"})).unwrap();
    let consent: NewConsent = resource::read(&json!({"purpose": "news", "text_version": "1"})).unwrap();
    let vault = Vault { sealer: &sealer, rules: Rules::default() };
    let as_admin = admin.actor();
    let sql = "INSERT INTO notifications (organisation_id, kind, title) VALUES ($1, 'x', 'theirs') RETURNING id";
    let notification = world.root.query_one(sql, &[&world.b.id]).await.unwrap().get(0);
    let sql = "INSERT INTO sessions (user_id, expires_time) VALUES ($1, now() + interval '1 day') RETURNING id";
    let session = world.root.query_one(sql, &[&admin.user]).await.unwrap().get(0);
    Belongings {
        site,
        dashboard,
        notification,
        session,
        asset: make_asset(world, admin, battery(site, "theirs")).await.unwrap().id,
        rule: make_rule(world, admin, rule("theirs")).await.unwrap().id,
        alert: raise(world, world.b.id, "theirs").await,
        channel: world.run(&as_admin, async |t| channels::create(t, vault, channel).await).await.unwrap().0.id,
        widget: make_widget(world, admin, dashboard, widget()).await.unwrap().id,
        model: make_model(world, &as_admin, model).await.unwrap().id,
        key: world
            .run(&as_admin, async |t| api_keys::create(t, Role::Admin.permissions(), key).await)
            .await
            .unwrap()
            .0
            .id,
        invitation: world.run(&as_admin, async |t| invitations::create(t, invitation).await).await.unwrap().0.id,
        consent: world.run(&as_admin, async |t| consents::grant(t, consent).await).await.unwrap().id,
    }
}
