//! Makes PostgreSQL's ways of speaking DataFusion's.

use datafusion::sql::sqlparser::ast;

/// Rewrites a statement in place.
pub(crate) fn statement(_statement: &mut ast::Statement) {}
