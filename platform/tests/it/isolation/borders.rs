//! That the walk misses nothing: every function of every resource is on it, or says why it is not.

use platform::refusal::Failure;
use platform::resource::{self, alert_rules, channels, flags, retention};
use serde_json::json;
use uuid::Uuid;

use crate::rules::{make_rule, rule, sealer};
use crate::world::{nothing, world};

/// Functions that name nobody's row: what they do to one's own alone is held by the tests of each.
const OF_ONES_OWN: &[&str] = &[
    "api_keys::create",
    "channels::create",
    "consents::grant",
    "dashboards::create",
    "flags::effective",
    "flags::is_on",
    "flags::switch",
    "invitations::create",
    "quotas::maximum",
    "quotas::require",
    "quotas::used",
    "subscription::change",
];
/// Functions that do nothing for a tenant: the database refuses the role.
const OF_THE_PLATFORM: &[&str] = &[
    "alert_rules::published",
    "alert_rules::unpublished",
    "channels::open",
    "retention::patch",
    "retention::run",
    "usage::count",
];

#[test]
fn every_function_is_on_the_walk() {
    let folder = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("src/resource");
    let walk = include_str!("../isolation.rs");
    let mechanism = ["engine", "list"];
    let mut found = 0;
    for file in std::fs::read_dir(folder).unwrap() {
        let path = file.unwrap().path();
        let module = path.file_stem().unwrap().to_str().unwrap().to_owned();
        if path.is_dir() || mechanism.contains(&module.as_str()) {
            continue;
        }
        let text = std::fs::read_to_string(&path).unwrap();
        for line in text.lines().filter_map(|line| line.strip_prefix("pub async fn ")) {
            let name = format!("{module}::{}", line.split(['(', '<']).next().unwrap());
            let excused = OF_ONES_OWN.contains(&name.as_str()) || OF_THE_PLATFORM.contains(&name.as_str());
            assert!(excused != walk.contains(&format!("{name}(")), "{name} is neither walked nor excused, or both");
            found += 1;
        }
        for line in text.lines().filter_map(|line| line.strip_prefix("impl Resource for ")) {
            let name = line.trim_end_matches(" {");
            let common = ["Flags", "Plans", "RetentionPolicies", "RetentionRuns"].contains(&name);
            assert!(common || walk.contains(&format!("{name}>(")), "{name} is not walked");
            found += 1;
        }
    }
    assert!(found > 50, "{found}");
}

#[tokio::test]
async fn what_is_the_platforms_is_no_tenants_to_do() {
    let world = world("platforms").await;
    let tenant = world.a.admin.actor();
    make_rule(&world, &world.b.trader, rule("theirs")).await.unwrap();
    let rules = world.run(&tenant, async |t| alert_rules::unpublished(t, 10).await).await.unwrap();
    assert_eq!(rules, [], "of others it would find none");
    let told = world.run(&tenant, async |t| alert_rules::published(t, Uuid::nil(), 1).await).await;
    assert!(matches!(told, Err(Failure::Failed(_))), "{told:?}");
    let secret = world.run(&tenant, async |t| channels::open(t, &sealer(), &Uuid::nil()).await).await;
    assert!(matches!(secret, Err(Failure::Failed(_))), "{secret:?}");
    let class = "alerts".to_owned();
    let policy = world.run(&tenant, async |t| retention::patch(t, &class, &json!({"days": 1}), None).await).await;
    assert!(matches!(policy, Err(Failure::Failed(_))), "{policy:?}");
    let flag: flags::NewFlag = resource::read(&json!({"code": "mine", "name": "Mine"})).unwrap();
    let made = world.run(&tenant, async |t| resource::create::<flags::Flags>(t, nothing(), flag).await).await;
    assert!(matches!(made, Err(Failure::Failed(_))), "{made:?}");
}
