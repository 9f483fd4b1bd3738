//! Queries of one connection: simple (text in, text out) and extended (parse, bind, execute).

use std::fmt::Debug;
use std::sync::Arc;

use arrow::array::{RecordBatch, StringArray};
use arrow::datatypes::{DataType, Field, Schema, SchemaRef};
use async_trait::async_trait;
use datafusion::common::ParamValues;
use futures::{Sink, StreamExt};
use pgwire::api::cancel::{CancelHandler, DefaultCancelHandler};
use pgwire::api::portal::{Format, Portal};
use pgwire::api::query::{ExtendedQueryHandler, SimpleQueryHandler};
use pgwire::api::results::{FieldInfo, Response, Tag};
use pgwire::api::stmt::QueryParser;
use pgwire::api::store::PortalStore;
use pgwire::api::{ClientInfo, ClientPortalStore, ConnectionManager, PgWireServerHandlers, Type};
use pgwire::error::{PgWireError, PgWireResult};
use pgwire::messages::PgWireBackendMessage;

use crate::config::PgwireConfig;
use crate::engine::{Description, Engine, Request};
use crate::error::Error;
use crate::pgwire::auth::{Logins, Startup};
use crate::pgwire::command::Command;
use crate::pgwire::fields::{describe, failed, respond};
use crate::pgwire::parameters;
use crate::pgwire::session::ConnectionState;
use crate::statement::Statement;

/// What every connection is served by.
pub(super) struct Handlers {
    queries: Arc<Queries>,
    startup: Arc<Startup>,
    cancel: Arc<DefaultCancelHandler>,
}

impl Handlers {
    /// Handlers over this engine.
    pub(super) fn new(engine: Engine, config: &PgwireConfig, logins: Option<Arc<dyn Logins>>) -> Self {
        let connections = Arc::new(ConnectionManager::new());
        Self {
            queries: Arc::new(Queries { parser: Arc::new(Parser { engine: engine.clone() }), engine }),
            startup: Arc::new(Startup::new(logins, config.password.as_ref(), Arc::clone(&connections))),
            cancel: Arc::new(DefaultCancelHandler::new(connections)),
        }
    }
}

impl PgWireServerHandlers for Handlers {
    fn simple_query_handler(&self) -> Arc<impl SimpleQueryHandler> {
        Arc::clone(&self.queries)
    }

    fn extended_query_handler(&self) -> Arc<impl ExtendedQueryHandler> {
        Arc::clone(&self.queries)
    }

    fn startup_handler(&self) -> Arc<impl pgwire::api::auth::StartupHandler> {
        Arc::clone(&self.startup)
    }

    fn cancel_handler(&self) -> Arc<impl CancelHandler> {
        Arc::clone(&self.cancel)
    }
}

/// A statement that the client has prepared.
#[derive(Clone, Debug)]
pub(super) enum Prepared {
    /// About the session.
    Session(Command),
    /// About data: the statement, what it returns, and the types that the client gave its parameters.
    Data(Box<(Statement, Description, Vec<Option<Type>>)>),
}

pub(super) struct Queries {
    engine: Engine,
    parser: Arc<Parser>,
}

impl Queries {
    async fn data<C: ClientInfo>(
        &self,
        client: &C,
        statement: Statement,
        parameters: Option<ParamValues>,
        described: Option<(SchemaRef, &Format)>,
    ) -> PgWireResult<Response> {
        let state = ConnectionState::of(client);
        let statement = statement.reading().map_err(|error| failed(&error))?;
        let request = Request { statement, parameters, user: state.user(client) };
        let snapshot = state.snapshot().unwrap_or_else(|| self.engine.snapshot());
        let limits = state.limits(self.engine.limits());
        let result = self.engine.run(request, snapshot, &limits).await.map_err(|error| failed(&error))?;
        let schema = Arc::clone(&result.schema);
        // The first batch is waited for here, where a cancel request still reaches the query and an error comes
        // before the description of the rows.
        let mut result = Box::pin(result);
        let first = match result.next().await {
            Some(Err(error)) => return Err(failed(&error)),
            Some(Ok(batch)) => Some(Ok(batch)),
            None => None,
        };
        let batches = futures::stream::iter(first).chain(result);
        let (schema, format) = match described {
            Some((schema, format)) => (schema, Some(format)),
            None => (schema, None),
        };
        respond(schema, format, batches).map(Response::Query)
    }

    fn session<C: ClientInfo>(&self, client: &C, command: &Command) -> PgWireResult<Response> {
        let state = ConnectionState::of(client);
        Ok(match command {
            Command::Begin => {
                state.begin(self.engine.snapshot());
                Response::TransactionStart(Tag::new("BEGIN"))
            }
            Command::Commit => {
                state.end();
                Response::TransactionEnd(Tag::new("COMMIT"))
            }
            Command::Rollback => {
                state.end();
                Response::TransactionEnd(Tag::new("ROLLBACK"))
            }
            Command::Set(name, value) => {
                state.set(name, Some(value.clone()));
                Response::Execution(Tag::new("SET"))
            }
            Command::Reset(name) => {
                match name {
                    Some(name) => state.set(name, None),
                    None => state.reset(),
                }
                Response::Execution(Tag::new("RESET"))
            }
            Command::Nothing(tag) => Response::Execution(Tag::new(tag)),
            Command::Show(name) => {
                let Some(value) = state.setting(name) else {
                    let message = format!("unrecognized configuration parameter \"{name}\"");
                    return Err(failed(&Error::query("42704", message)));
                };
                let schema = show_schema(name);
                let row = RecordBatch::try_new(Arc::clone(&schema), vec![Arc::new(StringArray::from(vec![value]))]);
                let row = row.map_err(|error| Error::Internal(error.to_string()));
                let mut response = respond(schema, None, futures::stream::iter([row]))?;
                response.set_command_tag("SHOW");
                Response::Query(response)
            }
        })
    }
}

fn show_schema(name: &str) -> SchemaRef {
    Arc::new(Schema::new(vec![Field::new(name, DataType::Utf8, false)]))
}

#[async_trait]
impl SimpleQueryHandler for Queries {
    async fn do_query<C>(&self, client: &mut C, query: &str) -> PgWireResult<Vec<Response>>
    where
        C: ClientInfo + ClientPortalStore + Sink<PgWireBackendMessage> + Unpin + Send + Sync,
        C::PortalStore: PortalStore,
        C::Error: Debug,
        PgWireError: From<<C as Sink<PgWireBackendMessage>>::Error>,
    {
        if let Some(command) = Command::parse(query) {
            return Ok(vec![self.session(client, &command)?]);
        }
        let statements = Statement::parse(query).map_err(|error| failed(&error))?;
        if statements.is_empty() {
            return Ok(vec![Response::EmptyQuery]);
        }
        let mut responses = Vec::with_capacity(statements.len());
        for statement in statements {
            let response = match Command::parse(&statement.to_string()) {
                Some(command) => self.session(client, &command),
                None => self.data(client, statement, None, None).await,
            };
            match response {
                Ok(response) => responses.push(response),
                // What came before has its answer; what comes after is not run.
                Err(PgWireError::UserError(info)) if !responses.is_empty() => {
                    responses.push(Response::Error(info));
                    break;
                }
                Err(error) => return Err(error),
            }
        }
        Ok(responses)
    }
}

#[async_trait]
impl ExtendedQueryHandler for Queries {
    type Statement = Prepared;
    type QueryParser = Parser;

    fn query_parser(&self) -> Arc<Self::QueryParser> {
        Arc::clone(&self.parser)
    }

    async fn do_query<C>(
        &self,
        client: &mut C,
        portal: &Portal<Self::Statement>,
        _max_rows: usize,
    ) -> PgWireResult<Response>
    where
        C: ClientInfo + ClientPortalStore + Sink<PgWireBackendMessage> + Unpin + Send + Sync,
        C::PortalStore: PortalStore<Statement = Self::Statement>,
        C::Error: Debug,
        PgWireError: From<<C as Sink<PgWireBackendMessage>>::Error>,
    {
        match &portal.statement.statement {
            Prepared::Session(command) => self.session(client, command),
            Prepared::Data(prepared) => {
                let (statement, description, given) = &**prepared;
                let types = parameters::types(&description.parameters, given);
                let values = parameters::values(portal, &types, &description.parameters);
                let values = values.map_err(|error| failed(&error))?;
                let described = (Arc::clone(&description.schema), &portal.result_column_format);
                self.data(client, statement.clone(), values, Some(described)).await
            }
        }
    }
}

/// Plans statements when they are prepared, for their columns and parameters.
pub(super) struct Parser {
    engine: Engine,
}

#[async_trait]
impl QueryParser for Parser {
    type Statement = Prepared;

    async fn parse_sql<C>(&self, client: &C, sql: &str, types: &[Option<Type>]) -> PgWireResult<Option<Prepared>>
    where
        C: ClientInfo + Unpin + Send + Sync,
    {
        if let Some(command) = Command::parse(sql) {
            return Ok(Some(Prepared::Session(command)));
        }
        let statement = Statement::parse_one(sql).map_err(|error| failed(&error))?;
        let user = ConnectionState::of(client).user(client);
        let request = Request { statement: statement.clone(), parameters: None, user };
        let description = self.engine.describe(request).await.map_err(|error| failed(&error))?;
        Ok(Some(Prepared::Data(Box::new((statement, description, types.to_vec())))))
    }

    fn get_parameter_types(&self, prepared: &Prepared) -> PgWireResult<Vec<Type>> {
        Ok(match prepared {
            Prepared::Session(_) => Vec::new(),
            Prepared::Data(data) => parameters::types(&data.1.parameters, &data.2),
        })
    }

    fn get_result_schema(&self, prepared: &Prepared, format: Option<&Format>) -> PgWireResult<Vec<FieldInfo>> {
        match prepared {
            Prepared::Session(Command::Show(name)) => describe(&show_schema(name), None),
            Prepared::Session(_) => Ok(Vec::new()),
            Prepared::Data(data) => describe(&data.1.schema, format),
        }
    }
}
