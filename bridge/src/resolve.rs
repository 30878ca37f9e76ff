//! Names to tables, functions and views: DataFusion's planner asks here, and here asks C.
//!
//! One `Lookup` serves one statement: a name is resolved once, so that it is one table wherever it
//! stands. Nothing is kept across statements.

use std::borrow::Cow;
use std::cell::{Cell, RefCell};
use std::collections::{BTreeSet, HashMap};
use std::sync::Arc;

use datafusion::arrow::array::Array;
use datafusion::arrow::datatypes::{DataType, Field, FieldRef, SchemaRef, TimeUnit};
use datafusion::catalog::cte_worktable::CteWorkTable;
use datafusion::catalog::TableFunctionArgs;
use datafusion::common::{Column, DFSchema, ScalarValue, TableReference};
use datafusion::config::ConfigOptions;
use datafusion::datasource::provider_as_source;
use datafusion::error::Result as DfResult;
use datafusion::execution::SessionState;
use datafusion::logical_expr::planner::{
    ContextProvider, ExprPlanner, RelationPlanner, TypePlanner,
};
use datafusion::logical_expr::simplify::SimplifyContext;
use datafusion::logical_expr::{
    AggregateUDF, Expr, HigherOrderUDF, LogicalPlan, LogicalPlanBuilder, ScalarUDF, TableSource,
    TableType, Volatility, WindowUDF,
};
use datafusion::optimizer::simplify_expressions::ExprSimplifier;
use datafusion::sql::parser::Statement as DfStatement;
use datafusion::sql::planner::{ParserOptions, SqlToRel};
use datafusion::sql::sqlparser::ast::{DataType as SqlType, Query, Statement as Ast, TimezoneInfo};

use crate::abi::{
    igb_argument, igb_error, igb_names, igb_str, igb_table, IGB_ACCESS_PATH_READ, IGB_ACCESS_TABLE,
    IGB_TABLE_REMOTE, IGB_TABLE_STREAM, IGB_TABLE_VIEW,
};
use crate::checks::check;
use crate::dialect::rewrite_operators;
use crate::error::{Error, Result, Status};
use crate::file_table::FileTable;
use crate::grouping::write_out_sets;
use crate::names::{dedup_plan, is_duplicate_name_error, mangle, name_outputs, write_out_stars};
use crate::nullable::nullable_subqueries;
use crate::parse::parse_query;
use crate::relations::Relations;
use crate::remote::RemoteTable;
use crate::rules::{check_cancel, check_size, current_cancel};
use crate::session::SessionShared;
use crate::store::Release;
use crate::stream_table::StreamTable;
use crate::{list_size, with_size};

/// More levels than this are a mistake, or meant to hurt.
const VIEW_DEPTH_MAX: usize = 32;

/// A table, view or path that the statement reads.
pub(crate) struct Touched {
    pub kind: i32,
    pub catalog: String,
    pub schema: String,
    pub name: String,
    /// None for views, which are gone once they are expanded.
    pub source: Option<Arc<dyn TableSource>>,
}

/// Counted before anything walks over it: WITH queries that use each other share their plans, and a
/// walk would unfold them.
fn finish(plan: LogicalPlan) -> Result<LogicalPlan> {
    check_size(&plan)?;
    nullable_subqueries(plan)
}

/// What one statement has looked up.
pub(crate) struct Lookup<'a> {
    session: &'a Arc<SessionShared>,
    state: &'a SessionState,
    names: igb_names,
    planners: Vec<Arc<dyn RelationPlanner>>,
    types: Arc<dyn TypePlanner>,
    tables: RefCell<HashMap<(u64, Vec<String>), Arc<dyn TableSource>>>,
    paths: RefCell<HashMap<String, Arc<dyn TableSource>>>,
    /// The views being expanded, outermost first.
    views: RefCell<Vec<[String; 3]>>,
    touched: RefCell<Vec<Touched>>,
    functions: RefCell<BTreeSet<String>>,
    /// A function was called whose value is that of a moment.
    momentary: Cell<bool>,
}

impl<'a> Lookup<'a> {
    pub fn new(
        session: &'a Arc<SessionShared>,
        state: &'a SessionState,
        names: igb_names,
    ) -> Lookup<'a> {
        let mut planners = state.relation_planners().to_vec();
        planners.push(Arc::new(Relations));
        Lookup {
            session,
            state,
            names,
            planners,
            types: Arc::new(Types {
                time_zone: state.config_options().execution.time_zone.clone(),
            }),
            tables: RefCell::default(),
            paths: RefCell::default(),
            views: RefCell::default(),
            touched: RefCell::default(),
            functions: RefCell::default(),
            momentary: Cell::default(),
        }
    }

    /// Whether no function was called whose value is that of a moment, not even in the arguments of a
    /// table function, which are not in the plan any more.
    pub fn is_lasting(&self) -> bool {
        !self.momentary.get()
    }

    /// The tables and paths touched, and the names of the functions called.
    pub fn into_touched(self) -> (Vec<Touched>, BTreeSet<String>) {
        (self.touched.into_inner(), self.functions.into_inner())
    }

    /// Plan a statement whose names are resolved in `scope`.
    pub fn plan(&self, scope: u64, statement: Ast) -> Result<LogicalPlan> {
        let resolver = self.resolver(scope);
        let planner = SqlToRel::new_with_options(&resolver, parser_options(self.state));
        let written = DfStatement::Statement(Box::new(statement));
        let mut first = written.clone();
        name_outputs(&mut first)?;
        prepare(&mut first, false)?;
        match planner.statement_to_plan(first) {
            Err(error) if is_duplicate_name_error(&error) => {
                let mut second = written;
                write_out_stars(&mut second, &|query| self.columns(scope, query));
                name_outputs(&mut second)?;
                mangle(&mut second)?;
                prepare(&mut second, true)?;
                finish(planner.statement_to_plan(second)?)
            }
            planned => finish(planned?),
        }
    }

    pub fn plan_query(&self, scope: u64, query: Box<Query>) -> Result<LogicalPlan> {
        self.plan(scope, Ast::Query(query))
    }

    /// The columns of a query, each by the parts of its name; None where it cannot be planned.
    fn columns(&self, scope: u64, query: Box<Query>) -> Option<Vec<Vec<String>>> {
        let plan = self.plan_query(scope, query).ok()?;
        let parts = plan.schema().iter().map(|(qualifier, field)| {
            let mut parts = qualifier.map(TableReference::to_vec).unwrap_or_default();
            parts.push(field.name().clone());
            parts
        });
        Some(parts.collect())
    }

    /// What DataFusion's planner asks, for names in `scope`.
    pub fn resolver(&self, scope: u64) -> Resolver<'_> {
        Resolver { lookup: self, scope }
    }

    /// The table behind a name, as an INSERT's target.
    pub fn target(&self, parts: &[String]) -> Result<Arc<dyn TableSource>> {
        self.table(0, parts)
    }

    fn table(&self, scope: u64, parts: &[String]) -> Result<Arc<dyn TableSource>> {
        let key = (scope, parts.to_vec());
        if let Some(known) = self.tables.borrow().get(&key) {
            return Ok(Arc::clone(known));
        }
        check_cancel()?;
        let views: Vec<igb_str> = parts.iter().map(|part| igb_str::borrowed(part)).collect();
        let table = self.ask(|names, table, error| match names.table {
            Some(ask) => unsafe {
                ask(names.ctx, scope, views.as_ptr(), views.len(), table, error)
            },
            None => Status::Internal as i32,
        })?;
        let source = self.source_of(table, IGB_ACCESS_TABLE)?;
        self.tables.borrow_mut().insert(key, Arc::clone(&source));
        Ok(source)
    }

    fn path(&self, function: &str, arguments: &[Argument]) -> Result<Arc<dyn TableSource>> {
        let key = format!("{function}{arguments:?}");
        if let Some(known) = self.paths.borrow().get(&key) {
            return Ok(Arc::clone(known));
        }
        check_cancel()?;
        let items: Vec<Vec<igb_str>> = arguments
            .iter()
            .map(|argument| argument.items.iter().map(|item| igb_str::borrowed(item)).collect())
            .collect();
        let views: Vec<igb_argument> = arguments
            .iter()
            .zip(&items)
            .map(|(argument, items)| igb_argument {
                name: igb_str::borrowed(&argument.name),
                text: igb_str::borrowed(&argument.text),
                is_null: argument.is_null,
                items: items.as_ptr(),
                items_count: items.len(),
            })
            .collect();
        let name = igb_str::borrowed(function);
        let table = self.ask(|names, table, error| match names.table_function {
            Some(ask) => unsafe { ask(names.ctx, name, views.as_ptr(), views.len(), table, error) },
            None => Status::Internal as i32,
        })?;
        let kind = match table.kind {
            IGB_TABLE_REMOTE => IGB_ACCESS_TABLE,
            _ => IGB_ACCESS_PATH_READ,
        };
        let source = self.source_of(table, kind)?;
        self.paths.borrow_mut().insert(key, Arc::clone(&source));
        Ok(source)
    }

    fn ask(
        &self,
        call: impl FnOnce(&igb_names, *mut igb_table, *mut igb_error) -> i32,
    ) -> Result<igb_table> {
        let mut table = igb_table::zeroed();
        let mut error = igb_error::zeroed();
        match call(&self.names, &mut table, &mut error) {
            0 => Ok(table),
            status => Err(Error::from_callback(status, &error)),
        }
    }

    fn source_of(&self, table: igb_table, kind: i32) -> Result<Arc<dyn TableSource>> {
        let mut touched = unsafe {
            // Valid until release, which nobody has called yet.
            Touched {
                kind,
                catalog: table.catalog.text()?.to_string(),
                schema: table.schema.text()?.to_string(),
                name: table.name.text()?.to_string(),
                source: None,
            }
        };
        if table.kind == IGB_TABLE_VIEW {
            let _lease = Release::new(table.release, table.release_ctx);
            let identity = [touched.catalog.clone(), touched.schema.clone(), touched.name.clone()];
            self.touched.borrow_mut().push(touched);
            let plan = self.expand(&table, identity)?;
            return Ok(Arc::new(View::new(plan)));
        }
        let engine = &self.session.engine;
        let provider = match table.kind {
            IGB_TABLE_STREAM => unsafe { StreamTable::new(engine, &table) }?,
            IGB_TABLE_REMOTE => unsafe { RemoteTable::new(engine, &table) }?,
            _ => unsafe { FileTable::new(self.session, &table, current_cancel()) }?,
        };
        let source = provider_as_source(provider);
        touched.source = Some(Arc::clone(&source));
        self.touched.borrow_mut().push(touched);
        Ok(source)
    }

    /// Plan a view's query, with its own names.
    fn expand(&self, view: &igb_table, identity: [String; 3]) -> Result<LogicalPlan> {
        let name = identity[2].clone();
        {
            let views = self.views.borrow();
            if views.contains(&identity) {
                return Err(Error::new(
                    Status::InvalidArgument,
                    "42P17",
                    format!("infinite recursion detected in view \"{name}\""),
                ));
            }
            if views.len() >= VIEW_DEPTH_MAX {
                return Err(Error::new(
                    Status::ResourceExhausted,
                    "54001",
                    format!("views are nested more than {VIEW_DEPTH_MAX} levels deep"),
                ));
            }
        }
        self.views.borrow_mut().push(identity);
        let planned = self.expand_inner(view);
        self.views.borrow_mut().pop();
        planned.map_err(|mut error| {
            // The place is one in the view's text, which the user did not write here.
            if error.line > 0 {
                error.line = 0;
                error.column = 0;
                if error.detail.is_empty() {
                    error.detail = format!("The error is in the definition of view \"{name}\".");
                }
            }
            error
        })
    }

    fn expand_inner(&self, view: &igb_table) -> Result<LogicalPlan> {
        let sql = unsafe { view.sql.text() }?;
        let columns = unsafe { crate::abi::strings(view.view_columns, view.view_columns_count) }?;
        let query = parse_query(sql, self.session.engine.parser_depth)?;
        let plan = self.plan_query(view.scope, query)?;
        let plan = dedup_plan(rename(plan, &columns)?)?;
        check_size(&plan)?;
        Ok(plan)
    }
}

fn prepare(statement: &mut DfStatement, is_second: bool) -> Result<()> {
    rewrite_operators(statement);
    match statement {
        DfStatement::Statement(inner) => {
            write_out_sets(inner.as_mut(), is_second)?;
            check(inner)?;
            list_size::check(inner)?;
            with_size::check(inner)
        }
        _ => Ok(()),
    }
}

/// `plan` with its first columns named `columns`.
pub(crate) fn rename(plan: LogicalPlan, columns: &[String]) -> Result<LogicalPlan> {
    let schema = Arc::clone(plan.schema());
    if columns.len() > schema.fields().len() {
        return Err(Error::new(
            Status::InvalidArgument,
            "42601",
            "more column names are given than the query has columns",
        ));
    }
    if columns.is_empty() {
        return Ok(plan);
    }
    let outputs = schema.iter().enumerate().map(|(at, (qualifier, field))| {
        let column = Expr::Column(Column::from((qualifier, field)));
        match columns.get(at) {
            Some(name) => column.alias(name),
            None => column,
        }
    });
    Ok(LogicalPlanBuilder::from(plan).project(outputs.collect::<Vec<_>>())?.build()?)
}

/// The options of SqlToRel, from the session's configuration.
pub(crate) fn parser_options(state: &SessionState) -> ParserOptions {
    let options = &state.config_options().sql_parser;
    ParserOptions {
        parse_float_as_decimal: options.parse_float_as_decimal,
        enable_ident_normalization: options.enable_ident_normalization,
        enable_options_value_normalization: options.enable_options_value_normalization,
        support_varchar_with_length: options.support_varchar_with_length,
        map_string_types_to_utf8view: options.map_string_types_to_utf8view,
        collect_spans: options.collect_spans,
        default_null_ordering: options.default_null_ordering.as_str().into(),
    }
}

/// A view is its plan: the planner puts it where the name stands.
struct View {
    plan: LogicalPlan,
    schema: SchemaRef,
}

impl View {
    fn new(plan: LogicalPlan) -> View {
        let schema = Arc::new(plan.schema().as_arrow().clone());
        View { plan, schema }
    }
}

impl TableSource for View {
    fn schema(&self) -> SchemaRef {
        Arc::clone(&self.schema)
    }

    fn table_type(&self) -> TableType {
        TableType::View
    }

    fn get_logical_plan(&self) -> Option<Cow<'_, LogicalPlan>> {
        Some(Cow::Borrowed(&self.plan))
    }
}

// ---- what DataFusion's planner asks --------------------------------------------------------

pub(crate) struct Resolver<'a> {
    lookup: &'a Lookup<'a>,
    scope: u64,
}

impl Resolver<'_> {
    fn note(&self, name: &str) {
        self.lookup.functions.borrow_mut().insert(name.to_string());
    }

    fn note_call(&self, name: &str, volatility: Volatility) {
        self.note(name);
        if volatility != Volatility::Immutable {
            self.lookup.momentary.set(true);
        }
    }

    /// Reduce the arguments of a table function to literals.
    fn literals(&self, arguments: Vec<Expr>) -> DfResult<Vec<Expr>> {
        let state = self.lookup.state;
        let context = SimplifyContext::builder()
            .with_config_options(Arc::clone(state.config_options()))
            .with_query_execution_start_time(state.execution_props().query_execution_start_time)
            .build();
        let simplifier = ExprSimplifier::new(context);
        let schema = DFSchema::empty();
        arguments
            .into_iter()
            .map(|argument| simplifier.simplify(simplifier.coerce(argument, &schema)?))
            .collect()
    }
}

/// DataFusion's series of timestamps count nanoseconds; our TIMESTAMP counts microseconds.
fn as_nanoseconds(argument: Expr) -> Expr {
    match argument {
        Expr::Literal(ScalarValue::TimestampMicrosecond(Some(value), zone), metadata)
            if value.checked_mul(1000).is_some() =>
        {
            Expr::Literal(ScalarValue::TimestampNanosecond(Some(value * 1000), zone), metadata)
        }
        other => other,
    }
}

impl ContextProvider for Resolver<'_> {
    fn get_table_source(&self, name: TableReference) -> DfResult<Arc<dyn TableSource>> {
        let parts: Vec<String> = match &name {
            TableReference::Bare { table } => vec![table.to_string()],
            TableReference::Partial { schema, table } => {
                vec![schema.to_string(), table.to_string()]
            }
            TableReference::Full { catalog, schema, table } => {
                vec![catalog.to_string(), schema.to_string(), table.to_string()]
            }
        };
        Ok(self.lookup.table(self.scope, &parts)?)
    }

    fn get_table_function_source(
        &self,
        name: &str,
        arguments: Vec<Expr>,
    ) -> DfResult<Arc<dyn TableSource>> {
        let folded = name.to_lowercase();
        if is_host_function(&folded) {
            let mut given = Vec::new();
            for argument in arguments {
                let (name, value) = match argument {
                    Expr::Alias(alias) => (alias.name, *alias.expr),
                    value => (String::new(), value),
                };
                let value = self.literals(vec![value])?.pop();
                given.push(Argument::new(&folded, name, value)?);
            }
            return Ok(self.lookup.path(&folded, &given)?);
        }
        let Some(function) = self.lookup.state.table_functions().get(&folded) else {
            return Err(Error::new(
                Status::NotFound,
                "42883",
                format!("table function \"{folded}\" does not exist"),
            )
            .into());
        };
        self.note(&folded);
        let arguments =
            self.literals(arguments)?.into_iter().map(as_nanoseconds).collect::<Vec<_>>();
        let arguments = TableFunctionArgs::new(&arguments, self.lookup.state);
        Ok(provider_as_source(function.create_table_provider_with_args(arguments)?))
    }

    fn create_cte_work_table(
        &self,
        name: &str,
        schema: SchemaRef,
    ) -> DfResult<Arc<dyn TableSource>> {
        Ok(provider_as_source(Arc::new(CteWorkTable::new(name, schema))))
    }

    fn get_expr_planners(&self) -> &[Arc<dyn ExprPlanner>] {
        self.lookup.state.expr_planners()
    }

    fn get_relation_planners(&self) -> &[Arc<dyn RelationPlanner>] {
        &self.lookup.planners
    }

    fn get_type_planner(&self) -> Option<Arc<dyn TypePlanner>> {
        Some(Arc::clone(&self.lookup.types))
    }

    fn get_function_meta(&self, name: &str) -> Option<Arc<ScalarUDF>> {
        let found = self.lookup.state.scalar_functions().get(name).cloned();
        found.inspect(|function| self.note_call(name, function.signature().volatility))
    }

    fn get_higher_order_meta(&self, name: &str) -> Option<Arc<HigherOrderUDF>> {
        let found = self.lookup.state.higher_order_functions().get(name).cloned();
        found.inspect(|function| self.note_call(name, function.signature().volatility))
    }

    fn get_aggregate_meta(&self, name: &str) -> Option<Arc<AggregateUDF>> {
        let found = self.lookup.state.aggregate_functions().get(name).cloned();
        found.inspect(|function| self.note_call(name, function.signature().volatility))
    }

    fn get_window_meta(&self, name: &str) -> Option<Arc<WindowUDF>> {
        let found = self.lookup.state.window_functions().get(name).cloned();
        found.inspect(|function| self.note_call(name, function.signature().volatility))
    }

    fn get_variable_type(&self, _: &[String]) -> Option<DataType> {
        None // there are no @variables
    }

    fn options(&self) -> &ConfigOptions {
        self.lookup.state.config_options()
    }

    fn udf_names(&self) -> Vec<String> {
        self.lookup.state.scalar_functions().keys().cloned().collect()
    }

    fn higher_order_function_names(&self) -> Vec<String> {
        self.lookup.state.higher_order_functions().keys().cloned().collect()
    }

    fn udaf_names(&self) -> Vec<String> {
        self.lookup.state.aggregate_functions().keys().cloned().collect()
    }

    fn udwf_names(&self) -> Vec<String> {
        self.lookup.state.window_functions().keys().cloned().collect()
    }
}

/// TIMESTAMP counts microseconds, as in PostgreSQL: nanoseconds end in the year 2262.
#[derive(Debug)]
struct Types {
    time_zone: Option<String>,
}

impl TypePlanner for Types {
    fn plan_type_field(&self, kind: &SqlType) -> DfResult<Option<FieldRef>> {
        let SqlType::Timestamp(None, zone) = kind else { return Ok(None) };
        let zone = match zone {
            TimezoneInfo::Tz | TimezoneInfo::WithTimeZone => self.time_zone.as_deref(),
            TimezoneInfo::None | TimezoneInfo::WithoutTimeZone => None,
        };
        let kind = DataType::Timestamp(TimeUnit::Microsecond, zone.map(Into::into));
        Ok(Some(Arc::new(Field::new("", kind, true))))
    }
}

// ---- arguments of read_*() -----------------------------------------------------------------

/// A literal argument of read_*().
#[derive(Debug)]
struct Argument {
    name: String,
    text: String,
    is_null: bool,
    items: Vec<String>,
}

impl Argument {
    fn new(function: &str, name: String, value: Option<Expr>) -> Result<Argument> {
        let Some(Expr::Literal(value, _)) = value else {
            return Err(Error::new(
                Status::InvalidArgument,
                "22023",
                format!("arguments of {function}() must be constants"),
            ));
        };
        let mut items = Vec::new();
        if let ScalarValue::List(list) = &value {
            if !list.is_empty() && list.is_valid(0) {
                let elements = list.value(0);
                for at in 0..elements.len() {
                    items.push(text_of(&ScalarValue::try_from_array(&elements, at)?));
                }
            }
        }
        let text = if items.is_empty() { text_of(&value) } else { String::new() };
        Ok(Argument { name, text, is_null: value.is_null(), items })
    }
}

fn text_of(value: &ScalarValue) -> String {
    match value.cast_to(&DataType::Utf8) {
        Ok(ScalarValue::Utf8(text)) => text.unwrap_or_default(),
        _ => value.to_string(),
    }
}

/// Table functions that C answers.
pub(crate) fn is_host_function(name: &str) -> bool {
    matches!(
        name,
        "read_parquet" | "read_csv" | "read_json" | "read_arrow" | "read_file" | "remote_query"
    )
}
