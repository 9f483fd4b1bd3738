//! What a demo begins with.

use platform::identity::demo;
use platform::permission::Permission;
use platform::refusal::Refusal;
use serde_json::json;

use super::stage::{origin, signed_in, stage, wish};
use crate::world::refused;

#[tokio::test]
async fn a_demo_is_seeded_once_and_only_where_it_is_one() {
    let stage = stage("demo").await;
    assert!(matches!(refused(stage.platform.seed_demo(false, stage.now).await), Refusal::Forbidden(_)));
    assert_eq!(stage.world.count("SELECT count(*) FROM organisations WHERE code = 'demo'").await, 0);
    let other = stage.instance();
    let (one, two) = tokio::join!(stage.platform.seed_demo(true, stage.now), other.seed_demo(true, stage.now));
    let (one, two) = (one.unwrap(), two.unwrap());
    assert!(one.organisation == two.organisation && one.is_new != two.is_new);
    let login = async |email: &str| {
        let wish = wish(json!({"email": email, "password": demo::PASSWORD}));
        signed_in(stage.platform.login(&wish, &origin(), stage.now).await.unwrap())
    };
    let tokens = login(demo::ADMIN).await;
    let place = tokens.organisation.clone().unwrap();
    assert_eq!(
        (place.name.as_str(), place.code.as_str(), place.role.as_str()),
        (demo::ORGANISATION.0, "demo", "admin")
    );
    let admin = stage.caller(&tokens).await;
    assert!(admin.needs_operator().is_ok() && admin.needs(Permission::MembersWrite).is_ok());
    for (email, permission, may) in [
        ("trader@optibid.io", Permission::BidsWrite, true),
        ("analyst@optibid.io", Permission::SqlQuery, true),
        ("analyst@optibid.io", Permission::BidsWrite, false),
        ("viewer@optibid.io", Permission::MarketRead, true),
        ("viewer@optibid.io", Permission::SitesWrite, false),
    ] {
        let caller = stage.caller(&login(email).await).await;
        assert!(caller.needs_operator().is_err());
        assert_eq!(caller.needs(permission).is_ok(), may, "{email} {permission}");
    }
    for (table, rows) in [("sites", 3), ("assets", 4), ("alert_rules", 2), ("dashboards", 1), ("memberships", 4)] {
        let sql = format!("SELECT count(*) FROM {table} WHERE organisation_id = '{}'", one.organisation);
        assert_eq!(stage.world.count(&sql).await, rows, "{table}");
    }
    let battery = "SELECT count(*) FROM assets WHERE kind = 'storage' AND energy_mwh = 200";
    assert_eq!(stage.world.count(battery).await, 1);
    // Whoever changed the password keeps it.
    stage.execute("UPDATE users SET password_hash = 'x' WHERE email = 'viewer@optibid.io'").await;
    assert!(!stage.platform.seed_demo(true, stage.now).await.unwrap().is_new);
    assert_eq!(stage.world.count("SELECT count(*) FROM users WHERE password_hash = 'x'").await, 1);
}
