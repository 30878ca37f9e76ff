//! `igb_plan`: one statement, parsed, resolved and planned, but not run.

use std::borrow::Cow;
use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::sync::{Arc, OnceLock};

use datafusion::arrow::datatypes::{DataType, Field, FieldRef, Fields, Schema, SchemaRef};
use datafusion::arrow::ffi::FFI_ArrowSchema;
use datafusion::common::tree_node::{Transformed, TreeNode, TreeNodeRecursion};
use datafusion::common::DFSchema;
use datafusion::error::{DataFusionError, Result as DfResult};
use datafusion::execution::{SessionState, TaskContext};
use datafusion::logical_expr::{
    Cast, Expr, ExprSchemable, LogicalPlan, LogicalPlanBuilder, TableSource, TableType, TryCast,
};
use datafusion::optimizer::optimize_projections::OptimizeProjections;
use datafusion::optimizer::{OptimizerContext, OptimizerRule};
use datafusion::physical_plan::ExecutionPlan;
use datafusion::sql::planner::SqlToRel;
use datafusion::sql::sqlparser::ast::{
    ColumnDef, DataType as SqlType, Insert, SelectItem, SetExpr, Statement as Ast,
};

use crate::abi::{
    boundary, boundary_void, catch, igb_cancel, igb_error, igb_names, igb_str, igb_table, Cancel,
    IGB_ACCESS_FUNCTION, IGB_ACCESS_PATH_WRITE, IGB_ACCESS_TABLE_WRITE, IGB_KIND_COPY,
    IGB_KIND_INSERT, IGB_KIND_QUERY,
};
use crate::again;
use crate::cluster::{distribute, Local, Logical};
use crate::describe::{Access, AccessList, Description};
use crate::engine::check_may_block;
use crate::error::{Error, Result, Status};
use crate::fail::failpoint;
use crate::file_table::infer;
use crate::names::{dedup_plan, output_names};
use crate::nullable::not_null;
use crate::parse::{parse, Statement};
use crate::remote::abi::igb_lookup;
use crate::remote::{is_remote, Execution, KeyLookup};
use crate::resolve::{parser_options, rename, Lookup, Touched};
use crate::rules::{check_size, check_subqueries, current_cancel, executing, guarded};
use crate::session::{igb_session, SessionShared};
use crate::stream::export_schema;
use crate::translate::{type_names, unsupported_correlation};
use crate::yielding::Over;

/// What igb_plan holds; queries share it.
pub(crate) struct Plan {
    pub session: Arc<SessionShared>,
    pub description: Arc<Description>,
    pub accesses: Arc<AccessList>,
    /// The rows of the statement: a query, or the input of INSERT, COPY and CREATE TABLE AS. None
    /// for what has no rows.
    pub logical: Option<Arc<LogicalPlan>>,
    /// The promised schema of those rows: batches are cast and re-wrapped in it. Of a statement
    /// without rows the declared columns.
    pub promised: SchemaRef,
    /// The types of $1, $2 …; Null where none was inferred.
    pub parameters: Vec<DataType>,
    /// The promise holds for values of these types.
    pub is_settled: bool,
    /// What C may run itself, once its parameters have values.
    pub lookup: Option<KeyLookup>,
    pub again: Again,
}

/// What later executions find made (`again` says of which plans).
#[derive(Default)]
pub(crate) struct Again {
    pub lasts: bool,
    optimized: OnceLock<LogicalPlan>,
    /// The same for other members.
    spread: OnceLock<LogicalPlan>,
    /// The physical plan of what runs at once.
    pub small: Option<Arc<dyn ExecutionPlan>>,
}

impl Again {
    pub fn new(lasts: bool) -> Again {
        Again { lasts, ..Again::default() }
    }
}

impl Drop for Plan {
    fn drop(&mut self) {
        // It may nest deeper than the stack of the thread that drops it; what lasts is no deeper than
        // it is large.
        if let Some(logical) = self.logical.take() {
            match self.again.lasts {
                true => drop(logical),
                false => self.session.engine.bury(Box::new(logical)),
            }
        }
    }
}

/// A statement that is parsed and planned, and not run.
pub struct igb_plan {
    pub(crate) shared: Arc<Plan>,
}

/// A plan ready to run.
pub(crate) struct Physical {
    pub plan: Arc<dyn ExecutionPlan>,
    pub task: Arc<TaskContext>,
    /// To be set when nobody waits for it any more.
    pub over: Over,
    /// Why it runs on this process alone, where that is a question.
    pub local: String,
}

impl Plan {
    /// Physical planning, on the caller's (planning) thread: scans of files may block on reads.
    pub fn physical(&self, cancel: Cancel, execution: Option<Arc<Execution>>) -> Result<Physical> {
        self.place(cancel, execution, false)
    }

    /// As `physical`, and where it runs. `measured`: for EXPLAIN ANALYZE.
    pub fn place(
        &self,
        cancel: Cancel,
        execution: Option<Arc<Execution>>,
        measured: bool,
    ) -> Result<Physical> {
        check_may_block("planning")?;
        let logical = self.rows()?;
        if let Some(at) = self.parameters.iter().position(|_| true) {
            return Err(Error::new(
                Status::InvalidArgument,
                "42P02",
                format!("there is no value for parameter ${}", at + 1),
            ));
        }
        let engine = &self.session.engine;
        failpoint!(engine.files, "physical");
        let state = self.session.execution_state();
        let over = Over::default();
        let placed = guarded(cancel, engine.plan_nodes, || {
            executing(execution.clone(), Arc::clone(&over), || {
                let optimized = self.optimized(logical, &state)?;
                let planner = Arc::clone(state.query_planner());
                let planned = planner.create_physical_plan(&optimized, &*state);
                let plan = engine.pools.cpu.block_on(planned)?;
                let task = Arc::clone(&self.session.task);
                let kept = self.again.lasts.then_some(&self.again.spread);
                let logical = Logical { given: logical, optimized: &optimized, kept };
                distribute(engine, logical, &state, Local { plan, task }, execution, measured)
            })
        })?;
        Ok(Physical { plan: placed.plan, task: placed.task, over, local: placed.local })
    }

    fn optimized(
        &self,
        logical: &LogicalPlan,
        state: &SessionState,
    ) -> DfResult<Cow<'_, LogicalPlan>> {
        if let Some(made) = self.again.optimized.get() {
            return Ok(Cow::Borrowed(made));
        }
        let made = state.optimize(logical).map_err(|error| undone(logical, error))?;
        Ok(match self.again.lasts {
            true => Cow::Borrowed(self.again.optimized.get_or_init(|| made)),
            false => Cow::Owned(made),
        })
    }

    /// The physical plan of what runs at once. Whatever is wrong is told by who runs the statement.
    fn small(&self) -> Option<Arc<dyn ExecutionPlan>> {
        let logical = self.logical.as_ref()?;
        let is_query = self.description.kind == IGB_KIND_QUERY && self.parameters.is_empty();
        if !self.again.lasts || !is_query || !again::may_be_small(logical) {
            return None;
        }
        let physical = catch(|| self.physical(current_cancel(), None)).ok()?;
        again::is_small(&physical.plan).then_some(physical.plan)
    }

    pub fn rows(&self) -> Result<&LogicalPlan> {
        match &self.logical {
            Some(logical) => Ok(logical),
            None => Err(Error::internal("the statement has no rows to run")),
        }
    }
}

/// The names of a plan were found before it was optimized: one that is missing then is of a subquery that
/// the optimizer could not make a join.
fn undone(logical: &LogicalPlan, error: DataFusionError) -> DataFusionError {
    let mut correlated = false;
    let walked = logical.apply_with_subqueries(|node| {
        if let LogicalPlan::Subquery(subquery) = node {
            correlated = correlated || !subquery.outer_ref_columns.is_empty();
        }
        Ok(if correlated { TreeNodeRecursion::Stop } else { TreeNodeRecursion::Continue })
    });
    match error.find_root() {
        DataFusionError::SchemaError(..) if walked.is_ok() && correlated => {
            unsupported_correlation().into()
        }
        _ => error,
    }
}

/// # Safety
/// `names` is valid.
unsafe fn plan_sql(
    session: &Arc<SessionShared>,
    sql: &str,
    names: igb_names,
    cancel: Cancel,
) -> Result<Plan> {
    check_may_block("planning")?;
    if sql.contains('\0') {
        return Err(Error::syntax("the statement contains a NUL character"));
    }
    let statement = parse(sql, session.engine.parser_depth)?;
    let description = Description::of(&statement);
    let state = session.execution_state();
    guarded(cancel, session.engine.plan_nodes, || {
        failpoint!(session.engine.files, "plan");
        let lookup = Lookup::new(session, &state, names);
        let planned = plan_statement(&lookup, &state, statement, &description)?;
        if let Some(logical) = &planned.logical {
            check_size(logical)?;
            check_subqueries(logical)?;
        }
        let is_lasting = lookup.is_lasting();
        let (touched, functions) = lookup.into_touched();
        let accesses = list_accesses(
            planned.logical.as_ref(),
            touched,
            functions,
            planned.written,
            &description,
        );
        let parameters = planned.logical.as_ref().map_or(Ok(Vec::new()), parameters)?;
        let lasts = is_lasting && planned.logical.as_ref().is_some_and(again::lasts);
        let is_query = description.kind == IGB_KIND_QUERY;
        let lookup = planned.logical.as_ref().filter(|_| lasts && is_query);
        let lookup = lookup.and_then(|logical| KeyLookup::of(logical, &parameters));
        let (promised, is_settled) = match &planned.logical {
            // The analyzer has nothing to do for it.
            Some(logical) if lookup.is_some() => {
                (promised(logical, logical.schema(), session.views), true)
            }
            Some(logical) => promise(logical, &parameters, &state, session.views)?,
            None => (planned.declared, true),
        };
        let mut plan = Plan {
            session: Arc::clone(session),
            description: Arc::new(description),
            accesses: Arc::new(AccessList::new(accesses)),
            parameters,
            is_settled,
            logical: planned.logical.map(Arc::new),
            promised,
            lookup,
            again: Again::new(lasts),
        };
        plan.again.small = plan.small();
        Ok(plan)
    })
}

struct Planned {
    logical: Option<LogicalPlan>,
    declared: SchemaRef,
    /// The table that INSERT writes.
    written: Option<Arc<dyn TableSource>>,
}

impl Planned {
    fn rows(logical: LogicalPlan) -> Planned {
        Planned { logical: Some(logical), declared: Arc::new(Schema::empty()), written: None }
    }

    fn columns(declared: Schema) -> Planned {
        Planned { logical: None, declared: Arc::new(declared), written: None }
    }
}

fn plan_statement(
    lookup: &Lookup,
    state: &SessionState,
    statement: Statement,
    description: &Description,
) -> Result<Planned> {
    match statement {
        Statement::Query(query) => Ok(Planned::rows(lookup.plan_query(0, query)?)),
        Statement::Copy(copy) => match copy.query {
            Some(query) => Ok(Planned::rows(lookup.plan_query(0, query)?)),
            None => Err(Error::internal("COPY without a query")),
        },
        Statement::CreateTableAs { columns, query, .. } => {
            let plan = rename(lookup.plan_query(0, query)?, description.view_columns())?;
            let plan = dedup_plan(plan)?;
            if columns.iter().all(|column| column.data_type == SqlType::Unspecified) {
                return Ok(Planned::rows(plan));
            }
            let declared = declared(lookup, state, columns)?;
            if declared.fields().len() != plan.schema().fields().len() {
                return Err(Error::syntax(format!(
                    "the table has {} columns, its query has {}",
                    declared.fields().len(),
                    plan.schema().fields().len()
                )));
            }
            let mut outputs = Vec::new();
            for (column, field) in plan.schema().columns().into_iter().zip(declared.fields()) {
                let value = Expr::Column(column).cast_to(field.data_type(), plan.schema())?;
                let value = if field.is_nullable() { value } else { not_null(value, field.name()) };
                outputs.push(value.alias(field.name()));
            }
            Ok(Planned::rows(LogicalPlanBuilder::from(plan).project(outputs)?.build()?))
        }
        Statement::CreateView { columns, query, .. } => {
            // Planned to be checked, and for its accesses; the rows are not asked for.
            let plan = dedup_plan(rename(lookup.plan_query(0, query)?, &columns)?)?;
            if !parameters(&plan)?.is_empty() {
                return Err(Error::new(
                    Status::InvalidArgument,
                    "42P02",
                    "a view cannot have parameters",
                ));
            }
            Ok(Planned::rows(plan))
        }
        Statement::Insert { insert, .. } => {
            let target = lookup.target(description.target.texts())?;
            if target.table_type() == TableType::View {
                let name = description.target.texts().last().map_or("", String::as_str);
                return Err(Error::new(
                    Status::FailedPrecondition,
                    "42809",
                    format!("cannot insert into view \"{name}\""),
                ));
            }
            let given = expressions_of(&insert);
            let wanted = match description.insert_columns().len() {
                0 => target.schema().fields().len(),
                listed => listed,
            };
            let planned = lookup.plan(0, Ast::Insert(*insert));
            match planned.map_err(|error| wrong_width(error, given, wanted))? {
                LogicalPlan::Dml(dml) => {
                    let rows = rows_of_insert(Arc::unwrap_or_clone(dml.input), &target.schema())?;
                    let rows = match is_remote(&target) {
                        true => listed(rows, description.insert_columns())?,
                        false => rows,
                    };
                    Ok(Planned { written: Some(target), ..Planned::rows(rows) })
                }
                _ => Err(Error::internal("INSERT did not plan as INSERT")),
            }
        }
        Statement::CreateTable { columns, .. } => {
            Ok(Planned::columns(declared(lookup, state, columns)?))
        }
        Statement::CreateExternalTable { table, .. } => {
            Ok(Planned::columns(declared(lookup, state, table.columns)?))
        }
        Statement::Drop { .. } => Ok(Planned::columns(Schema::empty())),
    }
}

/// How many expressions each row of an INSERT has; None where the text does not tell.
fn expressions_of(insert: &Insert) -> Option<usize> {
    match insert.source.as_ref()?.body.as_ref() {
        SetExpr::Values(values) => {
            let first = values.rows.first()?.content.len();
            values.rows.iter().all(|row| row.content.len() == first).then_some(first)
        }
        SetExpr::Select(select) => {
            let is_one = |item: &SelectItem| {
                matches!(item, SelectItem::UnnamedExpr(_) | SelectItem::ExprWithAlias { .. })
            };
            select.projection.iter().all(is_one).then_some(select.projection.len())
        }
        _ => None,
    }
}

/// DataFusion compares the rows of VALUES with the target's columns, and finds them uneven.
fn wrong_width(error: Box<Error>, given: Option<usize>, wanted: usize) -> Box<Error> {
    let message = match given {
        Some(given) if given > wanted => "INSERT has more expressions than target columns",
        Some(given) if given < wanted => "INSERT has more target columns than expressions",
        _ => return error,
    };
    match error.sqlstate.as_str() {
        "42601" => Error::syntax(message),
        _ => error,
    }
}

/// The rows of an INSERT: DataFusion casts whatever it gets, and lets NULL through.
fn rows_of_insert(input: LogicalPlan, target: &Schema) -> Result<LogicalPlan> {
    let input = match target.fields().iter().all(|field| field.is_nullable()) {
        true => input,
        false => nullable_values(input)?,
    };
    let LogicalPlan::Projection(projection) = input else { return Ok(input) };
    let mut outputs = Vec::with_capacity(projection.expr.len());
    for (expr, field) in projection.expr.iter().zip(target.fields()) {
        let value = expr.clone().unalias();
        if let Expr::Cast(cast) = &value {
            check_assignment(&cast.expr, &projection.input, field)?;
        }
        let value = if field.is_nullable() { value } else { not_null(value, field.name()) };
        outputs.push(value.alias(field.name()));
    }
    let input = Arc::unwrap_or_clone(projection.input);
    Ok(LogicalPlanBuilder::from(input).project(outputs)?.build()?)
}

/// The columns that an INSERT lists, in the target's order: what it does not list is for the target's
/// database to fill in.
fn listed(rows: LogicalPlan, names: &[String]) -> Result<LogicalPlan> {
    if names.is_empty() {
        return Ok(rows);
    }
    let columns = rows.schema().columns().into_iter();
    let listed = columns.filter(|column| names.contains(&column.name)).map(Expr::Column);
    let listed: Vec<Expr> = listed.collect();
    Ok(LogicalPlanBuilder::from(rows).project(listed)?.build()?)
}

/// The planner gives VALUES the target's fields, and would fail on a NULL without a column's name.
fn nullable_values(input: LogicalPlan) -> Result<LogicalPlan> {
    let plan = input.transform_up(|node| match node {
        LogicalPlan::Values(mut values) => {
            let fields = values.schema.fields().iter();
            let fields: Fields =
                fields.map(|field| field.as_ref().clone().with_nullable(true)).collect();
            values.schema = Arc::new(DFSchema::from_unqualified_fields(fields, HashMap::new())?);
            Ok(Transformed::yes(LogicalPlan::Values(values)))
        }
        node => Ok(Transformed::yes(node.recompute_schema()?)),
    })?;
    Ok(plan.data)
}

/// A text goes into a column of another type only where it is a constant, whose type is open.
fn check_assignment(value: &Expr, input: &LogicalPlan, field: &Field) -> Result<()> {
    let Expr::Column(column) = value else { return Ok(()) };
    let at = input.schema().index_of_column(column)?;
    let given = input.schema().field(at).data_type();
    if !given.is_string() || field.data_type().is_string() || is_constant(input, at) {
        return Ok(());
    }
    Err(Error::new(
        Status::InvalidArgument,
        "42804",
        format!(
            "column \"{}\" is of type {} but expression is of type {}",
            field.name(),
            type_names(&field.data_type().to_string()),
            type_names(&given.to_string())
        ),
    )
    .with_hint("You will need to rewrite or cast the expression."))
}

fn is_constant(plan: &LogicalPlan, at: usize) -> bool {
    match plan {
        LogicalPlan::Values(_) => true,
        LogicalPlan::Projection(projection) => {
            match projection.expr.get(at).map(|e| e.clone().unalias()) {
                Some(Expr::Literal(..) | Expr::Placeholder(_)) => true,
                Some(Expr::Column(column)) => projection
                    .input
                    .schema()
                    .maybe_index_of_column(&column)
                    .is_some_and(|at| is_constant(&projection.input, at)),
                _ => false,
            }
        }
        LogicalPlan::SubqueryAlias(alias) => is_constant(&alias.input, at),
        LogicalPlan::Sort(sort) => is_constant(&sort.input, at),
        LogicalPlan::Limit(limit) => is_constant(&limit.input, at),
        _ => false,
    }
}

/// The Arrow types of declared columns, strings as utf8.
fn declared(lookup: &Lookup, state: &SessionState, columns: Vec<ColumnDef>) -> Result<Schema> {
    let mut seen = BTreeSet::new();
    for column in &columns {
        if !seen.insert(crate::parse::fold(&column.name)) {
            let name = crate::parse::fold(&column.name);
            return Err(Error::new(
                Status::InvalidArgument,
                "42701",
                format!("column \"{name}\" specified more than once"),
            ));
        }
        crate::parse::check_column_options(column)?;
    }
    let resolver = lookup.resolver(0);
    let schema =
        SqlToRel::new_with_options(&resolver, parser_options(state)).build_schema(columns)?;
    Ok(Schema::new(schema.fields().iter().map(without_views).collect::<Fields>()))
}

// ---- accesses -----------------------------------------------------------------------------

fn list_accesses(
    logical: Option<&LogicalPlan>,
    touched: Vec<Touched>,
    functions: BTreeSet<String>,
    written: Option<Arc<dyn TableSource>>,
    description: &Description,
) -> Vec<Access> {
    let mut columns = logical.map(columns_read).unwrap_or_default();
    let mut accesses = Vec::new();
    for touch in touched {
        let key = touch.source.as_ref().map(address);
        let is_written = key.is_some() && key == written.as_ref().map(address);
        let read = key.as_ref().and_then(|key| columns.remove(key));
        let mut access = Access {
            kind: touch.kind,
            catalog: touch.catalog,
            schema: touch.schema,
            name: touch.name,
            columns: read.clone().unwrap_or_default().into_iter().collect(),
        };
        if is_written && description.kind == IGB_KIND_INSERT {
            if read.is_some() {
                accesses.push(Access {
                    kind: access.kind,
                    catalog: access.catalog.clone(),
                    schema: access.schema.clone(),
                    name: access.name.clone(),
                    columns: std::mem::take(&mut access.columns),
                });
            }
            access.kind = IGB_ACCESS_TABLE_WRITE;
        }
        accesses.push(access);
    }
    let plain = |kind, name: String| Access {
        kind,
        catalog: String::new(),
        schema: String::new(),
        name,
        columns: Vec::new(),
    };
    if description.kind == IGB_KIND_COPY {
        accesses.push(plain(IGB_ACCESS_PATH_WRITE, description.location.clone()));
    }
    accesses.extend(functions.into_iter().map(|name| plain(IGB_ACCESS_FUNCTION, name)));
    accesses
}

fn address(source: &Arc<dyn TableSource>) -> usize {
    Arc::as_ptr(source) as *const () as usize
}

/// The columns that each scanned table is read for, by the table's address. Taken from the plan
/// before it is optimized, so that what folds away is still counted.
fn columns_read(plan: &LogicalPlan) -> BTreeMap<usize, BTreeSet<String>> {
    // Where the rule cannot work on a plan whose types are not coerced yet, all columns count.
    let narrowed = OptimizeProjections::new()
        .rewrite(plan.clone(), &OptimizerContext::new())
        .map(|rewritten| rewritten.data);
    let plan = narrowed.as_ref().unwrap_or(plan);
    let mut columns: BTreeMap<usize, BTreeSet<String>> = BTreeMap::new();
    let _ = plan.apply_with_subqueries(|node| {
        if let LogicalPlan::TableScan(scan) = node {
            let read = columns.entry(address(&scan.source)).or_default();
            read.extend(scan.projected_schema.fields().iter().map(|f| f.name().clone()));
        }
        Ok(TreeNodeRecursion::Continue)
    });
    columns
}

// ---- schema and parameters ----------------------------------------------------------------

/// The schema that is promised for the rows of `plan`. Types are settled by the analyzer (a UNION's
/// are its first branch's before), so that a statement whose types do not fit fails here; with
/// parameters, whose types may be missing, it fails when they are bound: false says so.
pub(crate) fn promise(
    plan: &LogicalPlan,
    parameters: &[DataType],
    state: &SessionState,
    views: bool,
) -> Result<(SchemaRef, bool)> {
    let analyzed =
        state.analyzer().execute_and_check(plan.clone(), state.config_options(), |_, _| {});
    let is_settled = analyzed.is_ok();
    let schema = match analyzed {
        Ok(analyzed) => Arc::clone(analyzed.schema()),
        Err(_) if !parameters.is_empty() => Arc::clone(plan.schema()),
        Err(error) => return Err(error.into()),
    };
    Ok((promised(plan, &schema, views), is_settled))
}

/// The fields of `schema` as readers get them.
fn promised(plan: &LogicalPlan, schema: &DFSchema, views: bool) -> SchemaRef {
    let fields = schema.fields().iter().zip(output_names(plan)).map(|(field, name)| {
        let field = if views { Arc::clone(field) } else { without_views(field) };
        Arc::new(field.as_ref().clone().with_name(name))
    });
    Arc::new(Schema::new(fields.collect::<Fields>()))
}

/// The field with utf8 and binary in place of their view types, at any depth.
pub(crate) fn without_views(field: &FieldRef) -> FieldRef {
    let kind = type_without_views(field.data_type());
    if &kind == field.data_type() {
        return Arc::clone(field);
    }
    Arc::new(field.as_ref().clone().with_data_type(kind))
}

pub(crate) fn type_without_views(kind: &DataType) -> DataType {
    match kind {
        DataType::Utf8View => DataType::Utf8,
        DataType::BinaryView => DataType::Binary,
        DataType::List(item) => DataType::List(without_views(item)),
        DataType::LargeList(item) => DataType::LargeList(without_views(item)),
        DataType::FixedSizeList(item, size) => DataType::FixedSizeList(without_views(item), *size),
        // Views of lists are as new to readers as views of strings.
        DataType::ListView(item) => DataType::List(without_views(item)),
        DataType::LargeListView(item) => DataType::LargeList(without_views(item)),
        DataType::Struct(fields) => DataType::Struct(fields.iter().map(without_views).collect()),
        DataType::Map(entries, sorted) => DataType::Map(without_views(entries), *sorted),
        DataType::Dictionary(key, value) => {
            DataType::Dictionary(key.clone(), Box::new(type_without_views(value)))
        }
        other => other.clone(),
    }
}

/// The types of $1, $2 …, Null where the plan does not tell.
pub(crate) fn parameters(plan: &LogicalPlan) -> Result<Vec<DataType>> {
    let mut types: Vec<DataType> = Vec::new();
    let mut bad = None;
    plan.apply_with_subqueries(|node| {
        let schema = node.schema();
        node.apply_expressions(|expr| {
            // Types that DataFusion only infers when values are put in.
            let (expr, any) = match expr.clone().infer_placeholder_types(schema) {
                Ok(inferred) => inferred,
                Err(_) => (expr.clone(), true),
            };
            if !any {
                return Ok(TreeNodeRecursion::Continue);
            }
            expr.apply(|expr| {
                // As in PostgreSQL: a parameter is of the type that it is cast to.
                let (expr, cast) = match expr {
                    Expr::Cast(Cast { expr, field }) | Expr::TryCast(TryCast { expr, field }) => {
                        (expr.as_ref(), Some(field))
                    }
                    expr => (expr, None),
                };
                if let Expr::Placeholder(placeholder) = expr {
                    let number: usize = placeholder.id.trim_start_matches('$').parse().unwrap_or(0);
                    if number == 0 || number > u16::MAX as usize {
                        bad = Some(placeholder.id.clone());
                        return Ok(TreeNodeRecursion::Stop);
                    }
                    if types.len() < number {
                        types.resize(number, DataType::Null);
                    }
                    if let (DataType::Null, Some(field)) =
                        (&types[number - 1], placeholder.field.as_ref().or(cast))
                    {
                        types[number - 1] = field.data_type().clone();
                    }
                }
                Ok(TreeNodeRecursion::Continue)
            })
        })
    })?;
    match bad {
        Some(id) => {
            Err(Error::new(Status::InvalidArgument, "42P02", format!("there is no parameter {id}")))
        }
        None => Ok(types),
    }
}

// ---- C ------------------------------------------------------------------------------------

/// Parse and plan one statement; never executes. Only on planning threads (>= 64 MiB stack, no
/// runtime). `names` is borrowed for this call; for igb_query_start and igb_plan_explain of the
/// plan no further lookups are made.
/// Returns 0 and gives *ret_plan (igb_plan_free); the errors of parsing and planning with their
/// SQLSTATE, line and column; what a names callback answered; what the cancel token says.
///
/// # Safety
/// All pointers are valid; `cancel` and `ret_error` may be NULL.
#[no_mangle]
pub unsafe extern "C" fn igb_plan_sql(
    session: *mut igb_session,
    sql: igb_str,
    names: *const igb_names,
    cancel: *const igb_cancel,
    ret_plan: *mut *mut igb_plan,
    ret_error: *mut igb_error,
) -> i32 {
    unsafe {
        boundary(ret_error, || {
            let cancel = Cancel::from_abi(cancel);
            let plan = plan_sql(&(*session).shared, sql.text()?, *names, cancel)?;
            ret_plan.write(Box::into_raw(Box::new(igb_plan { shared: Arc::new(plan) })));
            Ok(())
        })
    }
}

/// From any thread; drops on a large-stack thread. Queries keep what they need. NULL is allowed.
///
/// # Safety
/// `plan` is NULL or came from this library and is not used again.
#[no_mangle]
pub unsafe extern "C" fn igb_plan_free(plan: *mut igb_plan) {
    if !plan.is_null() {
        boundary_void(|| drop(unsafe { Box::from_raw(plan) }));
    }
}

/// Whether the plan may serve statements of the same text as long as what its names stand for stays:
/// it calls no function whose value is that of a moment, and is not large.
///
/// # Safety
/// `plan` is valid.
#[no_mangle]
pub unsafe extern "C" fn igb_plan_lasts(plan: *const igb_plan) -> bool {
    unsafe { (&*plan).shared.again.lasts }
}

/// Gives what the query looks up by key, borrowed from the plan; false where it is no such query. Its
/// result, of the promised schema, is then that of the lookup.
///
/// # Safety
/// All pointers are valid.
#[no_mangle]
pub unsafe extern "C" fn igb_plan_lookup(
    plan: *const igb_plan,
    ret_lookup: *mut igb_lookup,
) -> bool {
    unsafe {
        let lookup = (&*plan).shared.lookup.as_ref();
        lookup.map(|lookup| ret_lookup.write(lookup.to_abi())).is_some()
    }
}

/// The promised schema (query), the rows to be written (insert, copy, ctas: of the input), or the
/// declared columns (create table, external table). Gives *ret_schema (struct). Zero children where
/// there is none.
///
/// # Safety
/// All pointers are valid; `ret_error` may be NULL.
#[no_mangle]
pub unsafe extern "C" fn igb_plan_schema(
    plan: *const igb_plan,
    ret_schema: *mut FFI_ArrowSchema,
    ret_error: *mut igb_error,
) -> i32 {
    unsafe {
        boundary(ret_error, || {
            ret_schema.write(export_schema(&(&*plan).shared.promised)?);
            Ok(())
        })
    }
}

/// Parameter types as a struct schema with children "$1", "$2" ... (null type = not inferred).
///
/// # Safety
/// All pointers are valid; `ret_error` may be NULL.
#[no_mangle]
pub unsafe extern "C" fn igb_plan_parameters(
    plan: *const igb_plan,
    ret_schema: *mut FFI_ArrowSchema,
    ret_error: *mut igb_error,
) -> i32 {
    unsafe {
        boundary(ret_error, || {
            let parameters = &(&*plan).shared.parameters;
            let fields = parameters.iter().enumerate().map(|(at, kind)| {
                Field::new(format!("${}", at + 1), type_without_views(kind), true)
            });
            ret_schema.write(export_schema(&Schema::new(fields.collect::<Vec<_>>()))?);
            Ok(())
        })
    }
}

/// Schema of a files table without planning a query on it (CREATE EXTERNAL TABLE, CREATE TABLE):
/// its columns, then its partition columns. Takes the table (release is called). Planning threads
/// only.
///
/// # Safety
/// All pointers are valid; `cancel` and `ret_error` may be NULL.
#[no_mangle]
pub unsafe extern "C" fn igb_table_infer(
    session: *mut igb_session,
    table: *mut igb_table,
    cancel: *const igb_cancel,
    ret_schema: *mut FFI_ArrowSchema,
    ret_error: *mut igb_error,
) -> i32 {
    unsafe {
        boundary(ret_error, || {
            check_may_block("reading a table's schema")?;
            let session = &(&*session).shared;
            let cancel = Cancel::from_abi(cancel);
            let schema = guarded(cancel, 0, || infer(session, &*table, cancel))?;
            let fields = schema.fields().iter().map(without_views).collect::<Fields>();
            ret_schema.write(export_schema(&Schema::new(fields))?);
            Ok(())
        })
    }
}
