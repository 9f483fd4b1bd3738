//! The documentation against the behaviour: every documented operation answers, takes the parameters it lists
//! and no others, and nothing answers that is not documented.

use std::collections::BTreeSet;

use serde_json::Value;

use crate::world::{KEY, World, answer};

/// What stands for a path parameter.
fn concrete(path: &str) -> String {
    let path = path.replace("{zone}", "pjm").replace("{location}", "pjm").replace("{id}", "b-1");
    path.replace("{minute}", "2025-11-18T11:59:00Z").replace("{interval}", "2025-11-18T11:59:00Z")
}

#[tokio::test]
async fn every_documented_operation_takes_what_it_lists_and_nothing_else() {
    let world = World::start().await;
    let (_, document) = world.get("/api/openapi.json").await;
    let paths = document["paths"].as_object().unwrap();
    let mut operations = 0;
    for (path, item) in paths {
        for (method, operation) in item.as_object().unwrap() {
            operations += 1;
            let name = format!("{method} {path}");
            assert!(operation["summary"].is_string() || operation["description"].is_string(), "{name} says nothing");
            assert!(operation["responses"]["400"].is_object(), "{name} documents no 400");
            let listed: BTreeSet<&str> = operation["parameters"]
                .as_array()
                .into_iter()
                .flatten()
                .filter(|parameter| parameter["in"] == "query")
                .map(|parameter| {
                    assert!(parameter["description"].is_string(), "{name}: {parameter}");
                    parameter["name"].as_str().unwrap()
                })
                .collect();
            let url = world.url(&format!("{}?no-such-parameter=1", concrete(path)));
            let method = reqwest::Method::from_bytes(method.to_uppercase().as_bytes()).unwrap();
            let response = world.client.request(method, url).header("x-admin-key", KEY).send().await.unwrap();
            let (status, body) = answer(response).await;
            assert_eq!(status, 400, "{name}: {body}");
            let allowed = body["error"]["details"]["allowed"].as_array().unwrap();
            let allowed: BTreeSet<&str> = allowed.iter().map(|name| name.as_str().unwrap()).collect();
            assert_eq!(listed, allowed, "{name}");
        }
    }
    // 29 of their own, and 6 of the sockets under 3 prefixes.
    assert_eq!(operations, 29 + 18);
}

#[tokio::test]
async fn every_reference_in_the_document_resolves() {
    let world = World::start().await;
    let (_, document) = world.get("/api/openapi.json").await;
    let mut references = Vec::new();
    collect(&document, &mut references);
    assert!(references.len() > 40, "{}", references.len());
    for reference in references {
        assert!(document.pointer(reference.trim_start_matches('#')).is_some(), "{reference}");
    }
    let ids: Vec<&str> = document["paths"]
        .as_object()
        .unwrap()
        .values()
        .flat_map(|item| item.as_object().unwrap().values())
        .map(|operation| operation["operationId"].as_str().unwrap())
        .collect();
    assert_eq!(ids.iter().collect::<BTreeSet<_>>().len(), ids.len(), "operation ids are unique: {ids:?}");
}

fn collect(value: &Value, references: &mut Vec<String>) {
    match value {
        Value::Object(fields) => {
            for (name, value) in fields {
                match value {
                    Value::String(text) if name == "$ref" => references.push(text.clone()),
                    _ => collect(value, references),
                }
            }
        }
        Value::Array(items) => items.iter().for_each(|item| collect(item, references)),
        _ => {}
    }
}
