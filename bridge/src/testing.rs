//! What the tests of this crate share: a session with our rules, and the way
//! from a text to rows.

use std::sync::Arc;

use arrow::util::display::{ArrayFormatter, FormatOptions};
use datafusion::common::{DataFusionError, Result, SchemaError};
use datafusion::execution::{SessionStateBuilder, SessionStateDefaults};
use datafusion::logical_expr::LogicalPlan;
use datafusion::prelude::{SessionConfig, SessionContext};

use crate::names::{demangle, scrub};
use crate::spans::SqlError;
use crate::{arithmetic, dialect, functions, names};

pub const NESTING: usize = 200;

pub fn session() -> SessionContext {
    let mut config = SessionConfig::new().with_target_partitions(2);
    dialect::apply_config(config.options_mut());
    let builder = SessionStateBuilder::new()
        .with_config(config)
        .with_relation_planners(vec![Arc::new(names::DerivedNames)]);
    let state = functions::register(builder).build();
    let ctx = SessionContext::new_with_state(state);
    for function in SessionStateDefaults::default_table_functions() {
        ctx.register_udtf(function.name(), Arc::clone(function.function()));
    }
    ctx.add_analyzer_rule(Arc::new(arithmetic::CheckedArithmetic));
    ctx
}

/// Plan as the bridge does: a second try where names repeat.
pub async fn plan(ctx: &SessionContext, sql: &str) -> Result<LogicalPlan> {
    let first = dialect::parse_one(sql, NESTING)?;
    let mut statement = first.clone();
    names::name_outputs(&mut statement)?;
    dialect::rewrite_operators(&mut statement);
    match ctx.state().statement_to_plan(statement).await {
        Err(error) if names::is_duplicate_name_error(&error) => {
            let mut statement = first;
            names::name_outputs(&mut statement)?;
            names::mangle(&mut statement)?;
            dialect::rewrite_operators(&mut statement);
            ctx.state().statement_to_plan(statement).await
        }
        done => done,
    }
}

/// Output names and rows, each value as text, NULL as `NULL`.
pub struct Answer {
    pub names: Vec<String>,
    pub rows: Vec<Vec<String>>,
}

pub async fn ask_in(ctx: &SessionContext, sql: &str) -> Result<Answer> {
    let plan = plan(ctx, sql).await?;
    let names = names::output_names(&plan);
    let batches = ctx.execute_logical_plan(plan).await?.collect().await?;
    let options = FormatOptions::default().with_null("NULL");
    let mut rows = vec![];
    for batch in &batches {
        let columns = batch
            .columns()
            .iter()
            .map(|column| ArrayFormatter::try_new(column.as_ref(), &options))
            .collect::<Result<Vec<_>, _>>()?;
        for row in 0..batch.num_rows() {
            rows.push(columns.iter().map(|column| column.value(row).to_string()).collect());
        }
    }
    Ok(Answer { names, rows })
}

pub async fn ask(sql: &str) -> Result<Answer> {
    ask_in(&tables().await?, sql).await
}

/// A session with the tables t(id, x, y), u(id, z) and v(id, z), without rows in common but id 1.
pub async fn tables() -> Result<SessionContext> {
    let ctx = session();
    for ddl in [
        "CREATE TABLE t AS SELECT * FROM (VALUES (1, 10, 'a'), (2, 20, 'b'), (3, NULL, 'c')) AS s(id, x, y)",
        "CREATE TABLE u AS SELECT * FROM (VALUES (1, 'one'), (4, 'four')) AS s(id, z)",
        "CREATE TABLE v AS SELECT * FROM (VALUES (1, 'eins')) AS s(id, z)",
    ] {
        let plan = plan(&ctx, ddl).await?;
        ctx.execute_logical_plan(plan).await?;
    }
    Ok(ctx)
}

/// The rows as lines, values separated by `|`.
pub async fn rows(sql: &str) -> String {
    match ask(sql).await {
        Ok(answer) => answer.rows.iter().map(|row| row.join("|")).collect::<Vec<_>>().join("\n"),
        Err(error) => format!("error: {}", state_of(&error)),
    }
}

/// The output names, separated by `|`.
pub async fn names_of(sql: &str) -> String {
    match ask(sql).await {
        Ok(answer) => answer.names.join("|"),
        Err(error) => format!("error: {}", state_of(&error)),
    }
}

/// SQLSTATE and message where we know them, else the engine's text.
pub fn state_of(error: &DataFusionError) -> String {
    let ours = crate::arithmetic::sql_error(error).or_else(|| name_error(error));
    match ours {
        Some(ours) => format!("{} {}", ours.sqlstate, ours.message),
        None => error.to_string(),
    }
}

/// The planner's error about a name, as PostgreSQL words it; None for others.
/// (`translate` words those that leave the crate.)
pub fn name_error(error: &DataFusionError) -> Option<SqlError> {
    match error {
        DataFusionError::SchemaError(error, _) => Some(match error.as_ref() {
            SchemaError::FieldNotFound { field, valid_fields } => {
                let repeats = |valid: &datafusion::common::Column| {
                    valid.name != field.name
                        && demangle(&valid.name) == field.name
                        && (field.relation.is_none() || field.relation == valid.relation)
                };
                if valid_fields.iter().any(repeats) {
                    ambiguous(&field.name)
                } else {
                    let name = scrub(&field.flat_name());
                    let name = match &field.relation {
                        Some(_) => name,
                        None => format!("\"{}\"", scrub(&field.name)),
                    };
                    SqlError::new("42703", format!("column {name} does not exist"))
                }
            }
            SchemaError::AmbiguousReference { field } => ambiguous(&field.name),
            SchemaError::DuplicateQualifiedField { qualifier, .. } => SqlError::new(
                "42712",
                format!("table name \"{}\" specified more than once", qualifier.table()),
            ),
            SchemaError::DuplicateUnqualifiedField { name } => SqlError::new(
                "42701",
                format!("column \"{}\" specified more than once", demangle(name)),
            ),
        }),
        DataFusionError::Context(_, inner) | DataFusionError::Diagnostic(_, inner) => {
            name_error(inner)
        }
        DataFusionError::Shared(inner) => name_error(inner),
        DataFusionError::Collection(errors) => errors.iter().find_map(name_error),
        _ => None,
    }
}

fn ambiguous(name: &str) -> SqlError {
    SqlError::new("42702", format!("column reference \"{}\" is ambiguous", demangle(name)))
}
