//! The documentation of the resources, made of what they say of themselves: so it cannot differ from what they do.

use platform::resource::{DEFAULT_LIMIT, Filter, Kind, MAX_LIMIT};
use utoipa::openapi::path::{OperationBuilder, Parameter, ParameterBuilder, ParameterIn};
use utoipa::openapi::request_body::RequestBodyBuilder;
use utoipa::openapi::schema::{ArrayBuilder, KnownFormat, Object, ObjectBuilder, Schema, SchemaFormat, Type};
use utoipa::openapi::security::SecurityRequirement;
use utoipa::openapi::{
    Content, Header, HttpMethod, OpenApi, PathItem, Ref, RefOr, Required, Response, ResponseBuilder,
};

use super::work::KEY;
use super::{ALL, Mounted, Operation, Served};
use crate::auth::Access;

/// Adds every resource's routes and types to the document.
pub(crate) fn document(document: &mut OpenApi) {
    let mut schemas = Vec::new();
    for mounted in ALL.iter() {
        for served in &mounted.operations {
            let (view, new) = ((served.view)(&mut schemas), served.new.map(|new| new(&mut schemas)));
            let item = describe(mounted, served, &view, new.as_deref());
            let method = match served.operation {
                Operation::List | Operation::Get => HttpMethod::Get,
                Operation::Create => HttpMethod::Post,
                Operation::Patch => HttpMethod::Patch,
                Operation::Delete => HttpMethod::Delete,
            };
            let template = mounted.template(served.operation);
            let place = document.paths.paths.entry(template).or_default();
            place.merge_operations(PathItem::new(method, item));
        }
    }
    document.components.get_or_insert_default().schemas.extend(schemas);
}

fn describe(mounted: &Mounted, served: &Served, view: &str, new: Option<&str>) -> OperationBuilder {
    let (what, operation) = (mounted.what, served.operation);
    let plural = mounted.path.rsplit('/').next().unwrap_or(what);
    let (summary, verb) = match operation {
        Operation::List => (format!("Your {plural}."), "list"),
        Operation::Get => (format!("One {what}."), "get"),
        Operation::Create => (format!("A new {what}."), "create"),
        Operation::Patch => {
            (format!("Changes a {what}: a JSON merge patch (RFC 7396). What it does not name stays."), "change")
        }
        Operation::Delete => (format!("Removes a {what}."), "delete"),
    };
    let id = format!("{verb}_{}", if operation == Operation::List { plural } else { what }).replace([' ', '-'], "_");
    let mut built = OperationBuilder::new().tag(mounted.tag).summary(Some(summary)).operation_id(Some(id));
    if let Some(asked) = asks(Access::from(served.needs)) {
        built = built.description(Some(asked));
    }
    for name in mounted.path.split('/').filter_map(|part| part.strip_prefix('{')?.strip_suffix('}')) {
        built = built.parameter(path_parameter(name, &format!("The {name} that they are of")));
    }
    if operation.is_of_one() {
        built = built.parameter(path_parameter("id", &format!("The {what}")));
    }
    for parameter in parameters(mounted, served) {
        built = built.parameter(parameter);
    }
    if let (Operation::Create | Operation::Patch, Some(new)) = (operation, new) {
        built = built.request_body(Some(request_body(operation, new)));
    }
    for (status, response) in responses(mounted, served, view) {
        built = built.response(status, response);
    }
    for scheme in ["bearer", "api_key"] {
        built = built.security(SecurityRequirement::new(scheme, Vec::<String>::new()));
    }
    built
}

pub(crate) fn asks(access: Access) -> Option<String> {
    match access {
        Access::Public => None,
        Access::Login => Some("To be signed in.".to_owned()),
        Access::Member(permission) => Some(format!("Needs the permission `{permission}`.")),
        Access::Operator => Some("For operators of the platform.".to_owned()),
    }
}

pub(crate) fn path_parameter(name: &str, description: &str) -> Parameter {
    let schema = Object::builder().schema_type(Type::String).build();
    ParameterBuilder::new()
        .name(name)
        .parameter_in(ParameterIn::Path)
        .required(Required::True)
        .description(Some(description))
        .schema(Some(schema))
        .build()
}

pub(crate) fn query_parameter(name: &str, description: &str, schema: Object) -> Parameter {
    ParameterBuilder::new()
        .name(name)
        .parameter_in(ParameterIn::Query)
        .required(Required::False)
        .description(Some(description))
        .schema(Some(schema))
        .build()
}

/// A header.
pub(crate) fn header_parameter(name: &str, required: Required, description: &str, schema: ObjectBuilder) -> Parameter {
    ParameterBuilder::new()
        .name(name)
        .parameter_in(ParameterIn::Header)
        .required(required)
        .description(Some(description))
        .schema(Some(schema.build()))
        .build()
}

/// The header that makes a request one that is done once.
pub(crate) fn key_parameter() -> Parameter {
    let schema = Object::builder().schema_type(Type::String).min_length(Some(1)).max_length(Some(255));
    let described = "A key of your choice: the same request with it is done once, and answered alike for a day";
    header_parameter(KEY, Required::False, described, schema)
}

fn parameters(mounted: &Mounted, served: &Served) -> Vec<Parameter> {
    let text = || Object::builder().schema_type(Type::String);
    match served.operation {
        Operation::List => {
            let sorts: Vec<&str> = mounted.sorts.iter().map(|sort| sort.name).collect();
            let first = sorts.first().copied().unwrap_or_default();
            let limit = Object::builder()
                .schema_type(Type::Integer)
                .minimum(Some(1))
                .maximum(Some(MAX_LIMIT))
                .default(Some(DEFAULT_LIMIT.into()));
            let mut all = vec![
                query_parameter("limit", "Rows of a page", limit.build()),
                query_parameter("cursor", "next_cursor of the page before", text().build()),
                query_parameter(
                    "sort",
                    &format!("Order, - for descending; {first} without"),
                    text().enum_values(Some(sorts)).build(),
                ),
            ];
            if mounted.is_searched {
                all.push(query_parameter(
                    "q",
                    "Text to look for",
                    text().min_length(Some(1)).max_length(Some(100)).build(),
                ));
            }
            all.extend(
                mounted.filters.iter().map(|filter| {
                    query_parameter(filter.name, "Only those with this value", schema_of(filter).build())
                }),
            );
            all
        }
        Operation::Create => vec![key_parameter()],
        Operation::Patch | Operation::Delete if served.is_versioned => {
            let described = "ETag of the version that was read, or * for whatever stands";
            vec![header_parameter("If-Match", Required::True, described, text().examples(["\"v1\""]))]
        }
        _ => Vec::new(),
    }
}

fn schema_of(filter: &Filter) -> ObjectBuilder {
    let text = Object::builder().schema_type(Type::String);
    match filter.kind {
        Kind::Text => text.min_length(Some(1)),
        Kind::Word(words) => text.enum_values(Some(words.iter().copied())),
        Kind::Id => text.format(Some(SchemaFormat::KnownFormat(KnownFormat::Uuid))),
        Kind::Flag => Object::builder().schema_type(Type::Boolean),
        Kind::Time => text.format(Some(SchemaFormat::KnownFormat(KnownFormat::DateTime))),
        Kind::Count => Object::builder().schema_type(Type::Integer),
    }
}

fn request_body(operation: Operation, new: &str) -> utoipa::openapi::request_body::RequestBody {
    let (kind, description, schema): (_, _, RefOr<Schema>) = match operation {
        Operation::Patch => {
            let any = Object::builder()
                .schema_type(Type::Object)
                .description(Some(format!("Fields of {new}; null takes one back")));
            ("application/json", format!("Some of the fields of {new}"), RefOr::T(any.build().into()))
        }
        _ => ("application/json", "The new one".to_owned(), Ref::from_schema_name(new).into()),
    };
    RequestBodyBuilder::new()
        .description(Some(description))
        .content(kind, Content::new(Some(schema)))
        .required(Some(Required::True))
        .build()
}

fn responses(mounted: &Mounted, served: &Served, view: &str) -> Vec<(&'static str, Response)> {
    let (what, operation) = (mounted.what, served.operation);
    let is_versioned = mounted.operations.iter().any(|served| served.is_versioned);
    let with_row = |text: String| {
        let text_header = || Object::builder().schema_type(Type::String).build();
        let built = ResponseBuilder::new().description(text);
        let built = built.content("application/json", Content::new(Some(Ref::from_schema_name(view))));
        if is_versioned { built.header("ETag", Header::new(text_header())).build() } else { built.build() }
    };
    let error = |status, text: &str| (status, failure(text));
    let mut all = vec![match operation {
        Operation::List => ("200", page(view)),
        Operation::Get | Operation::Patch => ("200", with_row(format!("The {what}"))),
        Operation::Create => ("201", with_row(format!("The new {what}"))),
        Operation::Delete => ("204", ResponseBuilder::new().description("It is gone").build()),
    }];
    all.push(error("400", "Not the parameters or the body expected"));
    all.push(error("401", "Not signed in"));
    all.push(error("403", "Not permitted, or over the quota of the plan"));
    if operation.is_of_one() || mounted.parent.is_some() {
        all.push(error("404", "There is none, or it is another organisation's"));
    }
    if operation != Operation::List && operation != Operation::Get {
        all.push(error("409", "Something stands in the way: code and message say what"));
        if operation != Operation::Create && served.is_versioned {
            all.push(error("412", "It was changed since it was read"));
            all.push(error("428", "Without If-Match"));
        }
        all.push(error("413", "Body too large"));
    }
    all.push(error("422", "Fields that are not as they must be: details have each"));
    all.push(error("429", "Too often: Retry-After says when"));
    all.push(error("503", "Accounts cannot be asked now"));
    all
}

fn page(view: &str) -> Response {
    let items = ArrayBuilder::new().items(Ref::from_schema_name(view)).description(Some("In the order asked for"));
    let cursor = Object::builder().schema_type(Type::String).description(Some("Give it as cursor; absent at the end"));
    let page = Object::builder().property("items", items).required("items").property("next_cursor", cursor);
    let schema: RefOr<Schema> = RefOr::T(page.build().into());
    ResponseBuilder::new().description("A page").content("application/json", Content::new(Some(schema))).build()
}

pub(crate) fn failure(text: &str) -> Response {
    let content = Content::new(Some(Ref::from_schema_name("ErrorBody")));
    ResponseBuilder::new().description(text).content("application/json", content).build()
}
