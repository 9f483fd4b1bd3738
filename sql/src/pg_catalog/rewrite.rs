//! Makes PostgreSQL's ways of speaking DataFusion's, so that psql, Grafana and drivers can ask what they always ask.
//!
//! * `pg_catalog.f(x)` → `f(x)`; `OPERATOR(pg_catalog.~)` → `~`; `COLLATE …` falls away (there is one collation);
//! * casts to PostgreSQL's own types (`regclass`, `regtype`, `name`, `oid` …) become functions or plain types;
//! * a SELECT that needs rows of a table that is always empty ([`relations::EMPTY`]) has no rows: it is replaced by one
//!   that says so, whatever else it asks (psql joins such tables in ways that DataFusion cannot plan);
//! * `ARRAY(SELECT …)` over such a table is the empty array, over others `array_agg`;
//! * a parameter as LIMIT or OFFSET is a bigint.

use std::ops::ControlFlow;

use datafusion::sql::sqlparser::ast::{
    BinaryOperator, CastKind, DataType, Expr, Function, FunctionArg, FunctionArgExpr, FunctionArgumentList,
    FunctionArguments, GroupByExpr, Ident, JoinOperator, LimitClause, ObjectName, ObjectNamePart, Query, Select,
    SelectItem, SetExpr, Statement, TableFactor, Value, VisitMut, VisitorMut,
};
use datafusion::sql::sqlparser::dialect::PostgreSqlDialect;
use datafusion::sql::sqlparser::parser::Parser;

use crate::pg_catalog::relations;

/// Rewrites a statement in place.
pub(crate) fn statement(statement: &mut Statement) {
    let _ = statement.visit(&mut Rewriter);
}

struct Rewriter;

impl VisitorMut for Rewriter {
    type Break = ();

    fn pre_visit_query(&mut self, query: &mut Query) -> ControlFlow<()> {
        if empty(&mut query.body) {
            query.order_by = None;
        }
        if let Some(LimitClause::LimitOffset { limit, offset, .. }) = &mut query.limit_clause {
            let offset = offset.as_mut().map(|offset| &mut offset.value);
            for count in limit.iter_mut().chain(offset) {
                if matches!(count, Expr::Value(value) if matches!(value.value, Value::Placeholder(_))) {
                    let parameter = std::mem::replace(count, null());
                    *count = cast(parameter, DataType::BigInt(None), &CastKind::DoubleColon);
                }
            }
        }
        ControlFlow::Continue(())
    }

    fn pre_visit_expr(&mut self, expr: &mut Expr) -> ControlFlow<()> {
        if let Expr::BinaryOp { left, op: BinaryOperator::StringConcat, right } = expr
            && array_of(right).is_some_and(|query| empty(&mut query.body))
        {
            *expr = std::mem::replace(&mut **left, null());
        } else if let Some(query) = array_of(expr) {
            *expr = if empty(&mut query.body) { call("make_array", Vec::new()) } else { gathered(query) };
        }
        ControlFlow::Continue(())
    }

    fn post_visit_expr(&mut self, expr: &mut Expr) -> ControlFlow<()> {
        match expr {
            Expr::Collate { expr: inner, .. } => {
                let inner = std::mem::replace(&mut **inner, null());
                *expr = inner;
            }
            Expr::BinaryOp { op, .. } => plain_operator(op),
            Expr::Function(function) => plain_function(function),
            Expr::Cast { expr: inner, data_type, kind, .. } => {
                if let Some(rewritten) = plain_cast(inner, data_type, kind) {
                    *expr = rewritten;
                }
            }
            _ => {}
        }
        ControlFlow::Continue(())
    }
}

/// The query of `ARRAY(SELECT …)`.
fn array_of(expr: &mut Expr) -> Option<&mut Query> {
    let Expr::Function(function) = expr else { return None };
    let is_array = last_name(&function.name).eq_ignore_ascii_case("array");
    match &mut function.args {
        FunctionArguments::Subquery(query) if is_array => Some(query),
        _ => None,
    }
}

/// `(SELECT array_agg(item) FROM (query) AS items (item))`.
fn gathered(query: &Query) -> Expr {
    let sql = format!("(SELECT array_agg(item) FROM ({query}) AS items (item))");
    let parsed = Parser::new(&PostgreSqlDialect {}).try_with_sql(&sql).and_then(|mut parser| parser.parse_expr());
    // A query that was parsed once is written so that it can be parsed again; if not, it stays for the planner to say.
    parsed.unwrap_or_else(|_| call("array", Vec::new()))
}

/// Replaces every SELECT of a set expression that cannot have rows; says whether all are.
fn empty(body: &mut SetExpr) -> bool {
    match body {
        SetExpr::Select(select) => {
            let none = select.from.iter().any(|from| {
                let joined = from.joins.iter().filter(|join| {
                    matches!(
                        join.join_operator,
                        JoinOperator::Join(_) | JoinOperator::Inner(_) | JoinOperator::CrossJoin(_)
                    )
                });
                is_empty_table(&from.relation) || joined.into_iter().any(|join| is_empty_table(&join.relation))
            });
            // An aggregate over no rows still has one.
            let none = none && !select.projection.iter().any(|item| item.to_string().contains("count("));
            if none {
                no_rows(select);
            }
            none
        }
        SetExpr::SetOperation { left, right, .. } => {
            let left = empty(left);
            empty(right) && left
        }
        _ => false,
    }
}

fn is_empty_table(table: &TableFactor) -> bool {
    let TableFactor::Table { name, args, .. } = table else { return false };
    if let Some(args) = args {
        // psql unnests options of tables, which have none here.
        return last_name(name) == "unnest" && args.args.iter().any(|arg| arg.to_string().ends_with("reloptions"));
    }
    let name = last_name(name).to_ascii_lowercase();
    relations::EMPTY.iter().any(|(known, _)| *known == name)
}

/// `SELECT NULL AS a, NULL AS b WHERE false`.
fn no_rows(select: &mut Select) {
    for (index, item) in select.projection.iter_mut().enumerate() {
        let alias = match item {
            SelectItem::ExprWithAlias { alias, .. } => alias.clone(),
            SelectItem::UnnamedExpr(Expr::Identifier(name)) => name.clone(),
            SelectItem::UnnamedExpr(Expr::CompoundIdentifier(names)) => {
                names.last().cloned().unwrap_or_else(|| Ident::new("column"))
            }
            _ => Ident::with_quote('"', format!("column{}", index + 1)),
        };
        *item = SelectItem::ExprWithAlias { expr: null(), alias };
    }
    select.from.clear();
    select.selection = Some(Expr::value(Value::Boolean(false)));
    select.group_by = GroupByExpr::Expressions(Vec::new(), Vec::new());
    select.having = None;
    select.distinct = None;
}

fn plain_operator(op: &mut BinaryOperator) {
    let BinaryOperator::PGCustomBinaryOperator(parts) = op else { return };
    let plain = match parts.last().map(String::as_str) {
        Some("~") => BinaryOperator::PGRegexMatch,
        Some("!~") => BinaryOperator::PGRegexNotMatch,
        Some("~*") => BinaryOperator::PGRegexIMatch,
        Some("!~*") => BinaryOperator::PGRegexNotIMatch,
        Some("=") => BinaryOperator::Eq,
        Some("<>") => BinaryOperator::NotEq,
        _ => return,
    };
    *op = plain;
}

fn plain_function(function: &mut Function) {
    if function.name.0.len() == 2 && first_name(&function.name).eq_ignore_ascii_case("pg_catalog") {
        function.name.0.remove(0);
    }
}

/// A cast to a type that DataFusion has not.
fn plain_cast(inner: &mut Expr, data_type: &mut DataType, kind: &CastKind) -> Option<Expr> {
    let name = match &*data_type {
        DataType::Custom(name, _) => last_name(name).to_ascii_lowercase(),
        DataType::Regclass => "regclass".to_owned(),
        DataType::Array(_) if is_catalog_array(data_type) => return Some(std::mem::replace(inner, null())),
        _ => return None,
    };
    let is_text = matches!(inner, Expr::Value(value) if matches!(value.value, Value::SingleQuotedString(_)));
    let mut take = || std::mem::replace(inner, null());
    Some(match name.as_str() {
        "regclass" if is_text => call("to_regclass", vec![take()]),
        "regclass" => call("optibid_regclass", vec![take()]),
        "regtype" => call("format_type", vec![take(), null()]),
        "regnamespace" => call("optibid_regnamespace", vec![take()]),
        "text" | "name" | "char" | "regproc" | "regrole" | "regoper" => cast(take(), DataType::Text, kind),
        "oid" | "xid" | "int8" => cast(take(), DataType::BigInt(None), kind),
        "int4" => cast(take(), DataType::Integer(None), kind),
        "int2" => cast(take(), DataType::SmallInt(None), kind),
        "bool" => cast(take(), DataType::Boolean, kind),
        _ => return None,
    })
}

fn is_catalog_array(data_type: &DataType) -> bool {
    data_type.to_string().to_ascii_lowercase().starts_with("pg_catalog.")
}

fn cast(expr: Expr, data_type: DataType, kind: &CastKind) -> Expr {
    Expr::Cast { kind: kind.clone(), expr: Box::new(expr), data_type, array: false, format: None }
}

fn call(name: &str, args: Vec<Expr>) -> Expr {
    let args = args.into_iter().map(|arg| FunctionArg::Unnamed(FunctionArgExpr::Expr(arg))).collect();
    Expr::Function(Function {
        name: ObjectName(vec![ObjectNamePart::Identifier(Ident::new(name))]),
        uses_odbc_syntax: false,
        parameters: FunctionArguments::None,
        args: FunctionArguments::List(FunctionArgumentList { duplicate_treatment: None, args, clauses: Vec::new() }),
        filter: None,
        null_treatment: None,
        over: None,
        within_group: Vec::new(),
    })
}

fn null() -> Expr {
    Expr::value(Value::Null)
}

fn last_name(name: &ObjectName) -> &str {
    part(name.0.last())
}

fn first_name(name: &ObjectName) -> &str {
    part(name.0.first())
}

fn part(part: Option<&ObjectNamePart>) -> &str {
    match part {
        Some(ObjectNamePart::Identifier(ident)) => &ident.value,
        _ => "",
    }
}

#[cfg(test)]
mod tests {
    use crate::statement::Statement;

    fn rewritten(sql: &str) -> String {
        Statement::parse_one(sql).unwrap().to_string()
    }

    #[test]
    fn postgres_speech_becomes_plain() {
        assert_eq!(
            rewritten(
                "SELECT pg_catalog.f(c.oid) FROM t c WHERE c.x OPERATOR(pg_catalog.~) '^a$' COLLATE pg_catalog.default"
            ),
            "SELECT f(c.oid) FROM t c WHERE c.x ~ '^a$'"
        );
        assert_eq!(
            rewritten("SELECT 'bars'::regclass::oid, c.t::pg_catalog.regtype::pg_catalog.text FROM c"),
            "SELECT to_regclass('bars')::BIGINT, format_type(c.t, NULL)::TEXT FROM c"
        );
    }

    #[test]
    fn what_needs_rows_of_an_empty_table_has_none() {
        assert_eq!(
            rewritten("SELECT p.polname, g(x) AS y FROM pg_catalog.pg_policy p, b WHERE p.a = b.b ORDER BY 1"),
            "SELECT NULL AS polname, NULL AS y WHERE false"
        );
        // An outer join keeps its left rows.
        let kept = "SELECT a.x FROM a LEFT JOIN pg_index AS i ON a.x = i.indrelid ORDER BY 1";
        assert_eq!(rewritten(kept), kept);
        assert_eq!(
            rewritten(
                "SELECT ARRAY(SELECT b.x FROM pg_auth_members AS m JOIN b ON true WHERE m.member = r.oid) FROM r"
            ),
            "SELECT make_array() FROM r"
        );
        assert_eq!(
            rewritten("SELECT c.o || ARRAY(SELECT 'toast.' || x FROM pg_catalog.unnest(t.reloptions) AS x) FROM c"),
            "SELECT c.o FROM c"
        );
    }

    #[test]
    fn arrays_are_gathered_and_limits_are_numbers() {
        assert_eq!(
            rewritten("SELECT ARRAY(SELECT zone FROM zones) LIMIT $1 OFFSET $2"),
            "SELECT (SELECT array_agg(item) FROM (SELECT zone FROM zones) AS items (item)) LIMIT $1::BIGINT OFFSET $2::BIGINT"
        );
    }
}
