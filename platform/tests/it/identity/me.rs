//! One's own profile.

use platform::identity::me::MePatch;
use platform::refusal::Refusal;
use serde_json::{Value, json};

use super::stage::{stage, wish};
use crate::world::{invalid, refused};

#[tokio::test]
async fn one_changes_what_is_ones_own() {
    let mut stage = stage("me").await;
    let (_, caller) = stage.somebody("ada@example.org").await;
    let patch = async |patch: Value, version: Option<i64>| {
        stage.platform.change_me(&caller, &wish::<MePatch>(patch), version, stage.now).await
    };
    let before = stage.platform.me(&caller).await.unwrap();
    let wish = json!({"full_name": " Ko\u{308}nigin Ada ", "timezone": "Europe/Berlin", "locale": "de-AT",
        "preferences": {"theme": "dark", "grid": {"wide": true, "rows": 20}}});
    let after = patch(wish, Some(before.version)).await.unwrap();
    assert_eq!((after.full_name.as_deref(), after.locale.as_str()), (Some("Königin Ada"), "de-AT"));
    assert_eq!(
        refused(patch(json!({"locale": "en"}), Some(before.version)).await),
        Refusal::Stale { given: before.version, stands: after.version }
    );
    let merged = patch(json!({"preferences": {"theme": null, "grid": {"rows": 30}}}), None).await.unwrap();
    assert_eq!(json!(merged.preferences), json!({"grid": {"wide": true, "rows": 30}}));
    assert_eq!(merged.full_name, after.full_name);
    let mut deep = json!(1);
    for _ in 0..200 {
        deep = json!({ "a": deep });
    }
    for (bad, field, code) in [
        (json!({"full_name": ""}), "full_name", "empty"),
        (json!({"full_name": "a\u{0}b"}), "full_name", "control_character"),
        (json!({"locale": "German"}), "locale", "invalid_locale"),
        (json!({"timezone": "Berlin"}), "timezone", "unknown_timezone"),
        (json!({"preferences": {"a": "x".repeat(16_000)}}), "preferences", "too_long"),
        (json!({"preferences": {"a": ["\u{0}"]}}), "preferences", "not_storable"),
        (json!({"preferences": {"a\u{0}": 1}}), "preferences", "not_storable"),
        (json!({"preferences": deep}), "preferences", "not_storable"),
    ] {
        assert_eq!(invalid(patch(bad, None).await), [(field.to_owned(), code)]);
    }
    // What would just fit by itself does not beside what is there.
    patch(json!({"preferences": {"b": "x".repeat(9_000)}}), None).await.unwrap();
    assert_eq!(invalid(patch(json!({"preferences": {"c": "x".repeat(9_000)}}), None).await)[0].1, "too_long");
    let full: serde_json::Map<_, _> = (0..3_000).map(|n| (n.to_string(), json!(0))).collect();
    assert_eq!(invalid(patch(json!({"preferences": full}), None).await)[0].1, "too_long");
    for field in ["email", "is_operator", "id", "password_hash"] {
        assert!(serde_json::from_value::<MePatch>(json!({field: true})).unwrap_err().to_string().contains(field));
    }
}
