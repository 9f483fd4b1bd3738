//! How a resource is mounted: which operations it has, and for each either the engine's way or a function of its own.

use std::marker::PhantomData;

use platform::desk::{Desk, Doing};
use platform::identity::Caller;
use platform::refusal::Refusal;
use platform::resource::{self, Editable, Key, Needs, Page, Resource};
use serde::Serialize;
use serde_json::{Map, Value};
use utoipa::ToSchema;
use uuid::Uuid;
use warp::http::StatusCode;

use super::work::{Asked, Reply, Run, described};
use super::{Mounted, Operation, Served};

/// Lists rows in its own way.
type ListBy<V> = for<'d> fn(&'d Desk<'d>, Vec<(String, String)>) -> Doing<'d, Page<V>>;
/// Changes a row in its own way, by its id, a merge patch and the version that was read.
type PatchBy<R> = for<'d> fn(&'d Desk<'d>, <R as Resource>::Id, Value, Option<i64>) -> Doing<'d, <R as Resource>::View>;

/// A resource that is being mounted.
pub(super) struct Mount<R>(Mounted, PhantomData<fn() -> R>);

impl<R> From<Mount<R>> for Mounted {
    fn from(mount: Mount<R>) -> Self {
        mount.0
    }
}

/// A resource at its place, to be listed and read.
pub(super) fn at<R: Resource>(path: &'static str, tag: &'static str) -> Mount<R> {
    let mounted = Mounted {
        path,
        parent: None,
        tag,
        what: R::WHAT,
        sorts: R::SORTS,
        filters: R::FILTERS,
        is_searched: !R::SEARCH.is_empty(),
        own: |_| Vec::new(),
        view: described::<R::View>,
        operations: Vec::new(),
    };
    let list: Run = Box::new(|desk, asked| {
        Box::pin(async move {
            let page = resource::list::<R>(desk.transaction, desk.scope, &asked.parameters).await?;
            Ok(Reply::of(StatusCode::OK, &page))
        })
    });
    let get: Run = Box::new(|desk, asked| {
        Box::pin(async move {
            let row = resource::get::<R>(desk.transaction, desk.scope, &id::<R>(&asked)?).await?;
            Ok(Reply::of(StatusCode::OK, &row))
        })
    });
    Mount(mounted, PhantomData).with(Operation::List, R::READ, list).with(Operation::Get, R::READ, get)
}

/// The row that the path names: the last that it names.
fn id<R: Resource>(asked: &Asked) -> Result<R::Id, Refusal> {
    let named = asked.named.last().map_or("", String::as_str);
    let shown = || named.chars().take(64).collect();
    <R::Id as Key>::parse(named).ok_or_else(|| Refusal::NotFound { what: R::WHAT, id: shown() })
}

impl<R: Resource> Mount<R> {
    fn with(mut self, operation: Operation, needs: Needs, run: Run) -> Self {
        let served = Served { operation, needs, is_versioned: false, new: None, view: self.0.view, run };
        // One that is said again takes the place of the one before.
        self.0.operations.retain(|served| served.operation != operation);
        self.0.operations.push(served);
        self
    }

    fn last(mut self, change: impl FnOnce(&mut Served)) -> Self {
        if let Some(served) = self.0.operations.last_mut() {
            change(served);
        }
        self
    }

    /// Each caller sees rows with these values alone.
    pub(super) fn own(mut self, own: fn(&Caller) -> Vec<(&'static str, Uuid)>) -> Self {
        self.0.own = own;
        self
    }

    /// They are rows of what the path names first, by this column.
    pub(super) fn of(mut self, column: &'static str) -> Self {
        self.0.parent = Some(column);
        self
    }

    /// Listed by a function of its own.
    pub(super) fn lists_by<V: Serialize + Send + 'static>(self, list: ListBy<V>) -> Self {
        let run: Run = Box::new(move |desk, asked| {
            Box::pin(async move { Ok(Reply::of(StatusCode::OK, &list(desk, asked.parameters).await?)) })
        });
        self.with(Operation::List, R::READ, run)
    }
}

impl<R: Editable> Mount<R> {
    /// Made, changed and removed as rows are.
    pub(super) fn edits(self) -> Self {
        self.creates().patches().deletes()
    }

    /// Made as rows are.
    pub(super) fn creates(self) -> Self {
        let run: Run = Box::new(|desk, asked| {
            Box::pin(async move {
                let new: R::New = resource::read(&asked.body)?;
                let given: Map<String, Value> =
                    desk.scope.iter().map(|(column, id)| ((*column).to_owned(), id.to_string().into())).collect();
                Ok(Reply::made(&resource::create::<R>(desk.transaction, given, new).await?))
            })
        });
        self.with(Operation::Create, R::WRITE, run).last(|served| served.new = Some(described::<R::New>))
    }

    /// Made by a function of its own, which may answer more than can be read later.
    pub(super) fn creates_by<V: Serialize + ToSchema + Send + 'static>(
        self,
        make: for<'d> fn(&'d Desk<'d>, R::New) -> Doing<'d, V>,
    ) -> Self {
        let run: Run = Box::new(move |desk, asked| {
            Box::pin(async move { Ok(Reply::made(&make(desk, resource::read(&asked.body)?).await?)) })
        });
        self.with(Operation::Create, R::WRITE, run).last(|served| {
            served.new = Some(described::<R::New>);
            served.view = described::<V>;
        })
    }

    /// Changed as rows are.
    pub(super) fn patches(self) -> Self {
        let run: Run = Box::new(|desk, asked| {
            Box::pin(async move {
                let id = id::<R>(&asked)?;
                let row = resource::patch::<R>(desk.transaction, desk.scope, &id, &asked.body, asked.version).await?;
                Ok(Reply::of(StatusCode::OK, &row))
            })
        });
        self.patched(run)
    }

    /// Changed by a function of its own.
    pub(super) fn patches_by(self, change: PatchBy<R>) -> Self {
        let run: Run = Box::new(move |desk, asked| {
            Box::pin(async move {
                let row = change(desk, id::<R>(&asked)?, asked.body, asked.version).await?;
                Ok(Reply::of(StatusCode::OK, &row))
            })
        });
        self.patched(run)
    }

    fn patched(self, run: Run) -> Self {
        self.with(Operation::Patch, R::WRITE, run).last(|served| {
            served.new = Some(described::<R::New>);
            served.is_versioned = R::VERSIONED;
        })
    }

    /// Removed as rows are.
    pub(super) fn deletes(self) -> Self {
        let run: Run = Box::new(|desk, asked| {
            Box::pin(async move {
                let id = id::<R>(&asked)?;
                resource::delete::<R>(desk.transaction, desk.scope, &id, asked.version).await?;
                Ok(Reply::done())
            })
        });
        self.with(Operation::Delete, R::WRITE, run).last(|served| served.is_versioned = R::VERSIONED)
    }

    /// Removed by a function of its own.
    pub(super) fn deletes_by(self, remove: for<'d> fn(&'d Desk<'d>, R::Id, Option<i64>) -> Doing<'d, ()>) -> Self {
        let run: Run = Box::new(move |desk, asked| {
            Box::pin(async move {
                remove(desk, id::<R>(&asked)?, asked.version).await?;
                Ok(Reply::done())
            })
        });
        self.with(Operation::Delete, R::WRITE, run).last(|served| served.is_versioned = R::VERSIONED)
    }

    /// Taken back, whatever version stands: it can still be read afterwards.
    pub(super) fn revokes_by(self, revoke: for<'d> fn(&'d Desk<'d>, R::Id) -> Doing<'d, R::View>) -> Self {
        let run: Run = Box::new(move |desk, asked| {
            Box::pin(async move {
                revoke(desk, id::<R>(&asked)?).await?;
                Ok(Reply::done())
            })
        });
        self.with(Operation::Delete, R::WRITE, run)
    }
}
