//! DataFusion's session for one query: functions and settings common to all, names and memory its own.
//!
//! Behind two traits, and futures in boxes, for the compiler's sake: whether a plan may go to another thread it must find
//! out for every function that holds one or awaits one who does, each time for seconds. Here it finds out once.

use std::collections::BTreeMap;
use std::fmt;
use std::sync::Arc;

use arrow::datatypes::DataType;
use datafusion::catalog::TableProvider;
use datafusion::common::tree_node::{TreeNode, TreeNodeRecursion};
use datafusion::error::DataFusionError;
use datafusion::execution::SendableRecordBatchStream;
use datafusion::execution::cache::cache_manager::CacheManagerConfig;
use datafusion::execution::context::SessionState;
use datafusion::execution::disk_manager::{DiskManagerBuilder, DiskManagerMode};
use datafusion::execution::memory_pool::{GreedyMemoryPool, MemoryPool};
use datafusion::execution::runtime_env::{RuntimeEnv, RuntimeEnvBuilder};
use datafusion::execution::session_state::SessionStateBuilder;
use datafusion::execution::{FunctionRegistry, TaskContext};
use datafusion::logical_expr::{Cast, Expr, LogicalPlan, TryCast};
use datafusion::physical_plan::execute_stream;
use datafusion::prelude::SessionConfig;
use futures::future::BoxFuture;
use model::{Reader, T};

use crate::catalog::{CATALOG, Names, SCHEMA};
use crate::config::Config;
use crate::engine::{Description, Request, only_reads, plan_error};
use crate::error::Error;
use crate::history::History;
use crate::memory::QueryPool;
use crate::pg_catalog;
use crate::statement::Statement;

/// Parquet metadata kept, bytes.
const METADATA_CACHE: usize = 64 << 20;

/// Who asks, as PostgreSQL's functions tell.
#[derive(Clone, Debug)]
pub(crate) struct SessionUser {
    /// `current_user`.
    pub(crate) user: String,
    /// `current_setting(…)`.
    pub(crate) settings: Arc<BTreeMap<String, String>>,
    /// With whose eyes.
    pub(crate) reader: Reader,
}

impl SessionUser {
    /// Whoever reads with these eyes, without a name or settings of their own.
    pub(crate) fn reading(reader: &Reader) -> Self {
        Self { user: CATALOG.to_owned(), settings: Arc::default(), reader: reader.clone() }
    }
}

/// What makes sessions: all that queries share.
pub(crate) trait Sessions: fmt::Debug + Send + Sync {
    /// A session for one query over these tables.
    fn session(
        &self,
        user: &SessionUser,
        tables: BTreeMap<&'static str, Arc<dyn TableProvider>>,
        t: T,
        memory: usize,
    ) -> Box<dyn Session>;
}

/// A session for one query.
pub(crate) trait Session: Send {
    /// Plans and starts a statement. With the tables that exist, to offer when one is unknown.
    fn execute(
        self: Box<Self>,
        request: Request,
    ) -> BoxFuture<'static, Result<(SendableRecordBatchStream, Vec<String>), Error>>;

    /// Plans a statement without running it.
    fn describe(self: Box<Self>, request: Request) -> BoxFuture<'static, Result<Description, Error>>;
}

/// Sets DataFusion up.
pub(crate) fn open(config: &Config, history: Option<&History>) -> Result<Arc<dyn Sessions>, Error> {
    Ok(Arc::new(Base::new(config, history)?))
}

#[derive(Debug)]
struct Base {
    state: SessionState,
    pool: Arc<dyn MemoryPool>,
    pg_catalog: Arc<BTreeMap<&'static str, Arc<dyn TableProvider>>>,
}

impl Base {
    fn new(config: &Config, history: Option<&History>) -> Result<Self, Error> {
        let setup = |error: DataFusionError| Error::Config(error.strip_backtrace());
        let pool: Arc<dyn MemoryPool> = Arc::new(GreedyMemoryPool::new(config.total_memory));
        let runtime = RuntimeEnvBuilder::new()
            .with_memory_pool(Arc::clone(&pool))
            .with_disk_manager_builder(DiskManagerBuilder::default().with_mode(DiskManagerMode::Disabled))
            .with_cache_manager(CacheManagerConfig::default().with_metadata_cache_limit(METADATA_CACHE))
            .build()
            .map_err(setup)?;
        if let Some(history) = history {
            runtime.register_object_store(History::store_url().as_ref(), Arc::clone(history.store()));
        }
        let mut settings = SessionConfig::new()
            .with_target_partitions(config.threads.max(1))
            .with_information_schema(true)
            .with_default_catalog_and_schema(CATALOG, SCHEMA)
            .with_create_default_catalog_and_schema(false);
        settings.options_mut().execution.time_zone = Some("UTC".to_owned());
        let mut state = SessionStateBuilder::new()
            .with_config(settings)
            .with_runtime_env(Arc::new(runtime))
            .with_default_features()
            .build();
        pg_catalog::functions::register(&mut state).map_err(setup)?;
        let pg_catalog = Arc::new(pg_catalog::tables().map_err(setup)?);
        Ok(Self { state, pool, pg_catalog })
    }
}

impl Sessions for Base {
    fn session(
        &self,
        user: &SessionUser,
        tables: BTreeMap<&'static str, Arc<dyn TableProvider>>,
        t: T,
        memory: usize,
    ) -> Box<dyn Session> {
        let table_names = tables.keys().map(|name| (*name).to_owned()).collect();
        let mut state = self.state.clone();
        state.register_catalog_list(Arc::new(Names::new(tables, &self.pg_catalog)));
        for function in pg_catalog::functions::of_session(user, t) {
            // Replaces the one of the same name, if any: that is the point.
            let _ = state.register_udf(function);
        }
        state.mark_start_execution();
        let shared = state.runtime_env();
        let runtime = RuntimeEnv {
            memory_pool: Arc::new(QueryPool::new(Arc::clone(&self.pool), memory)),
            disk_manager: Arc::clone(&shared.disk_manager),
            cache_manager: Arc::clone(&shared.cache_manager),
            object_store_registry: Arc::clone(&shared.object_store_registry),
        };
        Box::new(OneQuery { state, runtime: Arc::new(runtime), table_names })
    }
}

struct OneQuery {
    state: SessionState,
    runtime: Arc<RuntimeEnv>,
    table_names: Vec<String>,
}

impl Session for OneQuery {
    fn execute(
        self: Box<Self>,
        request: Request,
    ) -> BoxFuture<'static, Result<(SendableRecordBatchStream, Vec<String>), Error>> {
        Box::pin(async move {
            let mut plan = self.plan(request.statement).await?;
            let failed = |error: DataFusionError| plan_error(&error, &self.table_names);
            if let Some(parameters) = &request.parameters {
                plan = plan.replace_params_with_values(parameters).map_err(failed)?;
            }
            let plan = self.state.create_physical_plan(&plan).await.map_err(failed)?;
            let context = TaskContext::from(&self.state).with_runtime(Arc::clone(&self.runtime));
            let stream = execute_stream(plan, Arc::new(context)).map_err(failed)?;
            Ok((stream, self.table_names))
        })
    }

    fn describe(self: Box<Self>, request: Request) -> BoxFuture<'static, Result<Description, Error>> {
        Box::pin(async move { self.description(&self.plan(request.statement).await?) })
    }
}

impl OneQuery {
    async fn plan(&self, statement: Statement) -> Result<LogicalPlan, Error> {
        let plan = self.state.statement_to_plan(statement.into_parsed()).await;
        let plan = plan.map_err(|error| plan_error(&error, &self.table_names))?;
        only_reads(&plan)?;
        Ok(plan)
    }

    fn description(&self, plan: &LogicalPlan) -> Result<Description, Error> {
        let failed = |error: DataFusionError| plan_error(&error, &self.table_names);
        let mut parameters: BTreeMap<_, _> = plan.get_parameter_types().map_err(failed)?.into_iter().collect();
        infer_more(plan, &mut parameters).map_err(failed)?;
        // The optimizer's coercion settles the columns' types.
        let schema = match self.state.optimize(plan) {
            Ok(optimized) => Arc::clone(optimized.schema().inner()),
            Err(_) => Arc::clone(plan.schema().inner()),
        };
        Ok(Description { schema, parameters })
    }
}

/// What the planner does not infer, since it looks at comparisons only: parameters of LIMIT and OFFSET are whole
/// numbers, and a parameter that is cast has the type it is cast to (`$1::int`).
fn infer_more(plan: &LogicalPlan, parameters: &mut BTreeMap<String, Option<DataType>>) -> Result<(), DataFusionError> {
    let mut learn = |expr: &Expr, data_type: &DataType| {
        if let Expr::Placeholder(placeholder) = expr {
            parameters.entry(placeholder.id.clone()).or_default().get_or_insert_with(|| data_type.clone());
        }
    };
    plan.apply(|node| {
        if let LogicalPlan::Limit(limit) = node {
            [&limit.skip, &limit.fetch].into_iter().flatten().for_each(|bound| learn(bound, &DataType::Int64));
        }
        node.apply_expressions(|expr| {
            expr.apply(|part| {
                if let Expr::Cast(Cast { expr, field }) | Expr::TryCast(TryCast { expr, field }) = part {
                    learn(expr, field.data_type());
                }
                Ok(TreeNodeRecursion::Continue)
            })
        })
    })
    .map(|_| ())
}
