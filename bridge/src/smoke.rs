//! The bridge as C uses it: an engine with a names callback of tests, from text to rows.

use std::ffi::{c_void, CStr};
use std::fs::File;
use std::os::unix::fs::{FileExt, MetadataExt};
use std::sync::{Arc, OnceLock};

use arrow::array::{
    Array, ArrayRef, Int32Array, RecordBatch, RecordBatchReader, StringViewArray, StructArray,
};
use arrow::datatypes::{Field, Schema};
use arrow::ffi::{to_ffi, FFI_ArrowSchema};
use arrow::ffi_stream::{ArrowArrayStreamReader, FFI_ArrowArrayStream};
use arrow::util::display::{ArrayFormatter, FormatOptions};

use crate::abi::*;
use crate::bind::igb_plan_bind;
use crate::describe::{igb_plan_accesses, igb_plan_describe};
use crate::engine::{igb_engine, igb_engine_new};
use crate::explain::{igb_plan_explain, igb_text_free};
use crate::plan::{igb_plan, igb_plan_free, igb_plan_parameters, igb_plan_sql};
use crate::query::{igb_query_error, igb_query_free, igb_query_start, igb_query_stream};
use crate::session::{igb_session, igb_session_new};

/// SQLSTATE, message, line, column.
#[derive(Debug)]
pub struct Failure {
    pub state: String,
    pub message: String,
    pub hint: String,
    pub place: (i32, i32),
}

pub fn failure(error: &igb_error) -> Failure {
    let text = |chars: &[std::ffi::c_char]| {
        unsafe { CStr::from_ptr(chars.as_ptr()) }.to_string_lossy().into_owned()
    };
    Failure {
        state: text(&error.sqlstate),
        message: format!("{}{}", text(&error.message), {
            let detail = text(&error.detail);
            if detail.is_empty() {
                detail
            } else {
                format!(" [{detail}]")
            }
        }),
        hint: text(&error.hint),
        place: (error.line, error.column),
    }
}

unsafe extern "C" fn open(
    _: *mut c_void,
    path: igb_str,
    _: *const igb_file_id,
    ret_file: *mut *mut c_void,
    ret_id: *mut igb_file_id,
    ret_error: *mut igb_error,
) -> i32 {
    unsafe {
        let path = path.text().unwrap();
        // Tests delete their files while what they abandoned still ends.
        let Ok(file) = File::open(path) else {
            return missing(ret_error, "58P01", format!("file \"{path}\" does not exist"));
        };
        let meta = file.metadata().unwrap();
        if !ret_id.is_null() {
            ret_id.write(id_of(&meta));
        }
        ret_file.write(Box::into_raw(Box::new(file)).cast());
    }
    0
}

pub fn id_of(meta: &std::fs::Metadata) -> igb_file_id {
    igb_file_id {
        size: meta.size(),
        mtime_ns: meta.mtime() * 1_000_000_000 + meta.mtime_nsec(),
        inode: meta.ino(),
    }
}

unsafe extern "C" fn pread(
    _: *mut c_void,
    file: *mut c_void,
    offset: u64,
    bytes: *mut u8,
    len: usize,
    _: *mut igb_error,
) -> i32 {
    let bytes = unsafe { std::slice::from_raw_parts_mut(bytes, len) };
    unsafe { &*file.cast::<File>() }.read_exact_at(bytes, offset).unwrap();
    0
}

unsafe extern "C" fn close(_: *mut c_void, file: *mut c_void) {
    drop(unsafe { Box::from_raw(file.cast::<File>()) });
}

static MADE: std::sync::Mutex<Vec<(String, String)>> = std::sync::Mutex::new(Vec::new());

/// Views by name; those of CREATE TABLE AS in IGB_SQL, `deep0` … stack on each other, `loop_a` and `loop_b` on each other.
fn view(name: &str) -> Option<String> {
    if let Some((_, sql)) = MADE.lock().unwrap().iter().rev().find(|(made, _)| made == name) {
        return Some(sql.clone());
    }
    Some(match name {
        "one" => "SELECT 1 AS a, 'x' AS b".to_string(),
        "loop_a" => "SELECT * FROM loop_b".to_string(),
        "loop_b" => "SELECT * FROM loop_a".to_string(),
        "broken" => "SELECT\n nope FROM one".to_string(),
        _ => {
            let level: u32 = name.strip_prefix("deep")?.parse().ok()?;
            if level == 0 {
                "SELECT 1 AS a".to_string()
            } else {
                format!("SELECT x.a FROM deep{0} x JOIN deep{0} y ON x.a = y.a", level - 1)
            }
        }
    })
}

pub fn lasting(text: &str) -> igb_str {
    igb_str::borrowed(Box::leak(text.to_string().into_boxed_str()))
}

fn csv_table(path: &str, ret_table: *mut igb_table) {
    let meta = std::fs::metadata(path).unwrap();
    let files = Box::leak(Box::new(igb_file {
        path: lasting(path),
        id: id_of(&meta),
        partition_values: std::ptr::null(),
    }));
    let mut table = igb_table::zeroed();
    table.kind = IGB_TABLE_FILES;
    table.name = lasting(path);
    table.format = IGB_FORMAT_CSV;
    table.files = files;
    table.files_count = 1;
    unsafe { ret_table.write(table) };
}

pub fn missing(ret_error: *mut igb_error, state: &str, message: String) -> i32 {
    let error = crate::error::Error::new(crate::error::Status::NotFound, state, message);
    unsafe { ret_error.write(error.to_abi()) };
    3
}

unsafe extern "C" fn table(
    _: *mut c_void,
    _: u64,
    parts: *const igb_str,
    count: usize,
    ret_table: *mut igb_table,
    ret_error: *mut igb_error,
) -> i32 {
    let parts = unsafe { strings(parts, count) }.unwrap();
    let name = parts.last().unwrap();
    if name == "people" {
        csv_table(people(), ret_table);
        return 0;
    }
    let Some(sql) = view(name) else {
        return missing(ret_error, "42P01", format!("relation \"{name}\" does not exist"));
    };
    let mut table = igb_table::zeroed();
    table.kind = IGB_TABLE_VIEW;
    table.catalog = lasting("igloo");
    table.schema = lasting("main");
    table.name = lasting(name);
    table.sql = lasting(&sql);
    unsafe { ret_table.write(table) };
    0
}

pub unsafe extern "C" fn table_function(
    _: *mut c_void,
    _: igb_str,
    arguments: *const igb_argument,
    count: usize,
    ret_table: *mut igb_table,
    ret_error: *mut igb_error,
) -> i32 {
    let arguments = unsafe { slice(arguments, count) };
    let path = unsafe { arguments[0].text.text() }.unwrap();
    if !std::path::Path::new(path).exists() {
        return missing(ret_error, "58P01", format!("file \"{path}\" does not exist"));
    }
    csv_table(path, ret_table);
    0
}

/// A CSV file: id, name, score.
pub fn people() -> &'static str {
    static PATH: OnceLock<String> = OnceLock::new();
    PATH.get_or_init(|| {
        let path = format!("/tmp/igb-smoke-{}.csv", std::process::id());
        std::fs::write(&path, "id,name,score\n1,ann,1.5\n2,bob,\n3,cy,2.5\n").unwrap();
        path
    })
}

struct Handles(*mut igb_session);
unsafe impl Send for Handles {}
unsafe impl Sync for Handles {}

pub fn session() -> *mut igb_session {
    static SESSION: OnceLock<Handles> = OnceLock::new();
    SESSION.get_or_init(|| Handles(new_session())).0
}

/// An engine that is never freed.
pub fn new_engine() -> *mut igb_engine {
    unsafe {
        let spill = std::env::temp_dir();
        let options = igb_engine_options {
            abi_version: IGB_ABI_VERSION,
            cpu_threads: 2,
            io_threads: 2,
            blocking_threads: 8,
            memory_bytes: 4 << 30,
            owns_process: false,
            pool_bytes: 256 << 20,
            cache_bytes: 32 << 20,
            channel_bytes: 8 << 20,
            spill_dir: igb_str::borrowed(spill.to_str().unwrap()),
            spill_bytes: 1 << 30,
            batch_rows: 8192,
            plan_nodes: 20_000,
            sql_nesting: 200,
            version: igb_str::borrowed("Igloo test"),
        };
        let files = igb_files {
            ctx: std::ptr::null_mut(),
            open: Some(open),
            pread: Some(pread),
            close: Some(close),
        };
        let mut error = igb_error::zeroed();
        let mut engine: *mut igb_engine = std::ptr::null_mut();
        let rc = igb_engine_new(&options, &files, &mut engine, &mut error);
        assert_eq!(rc, 0, "{:?}", failure(&error));
        engine
    }
}

/// A session of an engine of its own.
pub fn new_session() -> *mut igb_session {
    session_of(new_engine())
}

pub fn session_of(engine: *mut igb_engine) -> *mut igb_session {
    session_in(engine, "UTC")
}

pub fn session_in(engine: *mut igb_engine, time_zone: &str) -> *mut igb_session {
    unsafe {
        let mut error = igb_error::zeroed();
        let options = igb_session_options {
            time_zone: igb_str::borrowed(time_zone),
            views: false,
            user: igb_str::borrowed("ann"),
            catalog: igb_str::borrowed("igloo"),
            schema: igb_str::borrowed("main"),
            target_partitions: 0,
        };
        let mut session = std::ptr::null_mut();
        let rc = igb_session_new(engine, &options, &mut session, &mut error);
        assert_eq!(rc, 0, "{:?}", failure(&error));
        session
    }
}

/// Run `body` as C runs planning: on a thread with a large stack.
pub fn planning<T>(body: impl FnOnce() -> T) -> T {
    struct Carry<T>(T);
    // The pointers inside are only used by one thread at a time.
    unsafe impl<T> Send for Carry<T> {}
    let body = Carry(body);
    std::thread::scope(|scope| {
        let thread = std::thread::Builder::new().stack_size(64 << 20);
        let running = thread.spawn_scoped(scope, move || {
            let body = body;
            Carry((body.0)())
        });
        running.unwrap().join().unwrap().0
    })
}

/// A plan that frees itself.
pub struct Planned(pub *mut igb_plan);

// Threads of C share plans too.
unsafe impl Send for Planned {}
unsafe impl Sync for Planned {}

impl Drop for Planned {
    fn drop(&mut self) {
        unsafe { igb_plan_free(self.0) };
    }
}

pub fn plan_with(sql: &str, cancel: *const igb_cancel) -> Result<Planned, Failure> {
    plan_on(session(), sql, cancel)
}

pub fn plan_on(
    session: *mut igb_session,
    sql: &str,
    cancel: *const igb_cancel,
) -> Result<Planned, Failure> {
    let names = igb_names {
        ctx: std::ptr::null_mut(),
        table: Some(table),
        table_function: Some(table_function),
    };
    plan_by(session, sql, names, cancel)
}

pub fn plan_by(
    session: *mut igb_session,
    sql: &str,
    names: igb_names,
    cancel: *const igb_cancel,
) -> Result<Planned, Failure> {
    let mut error = igb_error::zeroed();
    let mut plan = std::ptr::null_mut();
    let sql = igb_str::borrowed(sql);
    let rc =
        planning(|| unsafe { igb_plan_sql(session, sql, &names, cancel, &mut plan, &mut error) });
    if rc == 0 {
        Ok(Planned(plan))
    } else {
        assert_eq!(rc, error.status);
        Err(failure(&error))
    }
}

pub fn plan(sql: &str) -> Result<Planned, Failure> {
    plan_with(sql, std::ptr::null())
}

pub fn run_plan(plan: &Planned) -> Result<(Vec<String>, Vec<RecordBatch>), Failure> {
    unsafe {
        let mut error = igb_error::zeroed();
        let mut query = std::ptr::null_mut();
        if planning(|| {
            igb_query_start(plan.0, std::ptr::null(), std::ptr::null(), &mut query, &mut error)
        }) != 0
        {
            return Err(failure(&error));
        }
        let mut stream = FFI_ArrowArrayStream::empty();
        assert_eq!(igb_query_stream(query, &mut stream, &mut error), 0);
        let reader = ArrowArrayStreamReader::try_new(stream).unwrap();
        let names = reader.schema().fields().iter().map(|f| f.name().clone()).collect();
        let mut batches = Vec::new();
        let mut failed = false;
        for batch in reader {
            match batch {
                Ok(batch) => batches.push(batch),
                Err(_) => {
                    failed = true;
                    break;
                }
            }
        }
        let ended = igb_query_error(query, &mut error);
        igb_query_free(query);
        assert_eq!(failed, ended != 0);
        if failed {
            Err(failure(&error))
        } else {
            Ok((names, batches))
        }
    }
}

/// Names, then rows, values separated by `|`, one line each; or `SQLSTATE message @line:column`.
pub fn ask(sql: &str) -> String {
    let done = plan(sql).and_then(|plan| run_plan(&plan));
    match done {
        Err(error) => {
            let place = match error.place {
                (0, _) => String::new(),
                (line, column) => format!(" @{line}:{column}"),
            };
            let hint =
                if error.hint.is_empty() { String::new() } else { format!(" ({})", error.hint) };
            format!("{} {}{place}{hint}", error.state, error.message)
        }
        Ok((names, batches)) => {
            let mut lines = vec![names.join("|")];
            let options = FormatOptions::default().with_null("NULL");
            for batch in &batches {
                let columns: Vec<_> = batch
                    .columns()
                    .iter()
                    .map(|column| ArrayFormatter::try_new(column.as_ref(), &options).unwrap())
                    .collect();
                for row in 0..batch.num_rows() {
                    let values: Vec<_> = columns.iter().map(|c| c.value(row).to_string()).collect();
                    lines.push(values.join("|"));
                }
            }
            lines.join("\n")
        }
    }
}

/// What a plan is, in words: kind, flags, target, location, format, partition columns, options.
fn described(sql: &str) -> String {
    let plan = plan(sql).unwrap();
    let mut error = igb_error::zeroed();
    unsafe {
        let mut told: igb_description = std::mem::zeroed();
        assert_eq!(igb_plan_describe(plan.0, &mut told, &mut error), 0);
        let list = |data, count| strings(data, count).unwrap().join(".");
        let options = pairs(told.options, told.options_count).unwrap();
        let options: Vec<_> = options.iter().map(|(k, v)| format!("{k}={v}")).collect();
        format!(
            "{} {} [{}] {} {} ({}) {{{}}} {}",
            told.kind,
            told.flags,
            list(told.target, told.target_parts),
            told.location.text().unwrap(),
            told.format.text().unwrap(),
            list(told.partition_columns, told.partition_columns_count),
            options.join(","),
            told.definition.text().unwrap(),
        )
    }
}

fn accessed(sql: &str) -> Vec<String> {
    let plan = plan(sql).unwrap();
    let mut error = igb_error::zeroed();
    unsafe {
        let (mut list, mut count) = (std::ptr::null(), 0);
        assert_eq!(igb_plan_accesses(plan.0, &mut list, &mut count, &mut error), 0);
        slice(list, count)
            .iter()
            .map(|one| {
                let columns = strings(one.columns, one.columns_count).unwrap().join(",");
                format!("{} {} ({columns})", one.kind, one.name.text().unwrap())
            })
            .collect()
    }
}

fn explained(sql: &str, flags: u32) -> String {
    let plan = plan(sql).unwrap();
    let mut error = igb_error::zeroed();
    unsafe {
        let mut text = std::ptr::null_mut();
        let rc = planning(|| {
            igb_plan_explain(
                plan.0,
                flags,
                std::ptr::null(),
                std::ptr::null(),
                &mut text,
                &mut error,
            )
        });
        assert_eq!(rc, 0, "{:?}", failure(&error));
        let out = CStr::from_ptr(text).to_str().unwrap().to_string();
        igb_text_free(text);
        out
    }
}

/// Types of the parameters.
fn parameter_types(sql: &str) -> Vec<String> {
    let plan = plan(sql).unwrap();
    let mut error = igb_error::zeroed();
    let mut schema = FFI_ArrowSchema::empty();
    assert_eq!(unsafe { igb_plan_parameters(plan.0, &mut schema, &mut error) }, 0);
    let schema = Schema::try_from(&schema).unwrap();
    schema.fields().iter().map(|f| format!("{} {}", f.name(), f.data_type())).collect()
}

/// The plan with row `row` of `values` as parameters.
pub(crate) fn bind(plan: &Planned, values: StructArray, row: i64) -> Result<Planned, Failure> {
    let (array, schema) = to_ffi(&values.to_data()).unwrap();
    let mut error = igb_error::zeroed();
    let mut bound = std::ptr::null_mut();
    let rc = unsafe { igb_plan_bind(plan.0, &array, &schema, row, &mut bound, &mut error) };
    drop((array, schema, values)); // nothing of the caller's is needed any more
    match rc {
        0 => Ok(Planned(bound)),
        _ => Err(failure(&error)),
    }
}

/// The answer with row `row` of `columns` as parameters.
fn ask_with(sql: &str, columns: Vec<ArrayRef>, row: i64) -> String {
    let plan = plan(sql).unwrap();
    let fields: Vec<_> = columns
        .iter()
        .enumerate()
        .map(|(at, column)| Field::new(format!("p{at}"), column.data_type().clone(), true))
        .collect();
    let values = StructArray::new(fields.into(), columns, None);
    match bind(&plan, values, row).and_then(|bound| run_plan(&bound)) {
        Ok((_, batches)) => {
            let column = batches[0].column(0);
            let options = FormatOptions::default().with_null("NULL");
            ArrayFormatter::try_new(column, &options).unwrap().value(0).to_string()
        }
        Err(error) => format!("{} {}", error.state, error.message),
    }
}

mod tests {
    use super::*;

    #[test]
    fn copy_is_described_in_each_of_its_forms() {
        let path = "/x/y.csv";
        assert_eq!(
            described(&format!(
                "COPY people TO '{path}' (FORMAT csv, HEADER true, DELIMITER ';', OVERWRITE)"
            )),
            "3 32 [] /x/y.csv csv () {header=true,delimiter=;} "
        );
        assert_eq!(
            described("COPY (SELECT 1 AS a, 2 AS b) TO '/x' STORED AS PARQUET PARTITIONED BY (b) OPTIONS ('Compression' 'zstd')"),
            "3 0 [] /x parquet (b) {compression=zstd} "
        );
        assert_eq!(
            described("COPY (SELECT 1 AS a, 2 AS b) TO '/x' WITH (FORMAT parquet, PARTITION_BY (a, \"B\"), format.max_row_group_size 10);"),
            "3 0 [] /x parquet (a.B) {format.max_row_group_size=10} "
        );
    }

    #[test]
    fn definitions_are_described_with_their_text() {
        assert_eq!(
            described("CREATE OR REPLACE VIEW s.\"V\" (x) AS\n SELECT a\n FROM one ; "),
            "6 4 [s.V]   () {} SELECT a\n FROM one"
        );
        assert_eq!(
            described("CREATE TABLE IF NOT EXISTS T (p, q) AS SELECT 1, 2"),
            "4 1 [t]   () {} "
        );
        assert_eq!(
            described("CREATE EXTERNAL TABLE e (a INT) STORED AS CSV PARTITIONED BY (p) LOCATION '/d/' OPTIONS ('has_header' 'true')"),
            "7 0 [e] /d/ csv (p) {has_header=true} "
        );
        assert_eq!(described("DROP TABLE IF EXISTS a.b.c CASCADE"), "8 18 [a.b.c]   () {} ");
    }

    #[test]
    fn accesses_name_the_columns_that_are_read() {
        assert_eq!(
            accessed("SELECT name FROM people WHERE id > 1"),
            [format!("1 {} (id,name)", people())]
        );
        assert_eq!(accessed("SELECT a FROM one"), ["1 one ()"]);
        assert_eq!(accessed("SELECT upper(b) FROM one"), ["1 one ()", "4 upper ()"]);
    }

    #[test]
    fn parameters_have_the_types_of_what_they_meet() {
        assert_eq!(
            parameter_types("SELECT $3, name FROM people WHERE id = $1 AND score > $2"),
            ["$1 Int64", "$2 Float64", "$3 Null"]
        );
    }

    #[test]
    fn parameters_are_bound_by_value_and_row() {
        let numbers: ArrayRef = Arc::new(Int32Array::from(vec![Some(1), Some(41), None]));
        assert_eq!(ask_with("SELECT $1 + 1", vec![Arc::clone(&numbers)], 1), "42");
        assert_eq!(ask_with("SELECT $1 + 1", vec![Arc::clone(&numbers)], 2), "NULL");
        assert!(ask_with("SELECT $1 + 1", vec![Arc::clone(&numbers)], 3).starts_with("22023"));
        assert!(ask_with("SELECT 1", vec![numbers], 0).starts_with("08P01"));
        let texts: ArrayRef =
            Arc::new(StringViewArray::from(vec!["a text too long to be inlined in its view"]));
        assert_eq!(
            ask_with("SELECT upper($1)", vec![Arc::clone(&texts)], 0),
            "A TEXT TOO LONG TO BE INLINED IN ITS VIEW"
        );
        assert!(
            ask_with("SELECT name FROM people WHERE id = $1", vec![texts], 0).starts_with("22P02")
        );
    }

    #[test]
    fn plans_are_explained_in_each_format() {
        let sql = "SELECT name FROM people WHERE id > 1 ORDER BY name";
        assert!(explained(sql, IGB_EXPLAIN_TREE).contains("SortExec"));
        assert!(
            explained(sql, IGB_EXPLAIN_INDENT).starts_with("SortPreservingMergeExec")
                || explained(sql, IGB_EXPLAIN_INDENT).starts_with("SortExec")
        );
        assert!(explained(sql, IGB_EXPLAIN_VERBOSE).starts_with("logical plan\n"));
        let json = explained(sql, IGB_EXPLAIN_JSON | IGB_EXPLAIN_ANALYZE);
        assert!(json.starts_with("{\"plan\":{\"operator\":\"Sort"), "{json}");
        assert!(
            json.contains("\"output_rows\":2") && json.ends_with("\"analyzed\":true}"),
            "{json}"
        );
    }

    #[test]
    fn a_union_promises_the_type_of_all_its_branches() {
        assert_eq!(ask("SELECT 1 AS v UNION ALL SELECT 2.5 ORDER BY v"), "v\n1.0\n2.5");
    }

    #[test]
    fn a_constant_is_planned_and_run() {
        assert_eq!(ask("SELECT 1 + 1 AS two").lines().last(), Some("2"));
    }

    #[test]
    fn a_file_is_read_by_its_path_and_by_its_table() {
        let sql = format!("SELECT count(*) AS n, sum(id) AS s FROM '{}'", people());
        assert_eq!(ask(&sql), "n|s\n3|6");
        assert_eq!(ask("SELECT name FROM people WHERE score > 2"), "name\ncy");
    }

    #[test]
    fn a_view_is_expanded_and_a_loop_of_views_is_refused() {
        assert_eq!(ask("SELECT b FROM one"), "b\nx");
        assert!(ask("SELECT * FROM loop_a")
            .starts_with("42P17 infinite recursion detected in view \"loop_a\""));
    }

    #[test]
    fn views_that_multiply_are_refused() {
        assert!(
            ask("SELECT * FROM deep30").starts_with("54001 "),
            "{}",
            ask("SELECT * FROM deep30")
        );
    }

    #[test]
    fn a_missing_table_has_its_place() {
        assert_eq!(ask("SELECT *\nFROM nope"), "42P01 relation \"nope\" does not exist @2:6");
    }

    #[test]
    fn subqueries_nested_deeper_than_twelve_levels_are_refused() {
        let nested = |start: &str, levels: usize, wrap: &dyn Fn(&str) -> String| {
            (0..levels).fold(start.to_string(), |inner, _| wrap(&inner))
        };
        let scalar = |levels| nested("SELECT 1", levels, &|inner| format!("SELECT ({inner})"));
        assert!(ask(&scalar(12)).ends_with("\n1"));
        let refused = ask(&scalar(13));
        assert!(refused.starts_with("54001 statement is too complex"), "{refused}");
        for shape in [
            "SELECT 1 WHERE 1 IN (#)",
            "SELECT 1 WHERE EXISTS (#)",
            "SELECT x FROM (SELECT (#) x) s",
        ] {
            let wrap = |inner: &str| shape.replace('#', inner);
            let refused = ask(&nested("SELECT 1", 13, &wrap));
            assert!(refused.starts_with("54001"), "{shape}: {refused}");
        }
    }

    #[test]
    fn numbers_and_times_are_compared_as_postgresql_does() {
        let floats = "(VALUES (CAST('NaN' AS DOUBLE)), (1e300::double), (0.5::double)) t(f)";
        assert_eq!(ask(&format!("SELECT count(*) AS n FROM {floats} WHERE f > 0.5")), "n\n2");
        assert_eq!(
            ask(&format!("SELECT count(*) AS n FROM {floats} WHERE f IN (0.5, 7.5)")),
            "n\n1"
        );
        assert_eq!(
            ask(&format!("SELECT count(*) AS n FROM {floats} WHERE f BETWEEN 0.1 AND 0.7")),
            "n\n1"
        );
        let times = "(SELECT arrow_cast('12:30:00', 'Time64(Microsecond)') AS t) s";
        for test in [
            "t >= TIME '12:30:00'",
            "t BETWEEN TIME '12:00' AND TIME '13:00'",
            "t IN (TIME '12:30')",
        ] {
            assert_eq!(ask(&format!("SELECT {test} AS b FROM {times}")), "b\ntrue", "{test}");
            assert_eq!(
                ask(&format!("SELECT count(*) AS n FROM {times} WHERE {test}")),
                "n\n1",
                "{test}"
            );
        }
    }

    /// The query is freed a moment after it began; then nothing of it runs any more.
    #[test]
    fn joins_end_with_their_query() {
        let session = new_session();
        for sql in [
        "SELECT count(*) FROM generate_series(1, 10000000) a(v) CROSS JOIN generate_series(1, 10000000) b(v) WHERE a.v + b.v < 0",
        "SELECT count(*), sum(a.v * b.v) FROM generate_series(1, 10000000) a(v) CROSS JOIN generate_series(1, 10000000) b(v)",
        "SELECT count(*) FROM generate_series(1, 1000000) a(v) JOIN generate_series(1, 1000000) b(v) ON a.v % 10 = b.v % 10",
    ] {
        let plan = plan_on(session, sql, std::ptr::null()).unwrap();
        let mut error = igb_error::zeroed();
        let mut query = std::ptr::null_mut();
        let none = std::ptr::null();
        unsafe {
            assert_eq!(planning(|| igb_query_start(plan.0, none, std::ptr::null(), &mut query, &mut error)), 0);
            std::thread::sleep(std::time::Duration::from_millis(300));
            igb_query_free(query);
        }
        // The engine has two threads: both must be free again.
        let began = std::time::Instant::now();
        let small = plan_on(session, "SELECT 1 AS a", std::ptr::null()).unwrap();
        assert!(run_plan(&small).is_ok());
        assert!(began.elapsed().as_secs() < 5, "{sql}");
    }
    }

    #[test]
    fn a_set_cancel_token_stops_planning() {
        unsafe extern "C" fn set(_: *mut c_void) -> i32 {
            12
        }
        let cancel = igb_cancel { ctx: std::ptr::null_mut(), check: Some(set) };
        let Err(error) = plan_with("SELECT * FROM one", &cancel) else { panic!("it planned") };
        assert_eq!(error.state, "57014");
    }
}
