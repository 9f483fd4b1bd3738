//! A line of the table of actions: what is the same for all, and how each kind of action reads its request.

use futures::future::BoxFuture;
use platform::desk::{Desk, Doing};
use platform::resource;
use serde::Serialize;
use serde::de::DeserializeOwned;
use utoipa::ToSchema;
use utoipa::openapi::path::Parameter;
use warp::Reply;
use warp::http::{HeaderMap, Method, StatusCode};

use super::super::resources::work::{self, Asked, Described, Run, described};
use super::super::{Answer, Shared};
use super::{Action, How, Version, told, wish};
use crate::auth::Access;
use crate::error::Error;

/// An action that makes its own transactions.
pub(super) type Flow = Box<dyn Fn(Shared, Asked, HeaderMap) -> BoxFuture<'static, Answer> + Send + Sync>;

/// A line of the table, as far as it is the same for all.
pub(super) fn line(
    name: &'static str,
    method: Method,
    template: &'static str,
    access: Access,
    says: &'static str,
) -> Line {
    let (status, version) = (StatusCode::OK, Version::None);
    Line { name, method, template, access, says, tag: "identity", status, parameters: Vec::new(), version }
}

pub(super) struct Line {
    name: &'static str,
    method: Method,
    template: &'static str,
    access: Access,
    says: &'static str,
    tag: &'static str,
    status: StatusCode,
    parameters: Vec<Parameter>,
    version: Version,
}

impl Line {
    pub(super) fn status(self, status: StatusCode) -> Self {
        Self { status, ..self }
    }

    pub(super) fn tag(self, tag: &'static str) -> Self {
        Self { tag, ..self }
    }

    /// With parameters of the query.
    pub(super) fn parameters(self, parameters: Vec<Parameter>) -> Self {
        Self { parameters, ..self }
    }

    /// The caller says, or may say, which version it is about.
    pub(super) fn version(self, version: Version) -> Self {
        Self { version, ..self }
    }

    /// With a body, and an answer.
    pub(super) fn takes<W, V>(self, run: fn(Shared, W) -> BoxFuture<'static, Result<V, Error>>) -> Action
    where
        W: DeserializeOwned + ToSchema + Send + 'static,
        V: Serialize + ToSchema + 'static,
    {
        let status = self.status;
        let flow: Flow =
            Box::new(move |app, asked, _| Box::pin(async move { told(status, &run(app, wish(&asked.body)?).await?) }));
        self.flow(Some(described::<W>), Some(described::<V>), flow)
    }

    /// With a body, an answer, and what else was asked.
    pub(super) fn takes_all<W, V>(self, run: fn(Shared, Asked, W) -> BoxFuture<'static, Result<V, Error>>) -> Action
    where
        W: DeserializeOwned + ToSchema + Send + 'static,
        V: Serialize + ToSchema + 'static,
    {
        let status = self.status;
        let flow: Flow = Box::new(move |app, asked, _| {
            Box::pin(async move {
                let wish = wish(&asked.body)?;
                told(status, &run(app, asked, wish).await?)
            })
        });
        self.flow(Some(described::<W>), Some(described::<V>), flow)
    }

    /// With a body, and nothing to tell.
    pub(super) fn hears<W>(self, run: fn(Shared, W) -> BoxFuture<'static, Result<(), Error>>) -> Action
    where
        W: DeserializeOwned + ToSchema + Send + 'static,
    {
        let flow: Flow = Box::new(move |app, asked, _| {
            Box::pin(async move {
                run(app, wish(&asked.body)?).await?;
                Ok(StatusCode::NO_CONTENT.into_response())
            })
        });
        Self { status: StatusCode::NO_CONTENT, ..self }.flow(Some(described::<W>), None, flow)
    }

    /// Without a body, with an answer.
    pub(super) fn tells<V>(self, run: fn(Shared, Asked) -> BoxFuture<'static, Result<V, Error>>) -> Action
    where
        V: Serialize + ToSchema + 'static,
    {
        let status = self.status;
        let flow: Flow = Box::new(move |app, asked, _| Box::pin(async move { told(status, &run(app, asked).await?) }));
        self.flow(None, Some(described::<V>), flow)
    }

    /// With neither; what the path names is given.
    pub(super) fn does(self, run: fn(Shared, Vec<String>) -> BoxFuture<'static, Result<(), Error>>) -> Action {
        let flow: Flow = Box::new(move |app, asked, _| {
            Box::pin(async move {
                run(app, asked.named).await?;
                Ok(StatusCode::NO_CONTENT.into_response())
            })
        });
        Self { status: StatusCode::NO_CONTENT, ..self }.flow(None, None, flow)
    }

    /// In its own way, as far as headers go.
    pub(super) fn answers<V: ToSchema>(
        self,
        body: Option<Described>,
        run: fn(Shared, Asked, HeaderMap) -> BoxFuture<'static, Answer>,
    ) -> Action {
        self.flow(body, Some(described::<V>), Box::new(run))
    }

    /// In a transaction as the caller, with a body.
    pub(super) fn works<W, V>(self, work: for<'d> fn(&'d Desk<'d>, Asked, W) -> Doing<'d, V>) -> Action
    where
        W: DeserializeOwned + ToSchema + Send + 'static,
        V: Serialize + ToSchema + Send + 'static,
    {
        let status = self.status;
        let run: Run = Box::new(move |desk, asked| {
            Box::pin(async move {
                let wish = resource::read(&asked.body)?;
                Ok(work::Reply::of(status, &work(desk, asked, wish).await?))
            })
        });
        self.action(Some(described::<W>), Some(described::<V>), How::Work(run))
    }

    /// In a transaction as the caller, without a body.
    pub(super) fn shows<V>(self, work: for<'d> fn(&'d Desk<'d>, Asked) -> Doing<'d, V>) -> Action
    where
        V: Serialize + ToSchema + Send + 'static,
    {
        let status = self.status;
        let run: Run = Box::new(move |desk, asked| {
            Box::pin(async move { Ok(work::Reply::of(status, &work(desk, asked).await?)) })
        });
        self.action(None, Some(described::<V>), How::Work(run))
    }

    fn flow(self, body: Option<Described>, answer: Option<Described>, flow: Flow) -> Action {
        self.action(body, answer, How::Flow(flow))
    }

    fn action(self, body: Option<Described>, answer: Option<Described>, how: How) -> Action {
        let Self { name, method, template, access, says, tag, status, parameters, version } = self;
        Action { method, template, access, tag, says, name, status, parameters, version, body, answer, how }
    }
}
