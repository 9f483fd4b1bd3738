//! The role matrix: every documented operation, asked by everybody there is: nobody, a viewer, a trader, an analyst, the admin
//! of another organisation, the operator. Who may what stands in [`MATRIX`], written by hand: it is the promise, and the
//! program is held against it. What is refused is 401 for nobody and 403 for everybody else; what is allowed may still be
//! answered with an error, since there is nothing to be found and nothing in the bodies, but not with one of ours.

mod matrix;

use std::collections::{BTreeMap, BTreeSet};

use reqwest::{Client, Method};
use serde_json::{Value, json};

use self::matrix::MATRIX;
use crate::program::{Program, eventually};
use crate::stores::Stores;

/// Who asks, as one letter each in [`MATRIX`].
const CALLERS: [char; 6] = ['-', 'v', 't', 'l', 'a', 'o'];

const PASSWORD: &str = "mauve kettle orbit sandal";

/// The demo with accounts, on a database of its own; limits are not what is asked about here.
async fn start() -> Program {
    let stores = Stores::of_the_run("roles").await;
    let sets = [
        "platform.enabled=true".to_owned(),
        format!("platform.postgres_url={}", stores.postgres),
        format!("platform.redis_url={}", stores.redis),
        format!("platform.redis_prefix={}", stores.prefix),
        "platform.master_key=AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8=".to_owned(),
        "platform.limits.login_by_address=1000/1m".to_owned(),
        "platform.limits.requests_by_address=100000/1m".to_owned(),
    ];
    Program::start(&["demo"], &sets).await
}

async fn log_in(program: &Program, email: &str, password: &str) -> Option<String> {
    let (_, text) = program.post("/api/auth/login", &json!({"email": email, "password": password}), &[]).await;
    let answer: Value = serde_json::from_str(&text).ok()?;
    answer["access_token"].as_str().map(str::to_owned)
}

/// An access token of each caller; nothing for nobody.
async fn tokens(program: &Program) -> BTreeMap<char, Option<String>> {
    let operator =
        eventually("the demo's accounts", async || log_in(program, "admin@optibid.io", "admin123").await).await;
    let mut tokens = BTreeMap::from([('-', None), ('o', Some(operator))]);
    for (letter, name) in [('v', "viewer"), ('t', "trader"), ('l', "analyst")] {
        let token = log_in(program, &format!("{name}@optibid.io"), "admin123").await;
        tokens.insert(letter, Some(token.unwrap_or_else(|| panic!("{name} cannot log in"))));
    }
    let wish = json!({"email": "ada@example.org", "password": PASSWORD, "full_name": "Ada Lovelace",
        "organisation": {"name": "Elsewhere"}});
    let (status, text) = program.post("/api/auth/register", &wish, &[]).await;
    assert_eq!(status, 201, "{text}");
    let token = log_in(program, "ada@example.org", PASSWORD).await;
    tokens.insert('a', Some(token.expect("who has registered can log in")));
    tokens
}

/// A path with something for each parameter, which there is none of.
fn concrete(path: &str) -> String {
    let mut parts: Vec<&str> = path.split('/').collect();
    for part in &mut parts {
        *part = match *part {
            "{zone}" | "{location}" => "pjm",
            "{interval}" | "{minute}" => "2025-11-18T11:59:00Z",
            "{provider}" | "{code}" => "none",
            part if part.starts_with('{') => "5d0c3cbd-8514-487f-a8ba-64359edd903b",
            part => part,
        };
    }
    parts.join("/")
}

async fn ask(program: &Program, method: &str, path: &str, token: Option<&str>) -> (u16, String) {
    let method = Method::from_bytes(method.as_bytes()).unwrap();
    let mut request = Client::new().request(method.clone(), program.url(path)).header("if-match", "*");
    if method != Method::GET {
        request = request.json(&json!({}));
    }
    if let Some(token) = token {
        request = request.bearer_auth(token);
    }
    let response = request.send().await.unwrap();
    (response.status().as_u16(), response.text().await.unwrap_or_default())
}

/// What is wrong with an answer, if anything is.
fn judge(caller: char, is_allowed: bool, status: u16) -> Option<&'static str> {
    let refused = if caller == '-' { 401 } else { 403 };
    match status {
        401 | 403 if is_allowed => Some("is refused, and should not be"),
        500.. if is_allowed => Some("is our fault"),
        _ if !is_allowed && status != refused => Some("should be refused"),
        _ => None,
    }
}

/// Documented operations, and under which name the matrix has each.
async fn operations(program: &Program) -> Vec<(String, String)> {
    let document = program.get("/api/openapi.json").await;
    let mut all: Vec<(String, String)> = Vec::new();
    for (path, item) in document["paths"].as_object().unwrap() {
        for method in item.as_object().unwrap().keys() {
            let known = path.strip_prefix("/api/ws/ws/").or_else(|| path.strip_prefix("/api/ws/"));
            let known = known.map_or_else(|| path.clone(), |rest| format!("/ws/{rest}"));
            let method = method.to_uppercase();
            all.push((format!("{method} {path}"), format!("{method} {known}")));
        }
    }
    // Whoever logs out is nobody afterwards.
    all.sort_by_key(|(operation, _)| operation.ends_with("/logout"));
    all
}

#[tokio::test(flavor = "multi_thread")]
async fn every_operation_is_for_whom_it_is_promised_and_for_nobody_else() {
    let program = start().await;
    let tokens = tokens(&program).await;
    eventually("a state that is current", async || (program.try_get("/readyz").await.0 == 200).then_some(())).await;
    let mut promised: BTreeMap<&str, &str> = BTreeMap::new();
    for (callers, operations) in MATRIX {
        for operation in operations {
            assert_eq!(promised.insert(operation, callers), None, "{operation} stands in the matrix twice");
        }
    }
    let operations = operations(&program).await;
    let documented: BTreeSet<&str> = operations.iter().map(|(_, known)| known.as_str()).collect();
    assert_eq!(
        documented,
        promised.keys().copied().collect(),
        "what is documented stands in the matrix, and nothing else"
    );
    strangers_find_nothing(&program, &tokens).await;
    unknown_parameters_are_refused(&program, tokens[&'o'].as_deref()).await;
    let mut wrong = Vec::new();
    for (operation, known) in &operations {
        let (method, path) = operation.split_once(' ').unwrap();
        for caller in CALLERS {
            let (status, text) = ask(&program, method, &concrete(path), tokens[&caller].as_deref()).await;
            if let Some(problem) = judge(caller, promised[known.as_str()].contains(caller), status) {
                wrong.push(format!("{operation} by {caller}: {status} {problem}: {text}"));
            }
        }
    }
    assert!(wrong.is_empty(), "{} of {}:\n{}", wrong.len(), operations.len() * CALLERS.len(), wrong.join("\n"));
    println!("{} operations by {} callers", operations.len(), CALLERS.len());
}

/// An id that is another organisation's is no id at all, for its admin, too.
async fn strangers_find_nothing(program: &Program, tokens: &BTreeMap<char, Option<String>>) {
    let (operator, stranger) = (tokens[&'o'].as_deref(), tokens[&'a'].as_deref());
    for list in ["organisations", "members", "sites", "assets", "rules", "dashboards", "audit", "auth/sessions"] {
        let list = format!("/api/{list}");
        let (status, text) = ask(program, "GET", &list, operator).await;
        assert_eq!(status, 200, "{list}: {text}");
        let page: Value = serde_json::from_str(&text).unwrap();
        let id = page["items"][0]["id"].as_str().unwrap_or_else(|| panic!("nothing in {list}: {page}"));
        let own = ask(program, "GET", &format!("{list}/{id}"), operator).await;
        assert_eq!(own.0, 200, "{list}: {}", own.1);
        for method in ["GET", "PATCH", "DELETE"] {
            let (status, text) = ask(program, method, &format!("{list}/{id}"), stranger).await;
            assert!(matches!(status, 404 | 405), "{method} {list}: {status} {text}");
        }
    }
}

/// Every operation takes the parameters that it lists, and no others.
async fn unknown_parameters_are_refused(program: &Program, operator: Option<&str>) {
    let document = program.get("/api/openapi.json").await;
    for (path, item) in document["paths"].as_object().unwrap() {
        for (method, operation) in item.as_object().unwrap() {
            let parameters = operation["parameters"].as_array().into_iter().flatten();
            let listed = parameters.filter(|parameter| parameter["in"] == "query");
            let listed: BTreeSet<&str> = listed.map(|parameter| parameter["name"].as_str().unwrap()).collect();
            let path = format!("{}?no-such-parameter=1", concrete(path));
            let (status, text) = ask(program, &method.to_uppercase(), &path, operator).await;
            assert_eq!(status, 400, "{method} {path}: {text}");
            let answer: Value = serde_json::from_str(&text).unwrap();
            let allowed = answer["error"]["details"]["allowed"].as_array().unwrap();
            let allowed: BTreeSet<&str> = allowed.iter().map(|name| name.as_str().unwrap()).collect();
            assert_eq!(listed, allowed, "{method} {path}");
        }
    }
}
