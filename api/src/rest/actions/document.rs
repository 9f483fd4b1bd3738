//! The documentation of the actions, made of their lines.

use utoipa::openapi::path::{OperationBuilder, Parameter};
use utoipa::openapi::request_body::RequestBodyBuilder;
use utoipa::openapi::schema::{Object, Type};
use utoipa::openapi::security::SecurityRequirement;
use utoipa::openapi::{Content, HttpMethod, OpenApi, PathItem, Ref, Required, ResponseBuilder};
use warp::http::Method;

use super::super::resources::{asks, failure, header_parameter, key_parameter, path_parameter};
use super::{ALL, Action, How, Version};
use crate::auth::Access;

/// Adds every action to the document.
pub(crate) fn document(document: &mut OpenApi) {
    let mut schemas = Vec::new();
    for action in ALL.iter() {
        let body = action.body.map(|described| described(&mut schemas));
        let answer = action.answer.map(|described| described(&mut schemas));
        let method = match action.method {
            Method::GET => HttpMethod::Get,
            Method::DELETE => HttpMethod::Delete,
            Method::PATCH => HttpMethod::Patch,
            _ => HttpMethod::Post,
        };
        let item = PathItem::new(method, describe(action, body.as_deref(), answer.as_deref()));
        document.paths.paths.entry(action.template.to_owned()).or_default().merge_operations(item);
    }
    document.components.get_or_insert_default().schemas.extend(schemas);
}

fn describe(action: &Action, body: Option<&str>, answer: Option<&str>) -> OperationBuilder {
    let mut built = OperationBuilder::new().tag(action.tag).summary(Some(action.says)).operation_id(Some(action.name));
    if let Some(asked) = asks(action.access) {
        built = built.description(Some(asked));
    }
    for name in action.template.split('/').filter_map(|part| part.strip_prefix('{')?.strip_suffix('}')) {
        built = built.parameter(path_parameter(name, &format!("The {name}")));
    }
    for parameter in &action.parameters {
        built = built.parameter(parameter.clone());
    }
    for parameter in headers(action) {
        built = built.parameter(parameter);
    }
    if let Some(body) = body {
        let content = Content::new(Some(Ref::from_schema_name(body)));
        let body = RequestBodyBuilder::new().content("application/json", content).required(Some(Required::True));
        built = built.request_body(Some(body.build()));
    }
    let mut done = ResponseBuilder::new().description("Done");
    if let Some(answer) = answer {
        done = done.content("application/json", Content::new(Some(Ref::from_schema_name(answer))));
    }
    built = built.response(action.status.as_str(), done.build());
    for (status, text) in failures(action) {
        built = built.response(status, failure(text));
    }
    let schemes: &[&str] = match action.access {
        Access::Public => &[],
        Access::Login => &["bearer"],
        Access::Member(_) | Access::Operator => &["bearer", "api_key"],
    };
    for scheme in schemes {
        built = built.security(SecurityRequirement::new(*scheme, Vec::<String>::new()));
    }
    built
}

/// Headers that it reads.
fn headers(action: &Action) -> Vec<Parameter> {
    let text = || Object::builder().schema_type(Type::String).examples(["\"v1\""]);
    let described = "ETag of the version that was read, or * for whatever stands";
    let version = match action.version {
        Version::None => None,
        Version::May => Some(header_parameter("If-Match", Required::False, described, text())),
        Version::Must => Some(header_parameter("If-Match", Required::True, described, text())),
    };
    let is_keyed = action.method == Method::POST && matches!(action.how, How::Work(_));
    version.into_iter().chain(is_keyed.then(key_parameter)).collect()
}

fn failures(action: &Action) -> Vec<(&'static str, &'static str)> {
    let mut all = vec![("400", "Not the parameters or the body expected"), ("401", "Who it is could not be found out")];
    all.push(("403", "Not permitted"));
    if action.template.contains('{') {
        all.push(("404", "There is none of yours"));
    }
    if action.method == Method::POST {
        all.extend([("409", "Something stands in the way: the message says what"), ("413", "Body too large")]);
    }
    if action.version != Version::None {
        all.push(("412", "It was changed since it was read"));
    }
    if action.version == Version::Must {
        all.push(("428", "Without If-Match"));
    }
    all.push(("422", "Fields that are not as they must be: details have each"));
    all.extend([("429", "Too often: Retry-After says when"), ("503", "Accounts cannot be asked now")]);
    all
}
