//! Three engines in one process give the rows of one. Plans and batches travel as bytes.

use std::sync::atomic::Ordering;
use std::sync::Arc;
use std::time::{Duration, Instant};

use arrow::array::{Float64Array, Int64Array, RecordBatch, StringArray, TimestampMicrosecondArray};
use arrow::util::display::{ArrayFormatter, FormatOptions};
use datafusion::datasource::physical_plan::parquet::metadata::CachedParquetMetaData;
use datafusion::parquet::arrow::ArrowWriter;
use datafusion::parquet::file::properties::WriterProperties;

use crate::abi::*;
use crate::file_table::tests::Folder;
use crate::remote::abi::igb_execution;
use crate::smoke::{
    failure, id_of, lasting, missing, plan_by, planning, run_plan, session_of, table_function,
    Failure, Planned,
};

mod databases;
mod members;

use members::{Faults, Members};

/// Rows as text, in their order.
fn lines(batches: &[RecordBatch]) -> Vec<String> {
    let options = FormatOptions::default().with_null("NULL");
    let mut out = vec![];
    for batch in batches {
        let columns: Vec<_> = batch
            .columns()
            .iter()
            .map(|column| ArrayFormatter::try_new(column.as_ref(), &options).unwrap())
            .collect();
        for row in 0..batch.num_rows() {
            let values: Vec<String> = columns.iter().map(|c| c.value(row).to_string()).collect();
            out.push(values.join("|"));
        }
    }
    out
}

// ---- tables -----------------------------------------------------------------------------------

/// Tables of several files of several row groups each.
struct Tables(Folder);

const FILES: i64 = 6;
const ROWS: i64 = 4_000;

impl Tables {
    fn new() -> Tables {
        let tables = Tables(Folder::new());
        for file in 0..FILES {
            let first = file * ROWS;
            let number = |value: &dyn Fn(i64) -> Option<i64>| -> Int64Array {
                (first..first + ROWS).map(value).collect()
            };
            let text: StringArray =
                (first..first + ROWS).map(|row| Some(format!("name {:05}", row % 977))).collect();
            let price: Float64Array =
                (first..first + ROWS).map(|row| Some((row % 1000) as f64 / 4.0)).collect();
            let at: TimestampMicrosecondArray =
                (first..first + ROWS).map(|row| Some(row * 3_600_000_000)).collect();
            let big = RecordBatch::try_from_iter([
                ("id", Arc::new(number(&|row| Some(row))) as _),
                ("k", Arc::new(number(&|row| Some(row % 101))) as _),
                ("n", Arc::new(number(&|row| (row % 7 != 0).then_some(row % 13))) as _),
                ("name", Arc::new(text) as _),
                ("price", Arc::new(price) as _),
                ("at", Arc::new(at) as _),
            ]);
            tables.file("big", file, &big.unwrap());
            let few = |row: i64| row % ROWS < 40;
            let ids: Int64Array = (first..first + ROWS).filter(|row| few(*row)).map(Some).collect();
            let keys: Int64Array = (first..first + ROWS)
                .filter(|row| few(*row))
                .map(|row| (row % 5 != 0).then_some(row % 211))
                .collect();
            let small = RecordBatch::try_from_iter([
                ("id", Arc::new(ids) as _),
                ("k", Arc::new(keys) as _),
            ]);
            tables.file("small", file, &small.unwrap());
        }
        tables
    }

    fn file(&self, table: &str, number: i64, batch: &RecordBatch) {
        let properties = WriterProperties::builder().set_max_row_group_row_count(Some(700)).build();
        let mut bytes = vec![];
        let mut writer =
            ArrowWriter::try_new(&mut bytes, batch.schema(), Some(properties)).unwrap();
        writer.write(batch).unwrap();
        writer.close().unwrap();
        self.0.file(&format!("{table}/{number}.parquet"), bytes);
    }

    fn names(&self) -> igb_names {
        let folder = Box::new(self.0 .0.to_str().unwrap().to_string());
        igb_names {
            ctx: Box::into_raw(folder).cast(),
            table: Some(parquet_table),
            table_function: Some(table_function),
        }
    }
}

/// The tables are folders of Parquet files.
unsafe extern "C" fn parquet_table(
    ctx: *mut std::ffi::c_void,
    _: u64,
    parts: *const igb_str,
    count: usize,
    ret_table: *mut igb_table,
    ret_error: *mut igb_error,
) -> i32 {
    let folder = unsafe { &*ctx.cast::<String>() };
    let parts = unsafe { strings(parts, count) }.unwrap();
    let name = parts.last().unwrap();
    let mut paths: Vec<String> = std::fs::read_dir(format!("{folder}/{name}"))
        .into_iter()
        .flatten()
        .map(|entry| entry.unwrap().path().to_str().unwrap().to_string())
        .collect();
    if paths.is_empty() {
        return missing(ret_error, "42P01", format!("relation \"{name}\" does not exist"));
    }
    paths.sort();
    let file = |path: &String| igb_file {
        path: lasting(path),
        id: id_of(&std::fs::metadata(path).unwrap()),
        partition_values: std::ptr::null(),
    };
    let files: &'static [igb_file] = Vec::leak(paths.iter().map(file).collect());
    let mut table = igb_table::zeroed();
    table.kind = IGB_TABLE_FILES;
    table.name = lasting(name);
    table.format = IGB_FORMAT_PARQUET;
    table.files = files.as_ptr();
    table.files_count = files.len();
    unsafe { ret_table.write(table) };
    0
}

// ---- asking -----------------------------------------------------------------------------------

struct Subject {
    tables: Tables,
    members: Members,
    session: *mut crate::session::igb_session,
}

impl Subject {
    fn new(count: usize, faults: Faults) -> Subject {
        let members = Members::new(count, faults);
        let session = session_of(members.engine(0));
        Subject { tables: Tables::new(), members, session }
    }

    fn plan(&self, sql: &str) -> Result<Planned, Failure> {
        plan_by(self.session, sql, self.tables.names(), std::ptr::null())
    }

    fn rows(&self, sql: &str) -> Result<Vec<String>, Failure> {
        Ok(lines(&run_plan(&self.plan(sql)?)?.1))
    }

    fn explain(&self, sql: &str, flags: u32) -> String {
        let plan = self.plan(sql).unwrap();
        let mut error = igb_error::zeroed();
        let mut text = std::ptr::null_mut();
        let rc = planning(|| unsafe {
            let none = std::ptr::null();
            crate::explain::igb_plan_explain(
                plan.0,
                flags,
                none,
                none.cast(),
                &mut text,
                &mut error,
            )
        });
        assert_eq!(rc, 0, "{:?}", failure(&error));
        unsafe { std::ffi::CString::from_raw(text) }.into_string().unwrap()
    }

    /// What its EXPLAIN ends with.
    fn local(&self, sql: &str) -> String {
        let text = self.explain(sql, IGB_EXPLAIN_INDENT);
        let line = text.lines().rev().find_map(|line| line.strip_prefix("local: "));
        line.unwrap_or_else(|| panic!("it does not stay: {text}")).to_string()
    }
}

fn sorted(mut rows: Vec<String>) -> Vec<String> {
    rows.sort();
    rows
}

/// Three members of one host, all of which take part: each has less than a processor.
const CROWDED: Faults = Faults {
    local_bytes: 0,
    without_files: None,
    in_public: false,
    far: None,
    hosts: Some(1),
    host_members: 3,
};

/// On one member and on three, of as many hosts and of one: the same, and the three did some of it.
fn same_rows(statements: &[&str]) {
    let one = Subject::new(1, Faults::default());
    let threes = [Faults::default(), CROWDED].map(|faults| Subject::new(3, faults));
    for sql in statements {
        let here = one.rows(sql).unwrap_or_else(|error| panic!("{sql}: {error:?}"));
        let here = sorted(here);
        for three in &threes {
            let before = three.members.plans();
            let there = three.rows(sql).unwrap_or_else(|error| panic!("{sql}: {error:?}"));
            assert!(three.members.plans() > before, "it stayed: {sql}");
            assert_eq!(here, sorted(there), "{sql}");
        }
    }
}

#[test]
fn each_row_of_a_scan_is_read_by_one_task() {
    let sql = "SELECT count(*), count(DISTINCT id), sum(id), min(id), max(id) FROM big";
    let rows = FILES * ROWS;
    let right = format!("{rows}|{rows}|{}|0|{}", rows * (rows - 1) / 2, rows - 1);
    for count in 2..=5 {
        let members = Subject::new(count, Faults::default());
        assert_eq!(members.rows(sql).unwrap(), [right.clone()], "{count} members");
        assert!(members.members.plans() > 0);
    }
}

#[test]
fn joins_of_each_kind_have_the_rows_of_one_member() {
    let mut statements = vec![];
    for kind in ["", "LEFT", "RIGHT", "FULL"] {
        for (a, b) in [("big", "small"), ("small", "big"), ("big", "big"), ("small", "small")] {
            statements.push(format!(
                "SELECT count(*), sum(x.id), sum(y.id), count(x.k), count(y.k) \
                 FROM {a} x {kind} JOIN (SELECT id, k FROM {b} WHERE id % 3 = 0) y ON x.k = y.id"
            ));
        }
        statements.push(format!(
            "SELECT count(*), sum(x.id), sum(y.id) FROM small x {kind} JOIN small y \
             ON x.id < y.k"
        ));
    }
    for test in ["IN", "NOT IN"] {
        for nulls in ["", " WHERE k IS NOT NULL"] {
            statements.push(format!(
                "SELECT count(*), sum(id) FROM big WHERE n {test} (SELECT k FROM small{nulls})"
            ));
        }
    }
    for test in ["EXISTS", "NOT EXISTS"] {
        statements.push(format!(
            "SELECT count(*), sum(id) FROM big WHERE {test} \
             (SELECT 1 FROM small s WHERE s.k = big.k AND s.id > big.n)"
        ));
    }
    statements.push("SELECT count(*), sum(x.id) FROM small x CROSS JOIN small y".to_string());
    let statements: Vec<&str> = statements.iter().map(String::as_str).collect();
    same_rows(&statements);
}

/// Rows that the scans of this column gave, of an EXPLAIN ANALYZE.
fn scanned(text: &str, column: &str) -> Vec<f64> {
    let scans = text.lines().filter(|line| line.contains("DataSourceExec"));
    let of = scans.filter(|line| line.contains(&format!("projection=[{column}")));
    let rows = |line: &str| {
        let rows = line.split("output_rows=").nth(1).unwrap().split(',').next().unwrap();
        match rows.split_once(' ') {
            Some((rows, "K")) => rows.parse::<f64>().unwrap() * 1000.0,
            _ => rows.parse().unwrap(),
        }
    };
    of.map(rows).collect()
}

#[test]
fn filter_of_a_join_reaches_the_scans_of_other_stages() {
    let three = Subject::new(3, Faults::default());
    // In the order of the file: whole row groups have no key that is wanted.
    let sql =
        "SELECT s.id, t.n FROM small s JOIN (SELECT id, count(*) AS n FROM big GROUP BY id) t \
               ON s.id = t.id WHERE s.k = 3";
    let text = three.explain(sql, IGB_EXPLAIN_ANALYZE);
    let waits = text.lines().find(|line| line.contains("AwaitsFiltersExec")).expect(&text);
    assert!(waits.contains("from_stages=[") && waits.contains("filters_come="), "{waits}");
    assert!(!waits.contains("filters_come=0"), "{text}");
    assert!(text.contains("GivesFilterExec: to_stages=["), "{text}");
    let rows = scanned(&text, "id]");
    assert!(rows.iter().sum::<f64>() < (FILES * ROWS) as f64 / 2.0, "{rows:?}: {text}");
    let one = Subject::new(1, Faults::default());
    assert_eq!(sorted(three.rows(sql).unwrap()), sorted(one.rows(sql).unwrap()));
}

#[test]
fn joins_above_aggregates_have_the_rows_of_one_member() {
    let mut statements = vec![];
    for keys in ["k", "n", "name", "id", "k, n", "name, k"] {
        let on: Vec<String> = keys.split(", ").map(|key| format!("a.{key} = b.{key}")).collect();
        let on = on.join(" AND ");
        for (kind, few) in [
            ("JOIN", "id % 1000 = 7"),
            ("JOIN", "id < 0"),
            ("JOIN", "true"),
            ("LEFT JOIN", "id % 500 < 2"),
            ("RIGHT JOIN", "id % 500 < 2"),
            ("FULL JOIN", "id % 900 = 1"),
        ] {
            statements.push(format!(
                "SELECT count(*), sum(a.s), sum(b.s) FROM (SELECT {keys}, sum(price) AS s FROM big \
                 WHERE {few} GROUP BY {keys}) a {kind} \
                 (SELECT {keys}, sum(id) AS s FROM big GROUP BY {keys}) b ON {on}"
            ));
        }
        if keys.contains(',') {
            continue;
        }
        for test in ["IN", "NOT IN"] {
            statements.push(format!(
                "SELECT count(*), sum(s) FROM (SELECT {keys}, sum(id) AS s FROM big GROUP BY {keys}) b \
                 WHERE {keys} {test} (SELECT {keys} FROM big WHERE id % 700 = 3)"
            ));
        }
    }
    let statements: Vec<&str> = statements.iter().map(String::as_str).collect();
    same_rows(&statements);
}

#[test]
fn shapes_of_statements_have_the_rows_of_one_member() {
    same_rows(&[
        "SELECT k, count(*), sum(n), avg(price), min(name) FROM big GROUP BY k",
        "SELECT DISTINCT name FROM big WHERE n IS NULL",
        "SELECT DISTINCT ON (k) k, id FROM big ORDER BY k, id DESC",
        "SELECT id, name FROM big ORDER BY price DESC, id LIMIT 25 OFFSET 10",
        "SELECT id, rank() OVER (PARTITION BY k ORDER BY price, id) FROM big WHERE id % 10 = 0",
        "SELECT id, sum(price) OVER (ORDER BY id ROWS 3 PRECEDING) FROM big WHERE k = 7",
        "SELECT k FROM small INTERSECT SELECT n FROM big",
        "SELECT n FROM big EXCEPT SELECT k FROM small",
        "SELECT k FROM small INTERSECT ALL SELECT n FROM big",
        "SELECT id FROM small UNION ALL SELECT id FROM big WHERE k = 3",
        "SELECT k, n, count(*) FROM big GROUP BY ROLLUP (k, n)",
        "SELECT count(*) FILTER (WHERE n > 3), count(DISTINCT name), median(price) FROM big",
        "WITH t AS (SELECT k, sum(price) AS s FROM big GROUP BY k) \
         SELECT a.k, b.k FROM t a JOIN t b ON a.s = b.s",
        "SELECT name, array_agg(id ORDER BY id) FROM big WHERE id < 500 GROUP BY name",
        "SELECT CASE WHEN n > 5 THEN 'many' ELSE 'few' END AS c, count(*) FROM big GROUP BY c",
        "SELECT id FROM big WHERE name LIKE '%042%' AND at > timestamp '1971-01-01 00:00:00'",
    ]);
}

#[test]
fn subqueries_for_a_value_have_the_rows_of_one_member() {
    same_rows(&[
        "SELECT count(*) FROM big WHERE price > (SELECT avg(price) FROM big)",
        "SELECT k, sum(price) FROM big GROUP BY k \
         HAVING sum(price) > (SELECT sum(price) / 110 FROM big)",
        "SELECT k, (SELECT max(id) FROM small) FROM big WHERE k > 90",
        "SELECT count(*) FROM big WHERE id = (SELECT id FROM small WHERE id = 40000000)",
        "SELECT id FROM big WHERE id = (SELECT id FROM small WHERE id = 12)",
    ]);
}

#[test]
fn subquery_of_two_rows_is_an_error_on_three_members_too() {
    for count in [1, 3] {
        let subject = Subject::new(count, Faults::default());
        let told = subject.rows("SELECT count(*) FROM big WHERE id = (SELECT id FROM small)");
        assert_eq!(told.unwrap_err().state, "21000", "{count} members");
    }
}

#[test]
fn errors_of_tasks_come_whole_through_all_hops() {
    let three = Subject::new(3, Faults::default());
    let told = three.rows("SELECT sum(id / (k - 50)) FROM big").unwrap_err();
    assert_eq!((told.state.as_str(), told.message.as_str()), ("22012", "division by zero"));
    let deep = "SELECT count(*) FROM (SELECT b.k, max(x) AS m FROM \
                (SELECT k, max(id / (k - 50)) AS x FROM big GROUP BY k) a \
                JOIN big b ON a.k = b.n GROUP BY b.k) t WHERE m > 3";
    let told = three.rows(deep).unwrap_err();
    assert_eq!((told.state.as_str(), told.message.as_str()), ("22012", "division by zero"));
}

#[test]
fn lost_member_ends_its_statements_with_one_error_and_others_go_on() {
    let three = Subject::new(3, Faults::default());
    three.members.lose(2);
    let started = Instant::now();
    let told = three.rows("SELECT k, count(*) FROM big GROUP BY k").unwrap_err();
    assert_eq!((told.state.as_str(), told.message.as_str()), ("08006", "worker was lost"));
    assert!(started.elapsed() < Duration::from_secs(5));
    three.members.leave(2);
    assert_eq!(three.rows("SELECT count(*) FROM big").unwrap(), [(FILES * ROWS).to_string()]);
}

#[test]
fn nothing_of_a_statement_stays_on_members_once_it_has_ended() {
    let three = Subject::new(3, Faults::default());
    three.rows("SELECT k, count(*) FROM big GROUP BY k").unwrap();
    three.rows("SELECT sum(id / (k - 50)) FROM big").unwrap_err();
    let plan = three.plan("SELECT a.id FROM big a JOIN big b ON a.k = b.k").unwrap();
    run_some(&plan, std::ptr::null());
    let deadline = Instant::now() + Duration::from_secs(10);
    while three.members.busy().is_some() && Instant::now() < deadline {
        // dd's cache of tasks lets the last ones go with those that follow.
        three.rows("SELECT sum(k) FROM big WHERE id < 10").unwrap();
    }
    assert_eq!(three.members.busy(), None);
}

/// Reads one batch and leaves.
fn run_some(plan: &Planned, execution: *const igb_execution) {
    use crate::query::{igb_query_free, igb_query_start, igb_query_stream};
    let mut error = igb_error::zeroed();
    let mut query = std::ptr::null_mut();
    let mut stream = arrow::ffi_stream::FFI_ArrowArrayStream::empty();
    unsafe {
        let none = std::ptr::null();
        let rc = planning(|| igb_query_start(plan.0, none, execution, &mut query, &mut error));
        assert_eq!(rc, 0, "{:?}", failure(&error));
        assert_eq!(igb_query_stream(query, &mut stream, &mut error), 0);
        let mut reader = arrow::ffi_stream::ArrowArrayStreamReader::try_new(stream).unwrap();
        assert!(reader.next().unwrap().unwrap().num_rows() > 0);
        drop(reader);
        igb_query_free(query);
    }
}

#[test]
fn what_stays_says_why() {
    let three = Subject::new(3, Faults::default());
    assert_eq!(three.local("SELECT 1"), "it reads no files");
    let recursive =
        "WITH RECURSIVE r AS (SELECT 1 AS x UNION ALL SELECT x + 1 FROM r WHERE x < 5) \
                     SELECT count(*) FROM big JOIN r ON big.k = r.x";
    assert!(three.local(recursive).contains("recursive"), "{}", three.local(recursive));
    let constant = "SELECT n, name, 1 FROM big INTERSECT ALL SELECT k, name, 1 FROM big";
    let unknown = "it has a window over keys whose order is only known here";
    assert_eq!(three.local(constant), unknown);
    let careful = Subject::new(3, Faults { local_bytes: 1 << 30, ..Faults::default() });
    let all = "SELECT sum(k) FROM big";
    assert!(careful.local(all).ends_with("less than 1073741824"));
    let first = "SELECT sum(k) FROM (SELECT k FROM big LIMIT 1000) AS some";
    assert_eq!(three.local(first), "nothing of it is worth another member");
    let lacking = Subject::new(2, Faults { without_files: Some(1), ..Faults::default() });
    assert_eq!(lacking.local(all), "a member has no file");
    let alone = Subject::new(1, Faults::default());
    assert!(!alone.explain(all, IGB_EXPLAIN_INDENT).contains("local:"));
}

#[test]
fn member_without_the_files_gets_no_tasks() {
    let three = Subject::new(3, Faults { without_files: Some(1), ..Faults::default() });
    let sql = "SELECT k, count(*) FROM big GROUP BY k";
    let text = three.explain(sql, IGB_EXPLAIN_INDENT);
    let stages: Vec<&str> = text.lines().filter(|line| line.starts_with("stage ")).collect();
    assert_eq!(stages.len(), 2, "{text}");
    for stage in stages {
        assert!(stage.contains("tasks 2: ") && !stage.contains("m-1-"), "{stage}");
    }
    assert!(text.contains("\nnot on all members: a member has no file\n"), "{text}");
    assert_eq!(three.rows(sql).unwrap().len(), 101);
}

#[test]
fn members_beyond_the_processors_of_their_host_get_no_tasks() {
    let sql = "SELECT k, count(*) FROM big GROUP BY k";
    let taking_part = |count, faults| {
        let subject = Subject::new(count, faults);
        let text = subject.explain(sql, IGB_EXPLAIN_INDENT);
        assert_eq!(subject.rows(sql).unwrap().len(), 101);
        let left = text.lines().find_map(|line| line.strip_prefix("not on all members: "));
        let root = text.lines().find_map(|line| line.trim().strip_prefix("ClusterExec: members="));
        assert!(text.contains("m-0-"), "who is asked takes part: {text}");
        (root.unwrap_or("").to_string(), left.unwrap_or("").to_string())
    };
    let hosts =
        |hosts, host_members| Faults { hosts: Some(hosts), host_members, ..Faults::default() };
    let told = |left| format!("{left} more are on hosts whose processors have tasks");
    assert_eq!(taking_part(5, hosts(1, 0)), ("2".to_string(), told(3)));
    assert_eq!(taking_part(5, hosts(2, 0)), ("4".to_string(), told(1)));
    assert_eq!(taking_part(5, hosts(1, 3)), ("3".to_string(), told(2)));
    assert_eq!(taking_part(5, hosts(1, 8)), ("5".to_string(), String::new()));
    assert_eq!(taking_part(5, Faults::default()), ("5".to_string(), String::new()));
}

#[test]
fn tasks_that_share_a_host_share_its_processors() {
    let sql = "SELECT k, count(*) FROM big GROUP BY k";
    let shuffle = |faults| {
        let text = Subject::new(3, faults).explain(sql, IGB_EXPLAIN_INDENT);
        let line = text.lines().find(|line| line.contains("NetworkShuffleExec"));
        line.unwrap_or_else(|| panic!("{text}")).to_string()
    };
    let (apart, together) = (shuffle(Faults::default()), shuffle(CROWDED));
    assert!(apart.contains("output_partitions=2, input_tasks=3"), "{apart}");
    assert!(together.contains("output_partitions=1, input_tasks=3"), "{together}");
}

#[test]
fn explain_analyze_tells_what_each_stage_did() {
    let three = Subject::new(3, Faults::default());
    let text = three.explain("SELECT k, count(*) FROM big GROUP BY k", IGB_EXPLAIN_ANALYZE);
    let stages: Vec<&str> = text.lines().filter(|line| line.starts_with("stage ")).collect();
    assert_eq!(stages.len(), 2, "{text}");
    assert!(stages[1].contains("rows 101, "), "{}", stages[1]);
    assert!(stages.iter().all(|stage| !stage.contains("bytes 0,")), "{stages:?}");
    let scanned = format!("output_rows={:.2} K,", (FILES * ROWS) as f64 / 1000.0);
    let scan = text.lines().find(|line| line.contains("DistributedLeafExec")).unwrap();
    assert!(scan.contains(&scanned), "{scan}");
    let json = three.explain("SELECT sum(k) FROM big", IGB_EXPLAIN_ANALYZE | IGB_EXPLAIN_JSON);
    assert!(json.contains("\"stages\":[{\"stage\":1,\"tasks\":3,\"members\":[\"m-"), "{json}");
}

#[test]
fn settings_of_the_session_reach_the_members() {
    let three = Subject::new(3, Faults::default());
    let mut error = igb_error::zeroed();
    let options = igb_session_options {
        time_zone: igb_str::borrowed("America/New_York"),
        views: false,
        user: igb_str::borrowed("ann"),
        catalog: igb_str::borrowed("igloo"),
        schema: igb_str::borrowed("main"),
        target_partitions: 0,
    };
    let mut session = std::ptr::null_mut();
    let engine = three.members.engine(0);
    let rc = unsafe { crate::session::igb_session_new(engine, &options, &mut session, &mut error) };
    assert_eq!(rc, 0);
    let sql = "SELECT DISTINCT name, extract(hour FROM CAST(at AS timestamptz)) FROM big \
               WHERE id = 6000 AND user = 'ann'";
    let plan = plan_by(session, sql, three.tables.names(), std::ptr::null()).unwrap();
    let before = three.members.plans();
    let there = lines(&run_plan(&plan).unwrap().1);
    assert!(three.members.plans() > before);
    let one = Subject::new(1, Faults::default());
    let mut here = std::ptr::null_mut();
    let engine = one.members.engine(0);
    assert_eq!(
        unsafe { crate::session::igb_session_new(engine, &options, &mut here, &mut error) },
        0
    );
    let plan = plan_by(here, sql, three.tables.names(), std::ptr::null()).unwrap();
    assert_eq!(lines(&run_plan(&plan).unwrap().1), there);
}

#[test]
fn member_keeps_footers_with_the_indexes_of_pages() {
    let two = Subject::new(2, Faults::default());
    two.rows("SELECT count(*) FROM big WHERE id > 100").unwrap();
    let engine = unsafe { &(*two.members.engine(1)).shared };
    let cache = engine.runtime_env.cache_manager.get_file_metadata_cache();
    let folder = two.tables.0 .0.to_str().unwrap();
    let mut kept = 0;
    for file in 0..FILES {
        let path = object_store::path::Path::from(format!("{folder}/big/{file}.parquet"));
        let Some(entry) = cache.get(&path) else { continue };
        let footer = entry.file_metadata.as_any().downcast_ref::<CachedParquetMetaData>().unwrap();
        let footer = footer.parquet_metadata();
        assert!(footer.column_index().is_some() && footer.offset_index().is_some());
        kept += 1;
    }
    assert!(kept > 0);
}

#[test]
fn rows_travel_in_bytes() {
    let three = Subject::new(3, Faults::default());
    three.rows("SELECT k, count(*) FROM big GROUP BY k").unwrap();
    assert!(three.members.cluster.batches.load(Ordering::Relaxed) > 0);
}
