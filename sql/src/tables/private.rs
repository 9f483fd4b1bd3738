//! A table of which each reader sees only what is theirs.
//!
//! ```text
//! inner table, asked for the reader's own rows ─► PrivateExec: keeps those, hides what is others' ─► the query's own filters
//! ```
//! A barrier, as PostgreSQL calls it: of the query's filters only comparisons of a column with a constant go below it, since
//! they cannot fail; anything else could tell of a row by the error that it makes of it. And what lies below is not shown by
//! EXPLAIN, whose counts would tell how much others have.

use std::fmt;
use std::sync::Arc;

use arrow::array::{AsArray, BooleanArray, RecordBatch, StringArray};
use arrow::compute::filter_record_batch;
use arrow::datatypes::SchemaRef;
use async_trait::async_trait;
use datafusion::catalog::{Session, TableProvider};
use datafusion::common::tree_node::TreeNodeRecursion;
use datafusion::error::{DataFusionError, Result};
use datafusion::execution::{SendableRecordBatchStream, TaskContext};
use datafusion::logical_expr::{Expr, Operator, TableProviderFilterPushDown, TableType, col, lit};
use datafusion::physical_expr::{EquivalenceProperties, PhysicalExpr};
use datafusion::physical_plan::stream::RecordBatchStreamAdapter;
use datafusion::physical_plan::{DisplayAs, DisplayFormatType, ExecutionPlan, Partitioning, PlanProperties};
use futures::StreamExt;
use model::{Reader, Snapshot};

/// What of a table is whose. Every table says it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Privacy {
    /// Everybody sees every row.
    Public,
    /// A row belongs to the organisation in this column.
    Organisation(&'static str),
    /// A row belongs to whoever owns the alert rule in this column.
    Rule(&'static str),
    /// Rows are public, the bid that this column names is its organisation's: null for others.
    Bid(&'static str),
}

impl Privacy {
    fn column(self) -> Option<&'static str> {
        match self {
            Self::Public => None,
            Self::Organisation(column) | Self::Rule(column) | Self::Bid(column) => Some(column),
        }
    }

    /// The table as this reader sees it.
    pub(crate) fn guard(
        self,
        table: Arc<dyn TableProvider>,
        reader: &Reader,
        snapshot: &Arc<Snapshot>,
    ) -> Arc<dyn TableProvider> {
        let (Some(column), Reader::Organisation(_)) = (self.column(), reader) else { return table };
        let lens = Lens { privacy: self, column, reader: reader.clone(), snapshot: Arc::clone(snapshot) };
        Arc::new(PrivateTable { inner: table, lens })
    }
}

/// What a reader sees of a batch.
#[derive(Clone)]
struct Lens {
    privacy: Privacy,
    column: &'static str,
    reader: Reader,
    /// Whose the bids are.
    snapshot: Arc<Snapshot>,
}

impl Lens {
    /// `batch` holds the private column at `at`.
    fn look(&self, batch: &RecordBatch, at: usize) -> Result<RecordBatch> {
        let names = batch.column(at).as_string_opt::<i32>();
        let names = names.ok_or_else(|| DataFusionError::Internal(format!("{} is no text", self.column)))?;
        let keep = |sees: &dyn Fn(&str) -> bool| -> BooleanArray {
            names.iter().map(|name| Some(name.is_some_and(sees))).collect()
        };
        match self.privacy {
            Privacy::Public => Ok(batch.clone()),
            Privacy::Organisation(_) => Ok(filter_record_batch(batch, &keep(&|name| self.reader.sees(name)))?),
            Privacy::Rule(_) => Ok(filter_record_batch(batch, &keep(&|name| self.reader.sees_rule(name)))?),
            Privacy::Bid(_) => {
                let own: StringArray = {
                    let sees = |bid: &&str| self.reader.sees_bid(&self.snapshot, bid);
                    names.iter().map(|bid| bid.filter(sees)).collect()
                };
                let mut columns = batch.columns().to_vec();
                columns[at] = Arc::new(own);
                Ok(RecordBatch::try_new(batch.schema(), columns)?)
            }
        }
    }

    /// Whether a filter may go to the table itself.
    fn may_pass(&self, filter: &Expr) -> bool {
        // What a hidden name compares with must not decide which rows come.
        let is_hidden = |expr: &Expr| matches!(self.privacy, Privacy::Bid(column) if matches!(expr, Expr::Column(found) if found.name == column));
        let plain = |expr: &Expr| matches!(expr, Expr::Column(_) | Expr::Literal(..)) && !is_hidden(expr);
        match filter {
            Expr::BinaryExpr(both) => {
                matches!(
                    both.op,
                    Operator::Eq | Operator::NotEq | Operator::Lt | Operator::LtEq | Operator::Gt | Operator::GtEq
                ) && plain(&both.left)
                    && plain(&both.right)
            }
            Expr::InList(list) => plain(&list.expr) && list.list.iter().all(plain),
            Expr::IsNull(inner) | Expr::IsNotNull(inner) => plain(inner),
            _ => false,
        }
    }
}

struct PrivateTable {
    inner: Arc<dyn TableProvider>,
    lens: Lens,
}

#[async_trait]
impl TableProvider for PrivateTable {
    fn schema(&self) -> SchemaRef {
        self.inner.schema()
    }

    fn table_type(&self) -> TableType {
        self.inner.table_type()
    }

    fn supports_filters_pushdown(&self, filters: &[&Expr]) -> Result<Vec<TableProviderFilterPushDown>> {
        Ok(vec![TableProviderFilterPushDown::Inexact; filters.len()])
    }

    async fn scan(
        &self,
        session: &dyn Session,
        projection: Option<&Vec<usize>>,
        filters: &[Expr],
        _limit: Option<usize>,
    ) -> Result<Arc<dyn ExecutionPlan>> {
        let schema = self.inner.schema();
        let private = schema.index_of(self.lens.column)?;
        let mut read = projection.cloned().unwrap_or_else(|| (0..schema.fields().len()).collect());
        let shown = read.len();
        let at = read.iter().position(|index| *index == private).unwrap_or_else(|| {
            read.push(private);
            shown
        });
        let mut below: Vec<Expr> = filters.iter().filter(|filter| self.lens.may_pass(filter)).cloned().collect();
        if let (Privacy::Organisation(column), Some(own)) = (self.lens.privacy, self.lens.reader.organisation()) {
            below.push(col(column).eq(lit(own)));
        }
        let rows = self.inner.scan(session, Some(&read), &below, None).await?;
        Ok(Arc::new(PrivateExec::new(rows, self.lens.clone(), at, shown)?))
    }
}

impl fmt::Debug for PrivateTable {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("PrivateTable").field("inner", &self.inner).finish_non_exhaustive()
    }
}

/// Keeps what the reader may see. A leaf: what it reads is not the query's.
struct PrivateExec {
    rows: Arc<dyn ExecutionPlan>,
    lens: Lens,
    /// Where the private column is.
    at: usize,
    /// So many columns are the query's; one more may be read for the reader's sake.
    shown: usize,
    properties: Arc<PlanProperties>,
}

impl PrivateExec {
    fn new(rows: Arc<dyn ExecutionPlan>, lens: Lens, at: usize, shown: usize) -> Result<Self> {
        let schema = Arc::new(rows.schema().project(&(0..shown).collect::<Vec<_>>())?);
        let of = rows.properties();
        let properties = PlanProperties::new(
            EquivalenceProperties::new(schema),
            Partitioning::UnknownPartitioning(of.partitioning.partition_count()),
            of.emission_type,
            of.boundedness,
        );
        Ok(Self { rows, lens, at, shown, properties: Arc::new(properties) })
    }
}

impl fmt::Debug for PrivateExec {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("PrivateExec").field("column", &self.lens.column).finish_non_exhaustive()
    }
}

impl DisplayAs for PrivateExec {
    fn fmt_as(&self, _: DisplayFormatType, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "PrivateExec: by {}", self.lens.column)
    }
}

impl ExecutionPlan for PrivateExec {
    fn name(&self) -> &str {
        "PrivateExec"
    }

    fn properties(&self) -> &Arc<PlanProperties> {
        &self.properties
    }

    fn children(&self) -> Vec<&Arc<dyn ExecutionPlan>> {
        Vec::new()
    }

    fn apply_expressions(
        &self,
        _: &mut dyn FnMut(&Arc<dyn PhysicalExpr>) -> Result<TreeNodeRecursion>,
    ) -> Result<TreeNodeRecursion> {
        Ok(TreeNodeRecursion::Continue)
    }

    fn with_new_children(self: Arc<Self>, _: Vec<Arc<dyn ExecutionPlan>>) -> Result<Arc<dyn ExecutionPlan>> {
        Ok(self)
    }

    fn execute(&self, partition: usize, context: Arc<TaskContext>) -> Result<SendableRecordBatchStream> {
        let (lens, at, shown) = (self.lens.clone(), self.at, (0..self.shown).collect::<Vec<_>>());
        let rows = self.rows.execute(partition, context)?;
        let seen = rows.map(move |batch| Ok(lens.look(&batch?, at)?.project(&shown)?));
        Ok(Box::pin(RecordBatchStreamAdapter::new(self.schema(), seen)))
    }
}
