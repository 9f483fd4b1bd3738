//! What people have and set up: sites, assets, alert rules, dashboards … All of them alike: list, get, create, patch, delete.
//!
//! ```text
//! request ─► gate (route's row: may they?) ─► [`Mounted`]: reads it ─► `platform::desk`: a transaction as the caller
//!                                                  rows ─► JSON, ETag ◄──── row-level security
//! ```
//! One row of [`ALL`] mounts a resource: its routes, what each asks of the caller and its documentation follow from it. What
//! is more than a row (a key that is shown once, a letter) is a function of `platform::desk::deeds`, named in that row. A
//! `PATCH` or `DELETE` of what has versions says which one it read (`If-Match`); a `POST` may be repeated under its key
//! (`Idempotency-Key`).

mod document;
mod mount;
pub(crate) mod work;

use std::sync::LazyLock;

use platform::desk::{self, deeds};
use platform::identity::Caller;
use platform::resource::{Filter as Narrowing, Needs, Sort};
use uuid::Uuid;
use warp::Filter;
use warp::filters::BoxedFilter;
use warp::http::{HeaderMap, Method};
use warp::path::FullPath;
use warp::reply::Response;

pub(crate) use document::{asks, document, failure, header_parameter, key_parameter, path_parameter, query_parameter};
use mount::at;
use work::{Asked, Described, Request, Run, body, expected_version, perform};

use super::{Answer, Shared, answer, read_body, with};
use crate::auth::Access;
use crate::error::Error;
use crate::params::{Params, decode, raw_query};
use crate::routes::{Route, fits};

/// What can be done with a resource.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Operation {
    List,
    Get,
    Create,
    Patch,
    Delete,
}

use Operation::{Create, Delete, Get, List, Patch};

impl Operation {
    fn method(self) -> Method {
        match self {
            List | Get => Method::GET,
            Create => Method::POST,
            Patch => Method::PATCH,
            Delete => Method::DELETE,
        }
    }

    /// Whether it is about one row.
    fn is_of_one(self) -> bool {
        matches!(self, Get | Patch | Delete)
    }
}

/// A resource at its place.
pub(crate) struct Mounted {
    /// Path of the list. A parameter in it is the row that these rows are of: `/api/dashboards/{dashboard}/widgets`.
    path: &'static str,
    /// Its column, if there is one.
    parent: Option<&'static str>,
    tag: &'static str,
    /// What one of it is called.
    what: &'static str,
    sorts: &'static [Sort],
    filters: &'static [Narrowing],
    is_searched: bool,
    /// Columns and values that rows must have for a caller.
    own: fn(&Caller) -> Vec<(&'static str, Uuid)>,
    view: Described,
    operations: Vec<Served>,
}

/// An operation of a resource.
pub(super) struct Served {
    operation: Operation,
    needs: Needs,
    /// Whether the caller says which version it is about.
    is_versioned: bool,
    /// What it takes.
    new: Option<Described>,
    /// What it answers, or a list of that.
    view: Described,
    run: Run,
}

/// Every resource.
pub(crate) static ALL: LazyLock<Vec<Mounted>> = LazyLock::new(|| {
    use platform::resource as of;
    let invitations = at::<of::invitations::Invitations>("/api/invitations", "organisation");
    let channels = at::<of::channels::Channels>("/api/channels", "notifications");
    let widgets = at::<of::widgets::Widgets>("/api/dashboards/{dashboard}/widgets", "dashboards");
    let retention = at::<of::retention::RetentionPolicies>("/api/retention", "privacy");
    vec![
        at::<of::sites::Sites>("/api/sites", "assets").edits().into(),
        at::<of::assets::Assets>("/api/assets", "assets").edits().into(),
        at::<of::alert_rules::AlertRules>("/api/rules", "rules").edits().deletes_by(deeds::remove_rule).into(),
        at::<of::alerts::Alerts>("/api/alerts", "rules").patches().into(),
        at::<of::organisation::Organisations>("/api/organisations", "organisation").patches().into(),
        at::<of::members::Members>("/api/members", "organisation")
            .patches_by(deeds::change_member)
            .deletes_by(deeds::remove_member)
            .into(),
        invitations.creates_by(deeds::invite).revokes_by(deeds::revoke_invitation).into(),
        at::<of::api_keys::ApiKeys>("/api/api-keys", "organisation")
            .own(deeds::of_own)
            .creates_by(deeds::make_api_key)
            .patches_by(deeds::change_api_key)
            .revokes_by(deeds::revoke_api_key)
            .into(),
        at::<of::sessions::Sessions>("/api/auth/sessions", "identity").into(),
        channels.creates_by(deeds::make_channel).patches_by(deeds::change_channel).deletes().into(),
        at::<of::notifications::Notifications>("/api/notifications", "notifications").into(),
        at::<of::dashboards::Dashboards>("/api/dashboards", "dashboards")
            .edits()
            .creates_by(deeds::make_dashboard)
            .into(),
        widgets.of("dashboard_id").edits().lists_by(deeds::list_widgets).creates_by(deeds::make_widget).into(),
        at::<of::models::Models>("/api/models", "models").edits().into(),
        at::<of::plans::Plans>("/api/plans", "billing").into(),
        retention.patches_by(deeds::change_retention).into(),
        at::<of::consents::Consents>("/api/consents", "privacy")
            .creates_by(deeds::grant_consent)
            .revokes_by(deeds::withdraw_consent)
            .into(),
        at::<platform::audit::AuditLog>("/api/audit", "audit").into(),
        at::<of::flags::Flags>("/api/admin/flags", "admin").edits().into(),
        at::<of::retention::RetentionRuns>("/api/admin/retention-runs", "admin").into(),
        at::<desk::Tenants>("/api/admin/organisations", "admin").into(),
        at::<desk::Statistics>("/api/admin/statistics", "admin").into(),
    ]
});

impl Mounted {
    fn template(&self, operation: Operation) -> String {
        if operation.is_of_one() { format!("{}/{{id}}", self.path) } else { self.path.to_owned() }
    }

    fn serves(&self, method: &Method, path: &str) -> Option<&Served> {
        let fit =
            |served: &&Served| served.operation.method() == *method && fits(&self.template(served.operation), path);
        self.operations.iter().find(fit)
    }

    /// Parameters of a list.
    fn parameters(&self) -> Vec<&'static str> {
        let q = self.is_searched.then_some("q");
        ["limit", "cursor", "sort"].into_iter().chain(q).chain(self.filters.iter().map(|filter| filter.name)).collect()
    }

    async fn serve(&'static self, served: &'static Served, app: &Shared, request: Request) -> Answer {
        let allowed = if served.operation == List { self.parameters() } else { Vec::new() };
        Params::parse(&request.query, &allowed)?;
        let parts = self.template(served.operation);
        let parts = parts.split('/').zip(request.path.split('/')).filter(|(part, _)| part.starts_with('{'));
        let named: Vec<String> = parts.map(|(_, given)| decode(given)).collect::<Result<_, _>>()?;
        let (_, caller) = app.platform()?;
        let mut scope = (self.own)(caller);
        if let (Some(column), Some(parent)) = (self.parent, named.first()) {
            let parent = Uuid::try_parse(parent);
            scope.push((column, parent.map_err(|_| Error::NotFound(format!("no {} of that", self.what)))?));
        }
        let asked = Asked {
            named,
            parameters: Params::all(&request.query)?,
            body: if matches!(served.operation, Create | Patch) { body(&request.body)? } else { Default::default() },
            version: if served.is_versioned { expected_version(&request.headers)? } else { None },
        };
        perform(app, (served.needs, scope), &request, asked, &served.run).await
    }
}

/// Their routes.
pub(crate) fn table() -> impl Iterator<Item = Route> {
    ALL.iter().flat_map(|mounted| {
        mounted.operations.iter().map(|served| Route {
            method: served.operation.method(),
            template: mounted.template(served.operation),
            access: Access::from(served.needs),
        })
    })
}

/// The one filter that serves them all.
pub(crate) fn routes(app: &Shared) -> BoxedFilter<(Response,)> {
    let find = |method: Method, path: FullPath| async move {
        let found = ALL.iter().find_map(|mounted| Some((mounted, mounted.serves(&method, path.as_str())?)));
        found.map(|found| (found.0, found.1, path)).ok_or_else(warp::reject::not_found)
    };
    warp::method()
        .and(warp::path::full())
        .and_then(find)
        .and(raw_query())
        .and(warp::header::headers_cloned())
        .and(warp::body::stream())
        .and(with(app))
        .then(|(mounted, served, path): Found, query: String, headers: HeaderMap, body, app: Shared| {
            answer(async move {
                let body = read_body(body, app.config.body_limit_bytes).await?;
                let method = served.operation.method();
                let request = Request { method, path: path.as_str().to_owned(), query, headers, body };
                mounted.serve(served, &app, request).await
            })
        })
        .boxed()
}

type Found = (&'static Mounted, &'static Served, FullPath);
