//! A source as C would be one: it tells what it can do, plans, and gives the rows of its parts, doing
//! what it said it would.

use std::ffi::{c_char, c_void, CStr, CString};
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::Mutex;
use std::time::{Duration, Instant};

use arrow::array::{
    Array, ArrayRef, AsArray, BooleanArray, Int64Array, RecordBatch, RecordBatchOptions,
    StringArray,
};
use arrow::compute::{filter_record_batch, sort_to_indices, take_record_batch, SortOptions};
use arrow::datatypes::{DataType, Field, Int64Type};
use arrow::ffi::{FFI_ArrowArray, FFI_ArrowSchema};
use arrow::ffi_stream::{ArrowArrayStreamReader, FFI_ArrowArrayStream};

use super::*;
use crate::abi::*;
use crate::error::Status;
use crate::explain::{igb_plan_explain, igb_text_free};
use crate::plan::{igb_plan, igb_plan_schema, igb_plan_sql};
use crate::query::{igb_query_error, igb_query_free, igb_query_start, igb_query_stream};
use crate::smoke::{failure, planning, session, Failure, Planned as SqlPlan};
use crate::stream::{export, BatchSource};

mod lookups;
mod mapping;

type Answer<T> = std::result::Result<T, Failure>;

/// What the source says of a conjunct.
type Says = fn(&igb_expr) -> i32;

/// How a source behaves.
pub(crate) struct Source {
    rows: RecordBatch,
    says: Says,
    /// What it says of every conjunct in a planned scan, if it changes its mind.
    decides: Option<i32>,
    sorts: bool,
    parts: usize,
    /// Parts that it can have open at once, where that is bounded.
    open_max: Option<u32>,
    reach: i32,
    /// Rows of one batch.
    batch: usize,
    fails_to_open: bool,
    fails_after: Option<usize>,
    /// From this batch on it gives nothing until it is told to stop.
    waits_after: Option<usize>,
    gives: Option<Schema>,
    asked: Mutex<Vec<Asked>>,
    opened: AtomicUsize,
    stopped: AtomicUsize,
    streams: AtomicUsize,
    executions: AtomicUsize,
}

/// A request, as it was.
#[derive(Clone, Debug)]
struct Asked {
    columns: Vec<i32>,
    filters: Vec<(String, i32)>,
    tests: Vec<Test>,
    limit: i64,
    sort: Vec<igb_sort>,
    parts_wanted: u32,
    parts: usize,
    execution: usize,
}

/// `column op value`, the one thing that the source can do.
#[derive(Clone, Debug)]
struct Test {
    column: usize,
    op: i32,
    value: i64,
}

fn numbers_and_texts() -> RecordBatch {
    let a = (0..100).map(|i| (i % 10 != 7).then_some(i)).collect::<Int64Array>();
    let b = (0..100).map(|i| Some(["x", "X", "y"][i % 3])).collect::<StringArray>();
    let c = (0..100).map(|i| Some(1000 - i)).collect::<Int64Array>();
    let columns: [(&str, ArrayRef, bool); 3] =
        [("a", Arc::new(a), true), ("b", Arc::new(b), true), ("c", Arc::new(c), false)];
    RecordBatch::try_from_iter_with_nullable(columns).unwrap()
}

/// Whole numbers compared with a constant are exact, texts are a superset, the rest is beyond it.
fn honest(conjunct: &igb_expr) -> i32 {
    match test_of(conjunct) {
        Some(_) => IGB_PUSH_EXACT,
        None if conjunct.kind == IGB_EXPR_COMPARE => IGB_PUSH_INEXACT,
        None => IGB_PUSH_NO,
    }
}

fn nothing(_: &igb_expr) -> i32 {
    IGB_PUSH_NO
}

pub(crate) fn source() -> Source {
    Source {
        rows: numbers_and_texts(),
        says: honest,
        decides: None,
        sorts: true,
        parts: 1,
        open_max: None,
        reach: IGB_REACH_HERE,
        batch: 8,
        fails_to_open: false,
        fails_after: None,
        waits_after: None,
        gives: None,
        asked: Mutex::default(),
        opened: AtomicUsize::new(0),
        stopped: AtomicUsize::new(0),
        streams: AtomicUsize::new(0),
        executions: AtomicUsize::new(0),
    }
}

impl Source {
    pub(crate) fn with_parts(self, parts: usize) -> Source {
        Source { parts, ..self }
    }

    pub(crate) fn with_open_max(self, open_max: u32) -> Source {
        Source { open_max: Some(open_max), ..self }
    }

    pub(crate) fn with_reach(self, reach: i32) -> Source {
        Source { reach, ..self }
    }

    pub(crate) fn failing_after(self, batches: usize) -> Source {
        Source { fails_after: Some(batches), ..self }
    }

    pub(crate) fn waiting_after(self, batches: usize) -> Source {
        Source { waits_after: Some(batches), ..self }
    }

    /// Streams and executions that somebody has.
    pub(crate) fn held(&self) -> (usize, usize) {
        (self.streams.load(Ordering::SeqCst), self.executions.load(Ordering::SeqCst))
    }

    pub(crate) fn opened(&self) -> usize {
        self.opened.load(Ordering::SeqCst)
    }

    pub(crate) fn leak(self) -> &'static Source {
        Box::leak(Box::new(self))
    }

    fn last(&self) -> Asked {
        self.asked.lock().unwrap().last().unwrap().clone()
    }

    fn asked(&self) -> usize {
        self.asked.lock().unwrap().len()
    }

    /// The rows of one part of a planned scan.
    fn part(&self, asked: &Asked, part: usize) -> RecordBatch {
        let rows = self.rows.num_rows();
        let a = |test: &Test| self.rows.column(test.column).as_primitive::<Int64Type>().clone();
        let keep = (0..rows).map(|row| {
            let passes = asked.tests.iter().all(|test| {
                let column = a(test);
                column.is_valid(row) && holds(column.value(row), test.op, test.value)
            });
            Some(row % asked.parts == part && passes)
        });
        let mut batch = filter_record_batch(&self.rows, &keep.collect::<BooleanArray>()).unwrap();
        if let ([key], true) = (asked.sort.as_slice(), self.sorts) {
            let options = SortOptions { descending: key.descending, nulls_first: key.nulls_first };
            let column = batch.column(key.column as usize);
            let order = sort_to_indices(column, Some(options), None).unwrap();
            batch = take_record_batch(&batch, &order).unwrap();
        }
        if limited(self, asked) {
            batch = batch.slice(0, batch.num_rows().min(asked.limit as usize));
        }
        let columns: Vec<usize> = asked.columns.iter().map(|column| *column as usize).collect();
        let schema = Arc::new(batch.schema().project(&columns).unwrap());
        let arrays = columns.iter().map(|column| Arc::clone(batch.column(*column))).collect();
        let options = RecordBatchOptions::new().with_row_count(Some(batch.num_rows()));
        RecordBatch::try_new_with_options(schema, arrays, &options).unwrap()
    }
}

fn limited(source: &Source, asked: &Asked) -> bool {
    let exact = asked.filters.iter().all(|(_, push)| *push == IGB_PUSH_EXACT);
    asked.limit >= 0 && exact && source.decides.is_none()
}

fn holds(left: i64, op: i32, right: i64) -> bool {
    match op {
        IGB_OP_EQ => left == right,
        IGB_OP_NE => left != right,
        IGB_OP_LT => left < right,
        IGB_OP_LE => left <= right,
        IGB_OP_GT => left > right,
        _ => left >= right,
    }
}

fn children(expr: &igb_expr) -> Vec<&igb_expr> {
    unsafe { slice(expr.children, expr.children_count) }.iter().map(|c| unsafe { &**c }).collect()
}

fn name_of(expr: &igb_expr) -> &str {
    let bytes = unsafe { slice(expr.name.cast::<u8>(), expr.name_length) };
    std::str::from_utf8(bytes).unwrap()
}

fn type_of(expr: &igb_expr) -> DataType {
    DataType::try_from(unsafe { &*expr.r#type }).unwrap()
}

/// A literal's value as an array of one row.
fn value_of(expr: &igb_expr) -> ArrayRef {
    // The export shares its buffers; a copy of the struct is read and never released.
    let array = unsafe { std::ptr::read(expr.value) };
    let data = std::mem::ManuallyDrop::new(
        unsafe { arrow::ffi::from_ffi_and_data_type(borrowed(array), type_of(expr)) }.unwrap(),
    );
    arrow::array::make_array((*data).clone())
}

/// As it is, with a release that does nothing.
fn borrowed(array: FFI_ArrowArray) -> FFI_ArrowArray {
    #[repr(C)]
    struct Raw {
        numbers: [i64; 5],
        pointers: [*mut c_void; 3],
        release: Option<unsafe extern "C" fn(*mut Raw)>,
        private: *mut c_void,
    }
    unsafe extern "C" fn nothing(array: *mut Raw) {
        unsafe { (*array).release = None };
    }
    unsafe {
        let mut raw: Raw = std::mem::transmute(array);
        raw.release = Some(nothing);
        std::mem::transmute(raw)
    }
}

fn test_of(conjunct: &igb_expr) -> Option<Test> {
    let [left, right] = children(conjunct)[..] else { return None };
    let kinds = (conjunct.kind, left.kind, right.kind);
    if kinds != (IGB_EXPR_COMPARE, IGB_EXPR_COLUMN, IGB_EXPR_LITERAL)
        || type_of(right) != DataType::Int64
        || conjunct.op > IGB_OP_GE
    {
        return None;
    }
    let value = value_of(right).as_primitive::<Int64Type>().value(0);
    Some(Test { column: left.column as usize, op: conjunct.op, value })
}

// ---- the functions of C -----------------------------------------------------------------------

unsafe fn this(ctx: *mut c_void) -> &'static Source {
    unsafe { &*ctx.cast::<Source>() }
}

unsafe extern "C" fn classify(
    ctx: *mut c_void,
    conjuncts: *const *const igb_expr,
    count: usize,
    ret_push: *mut i32,
) {
    unsafe {
        for (at, conjunct) in slice(conjuncts, count).iter().enumerate() {
            ret_push.add(at).write((this(ctx).says)(&**conjunct));
        }
    }
}

unsafe extern "C" fn sorts(ctx: *mut c_void, _: *const igb_sort, _: usize) -> bool {
    unsafe { this(ctx) }.sorts
}

/// What igb_scan points to.
struct Lent {
    parts: Vec<igb_part>,
    decisions: Vec<igb_decision>,
    schema: FFI_ArrowSchema,
    _texts: Vec<CString>,
    _bytes: Vec<String>,
}

unsafe extern "C" fn release_scan(ctx: *mut c_void) {
    drop(unsafe { Box::from_raw(ctx.cast::<Lent>()) });
}

unsafe extern "C" fn snapshot(_: *mut c_void) -> *const c_char {
    c"moment 7".as_ptr()
}

unsafe extern "C" fn plan_scan(
    ctx: *mut c_void,
    request: *const igb_scan_request,
    execution: *mut c_void,
    ret_scan: *mut igb_scan,
    _: *mut igb_error,
) -> i32 {
    let (source, request) = unsafe { (this(ctx), &*request) };
    let mut asked = Asked {
        columns: unsafe { slice(request.columns, request.columns_count) }.to_vec(),
        filters: vec![],
        tests: vec![],
        limit: request.limit,
        sort: unsafe { slice(request.sort, request.sort_count) }.to_vec(),
        parts_wanted: request.parts_wanted,
        parts: match source.open_max {
            Some(_) => source.parts.min(request.parts_wanted as usize),
            None => source.parts,
        },
        execution: execution as usize,
    };
    for filter in unsafe { slice(request.filters, request.filters_count) } {
        let filter = unsafe { &**filter };
        let push = source.decides.unwrap_or((source.says)(filter));
        if push == IGB_PUSH_EXACT {
            asked.tests.extend(test_of(filter));
        }
        asked.filters.push((mapping::shown(filter), push));
    }
    let number = source.asked();
    let texts: Vec<CString> =
        (0..asked.parts).map(|p| CString::new(format!("ASK {number} FOR {p}")).unwrap()).collect();
    let bytes: Vec<String> = (0..asked.parts).map(|p| format!("{number}:{p}")).collect();
    let part = |(text, bytes): (&CString, &String)| igb_part {
        bytes: igb_str { data: bytes.as_ptr(), len: bytes.len() },
        text: text.as_ptr(),
        rows: -1,
    };
    let reason = |push: i32| match push {
        IGB_PUSH_EXACT => c"".as_ptr(),
        _ => c"the source is simple".as_ptr(),
    };
    let decision = |(_, push): &(String, i32)| igb_decision { push: *push, reason: reason(*push) };
    let columns: Vec<usize> = asked.columns.iter().map(|column| *column as usize).collect();
    let schema = source.rows.schema().project(&columns).unwrap();
    let lent = Box::new(Lent {
        parts: texts.iter().zip(&bytes).map(part).collect(),
        decisions: asked.filters.iter().map(decision).collect(),
        schema: FFI_ArrowSchema::try_from(&schema).unwrap(),
        _texts: texts,
        _bytes: bytes,
    });
    let scan = igb_scan {
        parts: lent.parts.as_ptr(),
        parts_count: lent.parts.len(),
        decisions: lent.decisions.as_ptr(),
        snapshot: Some(snapshot),
        limit_done: limited(source, &asked),
        sort_done: !asked.sort.is_empty() && source.sorts,
        source: ctx,
        open_max: source.open_max.unwrap_or(u32::MAX),
        reach: source.reach,
        schema: &lent.schema,
        ctx: std::ptr::null_mut(),
        release: Some(release_scan),
    };
    unsafe { ret_scan.write(igb_scan { ctx: Box::into_raw(lent).cast(), ..scan }) };
    source.asked.lock().unwrap().push(asked);
    0
}

unsafe extern "C" fn stop_new() -> *mut c_void {
    Box::into_raw(Box::new(Arc::new(AtomicBool::new(false)))).cast()
}

unsafe extern "C" fn stop_set(stop: *mut c_void) {
    unsafe { &*stop.cast::<Arc<AtomicBool>>() }.store(true, Ordering::SeqCst);
}

unsafe extern "C" fn stop_free(stop: *mut c_void) {
    drop(unsafe { Box::from_raw(stop.cast::<Arc<AtomicBool>>()) });
}

struct Rows {
    source: &'static Source,
    stop: Arc<AtomicBool>,
    rows: RecordBatch,
    given: usize,
}

impl BatchSource for Rows {
    fn schema(&self) -> SchemaRef {
        match &self.source.gives {
            Some(schema) => Arc::new(schema.clone()),
            None => self.rows.schema(),
        }
    }

    fn next(&mut self) -> crate::error::Result<Option<RecordBatch>> {
        let source = self.source;
        if source.fails_after == Some(self.given) {
            return Err(Error::new(Status::IoError, "58030", "only half of it"));
        }
        if source.waits_after == Some(self.given) {
            let deadline = Instant::now() + Duration::from_secs(20);
            while !self.stop.load(Ordering::SeqCst) && Instant::now() < deadline {
                std::thread::yield_now();
            }
            source.stopped.fetch_add(self.stop.load(Ordering::SeqCst).into(), Ordering::SeqCst);
            return Err(Error::stopped(Status::Cancelled as i32));
        }
        let start = self.given * source.batch;
        if start >= self.rows.num_rows() {
            return Ok(None);
        }
        self.given += 1;
        Ok(Some(self.rows.slice(start, source.batch.min(self.rows.num_rows() - start))))
    }
}

impl Drop for Rows {
    fn drop(&mut self) {
        self.source.streams.fetch_sub(1, Ordering::SeqCst);
    }
}

unsafe extern "C" fn open_part(
    execution: *mut c_void,
    part: igb_str,
    stop: *mut c_void,
    ret_stream: *mut FFI_ArrowArrayStream,
    ret_error: *mut igb_error,
) -> i32 {
    let source = unsafe { this(execution) };
    if source.fails_to_open {
        let error = Error::new(Status::Unavailable, "08006", "the source is away");
        unsafe { ret_error.write(error.to_abi()) };
        return error.status as i32;
    }
    let (number, part) = unsafe { part.text() }.unwrap().split_once(':').unwrap();
    let asked = source.asked.lock().unwrap()[number.parse::<usize>().unwrap()].clone();
    source.opened.fetch_add(1, Ordering::SeqCst);
    source.streams.fetch_add(1, Ordering::SeqCst);
    let rows = Rows {
        source,
        stop: Arc::clone(unsafe { &*stop.cast::<Arc<AtomicBool>>() }),
        rows: source.part(&asked, part.parse().unwrap()),
        given: 0,
    };
    unsafe { ret_stream.write(export(Box::new(rows))) };
    0
}

unsafe extern "C" fn stream_error(_: *mut FFI_ArrowArrayStream, ret_error: *mut igb_error) -> i32 {
    let error = Error::new(Status::Unavailable, "08006", "the connection broke")
        .with_hint("Look at the source.");
    unsafe { ret_error.write(error.to_abi()) };
    error.status as i32
}

unsafe extern "C" fn share(ctx: *mut c_void) {
    unsafe { this(ctx) }.executions.fetch_add(1, Ordering::SeqCst);
}

unsafe extern "C" fn give_back(ctx: *mut c_void) {
    unsafe { this(ctx) }.executions.fetch_sub(1, Ordering::SeqCst);
}

pub(crate) static FUNCTIONS: igb_remote = igb_remote {
    classify: Some(classify),
    sorts: Some(sorts),
    plan: Some(plan_scan),
    stop_new: Some(stop_new),
    stop_set: Some(stop_set),
    stop_free: Some(stop_free),
    open: Some(open_part),
    stream_error: Some(stream_error),
};

fn lasting(text: &str) -> igb_str {
    igb_str::borrowed(Box::leak(text.to_string().into_boxed_str()))
}

/// t and u are the source's table; a name with a space in it is the text of a view.
pub(crate) unsafe extern "C" fn lookup(
    ctx: *mut c_void,
    _: u64,
    parts: *const igb_str,
    count: usize,
    ret_table: *mut igb_table,
    _: *mut igb_error,
) -> i32 {
    let source = unsafe { this(ctx) };
    let name = unsafe { strings(parts, count) }.unwrap().pop().unwrap();
    let mut table = igb_table::zeroed();
    table.catalog = lasting("pg");
    table.schema = lasting("s");
    table.name = lasting(&name);
    if name.contains(' ') {
        table.kind = IGB_TABLE_VIEW;
        table.sql = lasting(&name);
    } else {
        table.kind = IGB_TABLE_REMOTE;
        let mut fields: Vec<Field> =
            source.rows.schema().fields().iter().map(|field| field.as_ref().clone()).collect();
        fields[0].metadata_mut().insert("igloo.source_type".into(), "bigint".into());
        if name == "twice" {
            fields[2] = fields[2].clone().with_name("a");
        }
        let schema = FFI_ArrowSchema::try_from(&Schema::new(fields)).unwrap();
        table.columns = Box::leak(Box::new(schema));
        table.remote = &FUNCTIONS;
        table.remote_ctx = ctx;
        table.remote_rows = 100;
        table.remote_bytes = 4000;
    }
    unsafe { ret_table.write(table) };
    0
}

unsafe extern "C" fn lookup_function(
    ctx: *mut c_void,
    _: igb_str,
    arguments: *const igb_argument,
    count: usize,
    ret_table: *mut igb_table,
    ret_error: *mut igb_error,
) -> i32 {
    let arguments = unsafe { slice(arguments, count) };
    assert_eq!(unsafe { arguments[1].text.text() }.unwrap(), "SELECT 'it''s'");
    unsafe { lookup(ctx, 0, &arguments[0].text, 1, ret_table, ret_error) }
}

// ---- asking -----------------------------------------------------------------------------------

pub(crate) fn ctx_of(source: &'static Source) -> *mut c_void {
    source as *const Source as *mut c_void
}

pub(crate) fn execution_of(source: &'static Source) -> igb_execution {
    igb_execution { ctx: ctx_of(source), share: Some(share), release: Some(give_back) }
}

fn planned(source: &'static Source, sql: &str) -> Answer<SqlPlan> {
    let names = igb_names {
        ctx: ctx_of(source),
        table: Some(lookup),
        table_function: Some(lookup_function),
    };
    let mut error = igb_error::zeroed();
    let mut plan: *mut igb_plan = std::ptr::null_mut();
    let sql = igb_str::borrowed(sql);
    let session = session();
    let none = std::ptr::null();
    let status =
        planning(|| unsafe { igb_plan_sql(session, sql, &names, none, &mut plan, &mut error) });
    if status == 0 {
        Ok(SqlPlan(plan))
    } else {
        Err(failure(&error))
    }
}

pub(crate) fn run(source: &'static Source, plan: &SqlPlan) -> Answer<Vec<RecordBatch>> {
    let execution = execution_of(source);
    let mut error = igb_error::zeroed();
    let mut query = std::ptr::null_mut();
    let none = std::ptr::null();
    unsafe {
        if planning(|| igb_query_start(plan.0, none, &execution, &mut query, &mut error)) != 0 {
            return Err(failure(&error));
        }
        let mut stream = FFI_ArrowArrayStream::empty();
        assert_eq!(igb_query_stream(query, &mut stream, &mut error), 0);
        let reader = ArrowArrayStreamReader::try_new(stream).unwrap();
        let batches: std::result::Result<Vec<_>, _> = reader.collect();
        let ended = igb_query_error(query, &mut error);
        igb_query_free(query);
        assert_eq!(batches.is_err(), ended != 0);
        batches.map_err(|_| failure(&error))
    }
}

/// Rows as texts, in their order.
fn rows(source: &'static Source, sql: &str) -> Vec<String> {
    let plan = planned(source, sql).unwrap();
    shown_rows(&run(source, &plan).unwrap())
}

fn shown_rows(batches: &[RecordBatch]) -> Vec<String> {
    let options = arrow::util::display::FormatOptions::default().with_null("NULL");
    let mut rows = vec![];
    for batch in batches {
        let columns: Vec<_> = batch
            .columns()
            .iter()
            .map(|c| arrow::util::display::ArrayFormatter::try_new(c, &options).unwrap())
            .collect();
        for row in 0..batch.num_rows() {
            let values: Vec<String> = columns.iter().map(|c| c.value(row).to_string()).collect();
            rows.push(values.join("|"));
        }
    }
    rows
}

fn sorted(mut rows: Vec<String>) -> Vec<String> {
    rows.sort();
    rows
}

fn fails(source: &'static Source, sql: &str) -> Failure {
    planned(source, sql).and_then(|plan| run(source, &plan)).unwrap_err()
}

fn explained(source: &'static Source, sql: &str, flags: u32) -> String {
    explained_plan(source, &planned(source, sql).unwrap(), flags)
}

pub(crate) fn explained_plan(source: &'static Source, plan: &SqlPlan, flags: u32) -> String {
    let execution = execution_of(source);
    let mut error = igb_error::zeroed();
    let mut text = std::ptr::null_mut();
    let none = std::ptr::null();
    unsafe {
        let status =
            planning(|| igb_plan_explain(plan.0, flags, none, &execution, &mut text, &mut error));
        assert_eq!(status, 0, "{:?}", failure(&error));
        let told = CStr::from_ptr(text).to_str().unwrap().to_string();
        igb_text_free(text);
        told
    }
}

pub(crate) fn until(holds: impl Fn() -> bool) {
    let deadline = Instant::now() + Duration::from_secs(10);
    while !holds() && Instant::now() < deadline {
        std::thread::yield_now();
    }
    assert!(holds());
}

/// What the same statement answers where nothing is pushed.
fn local(sql: &str) -> Vec<String> {
    rows(Source { says: nothing, sorts: false, ..source() }.leak(), sql)
}

// ---- tests ------------------------------------------------------------------------------------

#[test]
fn only_the_columns_that_are_read_are_asked_for() {
    let source = source().leak();
    let found = rows(source, "SELECT c, a FROM t");
    assert_eq!(found.len(), 100);
    assert_eq!(found[1], "999|1");
    assert_eq!(source.last().columns, [0, 2]);
}

#[test]
fn counting_rows_asks_for_no_column() {
    let source = Source { parts: 3, ..source() }.leak();
    assert_eq!(rows(source, "SELECT count(*) FROM t"), ["100"]);
    assert_eq!(source.last().columns, [0; 0]);
    assert_eq!(rows(source, "SELECT count(*) FROM t WHERE b = 'x'"), ["34"]);
    assert_eq!(source.last().columns, [1], "what is tested again is asked for");
}

#[test]
fn an_exact_conjunct_is_not_tested_again_and_others_are() {
    let source = source().leak();
    let sql = "SELECT a FROM t WHERE a > 40 AND b = 'x' AND length(b) IN (1, 2)";
    assert_eq!(sorted(rows(source, sql)), sorted(local(sql)));
    let asked = source.last();
    let pushed: Vec<i32> = asked.filters.iter().map(|(_, push)| *push).collect();
    assert_eq!(pushed, [IGB_PUSH_EXACT, IGB_PUSH_INEXACT, IGB_PUSH_NO]);
    let plan = explained(source, sql, IGB_EXPLAIN_INDENT);
    let filter = plan.lines().find(|line| line.contains("FilterExec")).unwrap();
    assert!(!filter.contains("40") && filter.contains("b@"), "{plan}");
    assert_eq!(plan.matches("FilterExec").count(), 1, "{plan}");
}

#[test]
fn a_limit_goes_to_the_source_only_under_exact_conjuncts_and_is_kept() {
    for parts in [1, 3] {
        let source = Source { parts, ..source() }.leak();
        for (filter, limit) in [("", 5), ("WHERE a > 40", 5), ("WHERE b = 'x'", -1)] {
            let found = rows(source, &format!("SELECT a FROM t {filter} LIMIT 5"));
            assert_eq!(found.len(), 5, "{filter}");
            assert_eq!(source.last().limit, limit, "{filter}");
        }
        let found = rows(source, "SELECT a FROM t WHERE a > 40 LIMIT 5 OFFSET 2");
        assert_eq!((found.len(), source.last().limit), (5, 7));
    }
}

#[test]
fn first_rows_in_an_order_are_asked_of_each_part() {
    for parts in [1, 4] {
        let source = Source { parts, ..source() }.leak();
        for sql in [
            "SELECT a, b FROM t ORDER BY a DESC NULLS LAST LIMIT 5",
            "SELECT a, b FROM t ORDER BY a LIMIT 5 OFFSET 3",
            "SELECT upper(b) AS u, a FROM t WHERE a < 30 ORDER BY a NULLS FIRST LIMIT 4",
            "SELECT x FROM (SELECT a AS x, c FROM t) s WHERE x > 3 ORDER BY x LIMIT 3",
        ] {
            assert_eq!(rows(source, sql), local(sql), "{sql}");
            let asked = source.last();
            assert_eq!(asked.sort.len(), 1, "{sql}");
            assert_eq!(asked.sort[0].column, 0, "{sql}");
            assert!(asked.limit >= 3, "{sql}");
        }
    }
    let source = source().leak();
    rows(source, "SELECT a FROM t ORDER BY a DESC NULLS FIRST LIMIT 5 OFFSET 3");
    let key = igb_sort { column: 0, descending: true, nulls_first: true };
    assert_eq!((source.last().limit, source.last().sort), (8, vec![key]));
}

#[test]
fn an_order_stays_here_where_the_source_has_another_or_rows_are_tested_here() {
    let unsorted = Source { sorts: false, ..source() }.leak();
    let by_a = "SELECT a FROM t ORDER BY a DESC LIMIT 5";
    assert_eq!(rows(unsorted, by_a), local(by_a));
    assert_eq!((unsorted.last().limit, unsorted.last().sort), (-1, vec![]));
    for sql in [
        "SELECT a FROM t WHERE b = 'x' ORDER BY a LIMIT 5",
        "SELECT a FROM t ORDER BY -a LIMIT 5",
        "SELECT a FROM t WHERE random() < 2 ORDER BY a LIMIT 5",
        "SELECT a, count(*) AS n FROM t GROUP BY a ORDER BY a LIMIT 5",
        "SELECT t.a FROM t JOIN u ON t.a = u.c ORDER BY t.a LIMIT 5",
    ] {
        let source = source().leak();
        assert_eq!(rows(source, sql), local(sql), "{sql}");
        let asked = source.asked.lock().unwrap();
        assert!(asked.iter().all(|asked| asked.sort.is_empty() && asked.limit < 0), "{sql}");
    }
}

#[test]
fn each_part_is_read_once_and_as_its_own_partition() {
    let source = Source { parts: 5, ..source() }.leak();
    let found = sorted(rows(source, "SELECT c FROM t"));
    assert_eq!(found, sorted(local("SELECT c FROM t")));
    assert_eq!(source.opened.load(Ordering::SeqCst), 5);
    assert_eq!(source.last().parts_wanted, 2, "as many as there are threads");
    let sql = "SELECT count(*), count(a), sum(c) FROM t";
    assert_eq!(rows(source, sql), local(sql));
}

#[test]
fn a_source_without_parts_has_no_rows() {
    let source = Source { parts: 0, ..source() }.leak();
    assert_eq!(rows(source, "SELECT count(*) FROM t"), ["0"]);
    assert_eq!(rows(source, "SELECT a FROM t"), [""; 0]);
}

#[test]
fn rows_are_right_where_the_source_decides_otherwise_than_it_said() {
    for sql in [
        "SELECT b FROM t WHERE a > 90",
        "SELECT count(*) FROM t WHERE a = 5",
        "SELECT b FROM t WHERE a > 90 ORDER BY b LIMIT 3",
        "SELECT a FROM t WHERE a > 90 AND b = 'x'",
        "SELECT count(*) FROM (SELECT c FROM t WHERE a < 5 LIMIT 2) s",
    ] {
        for decides in [IGB_PUSH_NO, IGB_PUSH_INEXACT] {
            let source = Source { decides: Some(decides), parts: 2, ..source() }.leak();
            assert_eq!(sorted(rows(source, sql)), sorted(local(sql)), "{sql}");
        }
    }
}

#[test]
fn a_view_does_not_hide_what_can_be_pushed() {
    let source = source().leak();
    let sql = "SELECT x FROM \"SELECT a AS x, b FROM t WHERE a > 10\" WHERE x < 13 LIMIT 9";
    assert_eq!(rows(source, sql), ["11", "12"]);
    let asked = source.last();
    assert_eq!((asked.tests.len(), asked.limit, asked.columns), (2, 9, vec![0]));
}

#[test]
fn what_changes_from_time_to_time_is_never_offered() {
    let source = source().leak();
    let sql = "SELECT a FROM t WHERE a < 20 AND a + random() < 10";
    rows(source, sql);
    let asked = source.last();
    assert_eq!(asked.filters.len(), 1, "{:?}", asked.filters);
    let plan = explained(source, sql, IGB_EXPLAIN_TREE);
    assert!(plan.contains("not pushed") && plan.contains("not the same each time"), "{plan}");
    let sql = "SELECT a FROM t WHERE a > (SELECT max(c) - 905 FROM t WHERE a < 3)";
    assert_eq!(rows(source, sql), local(sql));
    for asked in source.asked.lock().unwrap().iter() {
        assert!(!format!("{asked:?}").contains("ubquery"), "{asked:?}");
    }
}

#[test]
fn every_execution_is_planned_anew_and_given_back() {
    let source = source().leak();
    let plan = planned(source, "SELECT a FROM t WHERE a = 3").unwrap();
    assert_eq!(source.asked(), 0, "planning the statement asks nothing");
    for _ in 0..3 {
        assert_eq!(run(source, &plan).unwrap()[0].num_rows(), 1);
    }
    assert_eq!(source.asked(), 3);
    assert_eq!(source.last().execution, ctx_of(source) as usize);
    until(|| source.executions.load(Ordering::SeqCst) == 0);
    until(|| source.streams.load(Ordering::SeqCst) == 0);
}

#[test]
fn errors_of_the_source_keep_their_words() {
    let away = Source { fails_to_open: true, ..source() }.leak();
    let error = fails(away, "SELECT a FROM t");
    assert_eq!((error.state.as_str(), error.message.as_str()), ("08006", "the source is away"));
    for parts in [1, 3] {
        let half = Source { fails_after: Some(2), parts, ..source() }.leak();
        let error = fails(half, "SELECT count(a) FROM t");
        assert_eq!(error.message, "the connection broke");
        assert_eq!((error.state.as_str(), error.hint.as_str()), ("08006", "Look at the source."));
        until(|| half.streams.load(Ordering::SeqCst) == 0);
    }
}

#[test]
fn other_columns_than_planned_are_an_error() {
    let gives = Some(Schema::new(vec![Field::new("a", DataType::Int32, true)]));
    let error = fails(Source { gives, ..source() }.leak(), "SELECT a FROM t");
    assert_eq!(
        (error.state.as_str(), error.message.as_str()),
        ("0A000", "schema of \"pg.s.t\" changed")
    );
}

#[test]
fn a_stream_that_nobody_reads_any_more_is_told_to_stop() {
    let source = Source { waits_after: Some(1), ..source() }.leak();
    let found = rows(source, "SELECT a FROM t LIMIT 3");
    assert_eq!(found.len(), 3);
    until(|| source.stopped.load(Ordering::SeqCst) == 1);
    until(|| source.streams.load(Ordering::SeqCst) == 0);
}

#[test]
fn explain_tells_what_the_source_is_asked_and_what_not() {
    let source = Source { parts: 2, ..source() }.leak();
    let sql = "SELECT a FROM t WHERE a > 40 AND b = 'x'";
    let told = explained(source, sql, IGB_EXPLAIN_TREE);
    for line in [
        "remote scan of pg.s.t: 2 parts, snapshot moment 7\n",
        "  part 1: ASK 0 FOR 0\n",
        "  part 2: ASK 0 FOR 1\n",
        "  pushed: a > 40\n",
        "  pushed, tested again: b = 'x' (the source is simple)\n",
    ] {
        assert!(told.contains(line), "{line} in {told}");
    }
    assert_eq!(source.opened.load(Ordering::SeqCst), 0);
    let top = "SELECT a FROM t ORDER BY a DESC LIMIT 3";
    let told = explained(source, top, IGB_EXPLAIN_TREE);
    assert!(told.contains("  pushed: ORDER BY a DESC NULLS FIRST\n  pushed: LIMIT 3\n"), "{told}");
    let told = explained(source, sql, IGB_EXPLAIN_TREE | IGB_EXPLAIN_ANALYZE);
    assert!(told.contains("  fetched: 53 rows, "), "{told}");
    let many = Source { parts: 9, ..self::source() }.leak();
    let told = explained(many, "SELECT a FROM t", IGB_EXPLAIN_TREE);
    assert!(told.contains("  part 1: ASK 0 FOR 0\n  and 8 more\n"), "{told}");
}

#[test]
fn explain_as_json_has_the_remote_scan() {
    let source = Source { parts: 2, ..source() }.leak();
    let sql = "SELECT a FROM t WHERE a > 40 AND b = 'x'";
    let told = explained(source, sql, IGB_EXPLAIN_JSON);
    for member in [
        "\"remote\":{\"table\":\"pg.s.t\",\"snapshot\":\"moment 7\"",
        "\"parts\":[\"ASK 0 FOR 0\",\"ASK 0 FOR 1\"]",
        "{\"text\":\"a > 40\",\"pushed\":\"exact\",\"reason\":\"\"}",
        "\"pushed\":\"inexact\",\"reason\":\"the source is simple\"",
    ] {
        assert!(told.contains(member), "{member} in {told}");
    }
    let told = explained(source, sql, IGB_EXPLAIN_JSON | IGB_EXPLAIN_ANALYZE);
    assert!(told.contains("\"rows_fetched\":53,\"bytes_fetched\":"), "{told}");
}

#[test]
fn an_insert_gives_the_columns_that_it_lists() {
    let source = source().leak();
    for (sql, columns) in [
        ("INSERT INTO t (c, a) VALUES ('1', 2)", "a Int64, c Int64"),
        ("INSERT INTO t SELECT 1, 'b', 2", "a Int64, b Utf8, c Int64"),
        ("INSERT INTO t (b) SELECT 'x'", "b Utf8"),
    ] {
        let plan = planned(source, sql).unwrap();
        let mut schema = FFI_ArrowSchema::empty();
        let mut error = igb_error::zeroed();
        assert_eq!(unsafe { igb_plan_schema(plan.0, &mut schema, &mut error) }, 0);
        let schema = Schema::try_from(&schema).unwrap();
        let found = schema.fields().iter().map(|f| format!("{} {}", f.name(), f.data_type()));
        assert_eq!(found.collect::<Vec<_>>().join(", "), columns, "{sql}");
        assert!(schema.fields().iter().all(|field| field.metadata().is_empty()));
    }
    let batches = run(source, &planned(source, "INSERT INTO t (c, a) VALUES (1, 2)").unwrap());
    let batch = &batches.unwrap()[0];
    let value = |at: usize| batch.column(at).as_primitive::<Int64Type>().value(0);
    assert_eq!((value(0), value(1)), (2, 1));
}

#[test]
fn columns_of_one_name_are_told_apart() {
    let source = source().leak();
    let found = rows(source, "SELECT * FROM twice LIMIT 2");
    assert_eq!(found, ["0|x|1000", "1|X|999"]);
}

#[test]
fn a_query_in_the_sources_language_is_a_table() {
    let source = source().leak();
    let sql = "SELECT q.a FROM remote_query('t', $$SELECT 'it''s'$$) AS q WHERE q.a = 5";
    assert_eq!(rows(source, sql), ["5"]);
    let sql = "SELECT remote_query.a FROM remote_query('t', $$SELECT 'it''s'$$) LIMIT 1";
    assert_eq!(rows(source, sql), ["0"]);
}

#[test]
fn a_join_reads_each_side_through_its_own_scan() {
    let source = Source { parts: 2, ..source() }.leak();
    let sql = "SELECT t.a, u.c FROM t JOIN u ON t.a = u.a WHERE u.c > 990 AND t.a < 50";
    assert_eq!(sorted(rows(source, sql)), sorted(local(sql)));
    assert_eq!(source.asked(), 2);
    let sql = "WITH w AS (SELECT a FROM t WHERE a < 9) SELECT x.a FROM w x, w y WHERE x.a = y.a";
    assert_eq!(sorted(rows(source, sql)), sorted(local(sql)));
}

#[test]
fn many_executions_open_their_parts_side_by_side() {
    let source = Source { parts: 6, ..source() }.leak();
    let plan = planned(source, "SELECT sum(c) FROM t").unwrap();
    std::thread::scope(|scope| {
        for _ in 0..24 {
            scope.spawn(|| assert_eq!(run(source, &plan).unwrap()[0].num_rows(), 1));
        }
    });
    assert_eq!(source.opened.load(Ordering::SeqCst), 24 * 6);
    until(|| source.streams.load(Ordering::SeqCst) == 0);
}

#[test]
fn a_scan_in_a_recursive_query_is_read_anew_in_each_round() {
    let source = Source { parts: 2, ..source() }.leak();
    let sql = "WITH RECURSIVE r AS (SELECT a FROM t WHERE a = 1 UNION ALL \
               SELECT t.a FROM t JOIN r ON t.a = r.a + 1 WHERE t.a < 6) SELECT a FROM r ORDER BY a";
    assert_eq!(rows(source, sql), ["1", "2", "3", "4", "5"]);
}

/// A plan of the statement, and what it runs in.
fn physical(source: &'static Source, plan: &SqlPlan) -> crate::plan::Physical {
    let plan = unsafe { &(*plan.0).shared };
    planning(|| {
        let execution = execution_of(source);
        let execution = unsafe { Execution::from_abi(&execution, &plan.session.engine) };
        plan.physical(Cancel::NEVER, execution).unwrap()
    })
}

fn rows_in(engine: &EngineShared, plan: Arc<dyn ExecutionPlan>) -> DfResult<usize> {
    let task = engine.base.task_ctx();
    let done = engine.pools.cpu.spawn(datafusion::physical_plan::collect(plan, task));
    let batches = engine.pools.cpu.block_on(done).unwrap()?;
    Ok(batches.iter().map(RecordBatch::num_rows).sum())
}

#[test]
fn a_scan_is_lent_to_tasks_of_its_own_process_and_while_its_statement_lasts() {
    use crate::cluster::codec::{decode, encode, sendable};
    let source = Source { parts: 3, ..source() }.leak();
    let plan = planned(source, "SELECT a FROM t WHERE a > 3").unwrap();
    let engine = Arc::clone(&unsafe { &(*plan.0).shared }.session.engine);
    let physical = physical(source, &plan);
    sendable(&engine, &physical.plan).unwrap();
    let bytes = encode(&engine, &physical.plan).unwrap();
    let read = |engine: &Arc<EngineShared>| {
        decode(engine, &bytes, &engine.base.task_ctx(), &Default::default())
    };
    let task = read(&engine).unwrap();
    assert_eq!(rows_in(&engine, task).unwrap(), 86);
    let stranger = Arc::clone(&unsafe { &*crate::smoke::new_engine() }.shared);
    let told = read(&stranger).unwrap_err();
    assert_eq!(
        (told.status, told.detail.as_str()),
        (Status::Internal, "It reads a database of another member.")
    );
    // A task may be kept for a while after its statement.
    let kept = read(&engine).unwrap();
    let opened = source.opened.load(Ordering::SeqCst);
    drop((physical, plan));
    until(|| source.executions.load(Ordering::SeqCst) == 0);
    assert!(rows_in(&engine, kept).is_err());
    assert!(read(&engine).is_err());
    assert_eq!(source.opened.load(Ordering::SeqCst), opened);
}

#[test]
fn a_stream_that_a_task_keeps_ends_with_its_statement() {
    use crate::cluster::codec::{decode, encode};
    let source = Source { waits_after: Some(1), ..source() }.leak();
    let plan = planned(source, "SELECT a FROM t").unwrap();
    let engine = Arc::clone(&unsafe { &(*plan.0).shared }.session.engine);
    let physical = physical(source, &plan);
    let bytes = encode(&engine, &physical.plan).unwrap();
    let task = engine.base.task_ctx();
    let kept = decode(&engine, &bytes, &task, &Default::default()).unwrap();
    let mut rows = engine.pools.cpu.block_on(async { kept.execute(0, task) }).unwrap();
    let first = engine.pools.cpu.block_on(futures::StreamExt::next(&mut rows)).unwrap();
    assert_eq!(first.unwrap().num_rows(), 8);
    drop((physical, plan));
    until(|| source.streams.load(Ordering::SeqCst) == 0);
    until(|| source.executions.load(Ordering::SeqCst) == 0);
    let over = engine.pools.cpu.block_on(futures::StreamExt::next(&mut rows)).unwrap();
    assert!(over.unwrap_err().to_string().contains("canceling statement"));
}
