//! Plans go over as bytes into another engine, and give the rows that they give here.

use std::collections::HashMap;
use std::ffi::c_void;
use std::fs::File;
use std::os::unix::fs::MetadataExt;
use std::panic::AssertUnwindSafe;
use std::path::{Path, PathBuf};
use std::sync::OnceLock;

use arrow::array::RecordBatch;
use arrow::datatypes::SchemaRef;
use arrow::util::display::{ArrayFormatter, FormatOptions};
use datafusion::physical_plan::{collect, displayable};
use datafusion::prelude::SessionConfig;

use super::*;
use crate::abi::*;
use crate::engine::{igb_engine, igb_engine_new};
use crate::file_table::tests::{id_of, read_file, Folder};
use crate::plan::{igb_plan, igb_plan_free, igb_plan_sql, Plan};
use crate::session::{igb_session, igb_session_new, SessionShared};
use crate::smoke::planning;

mod cases;
mod hostile;
mod scans;
mod tpch;

// ---- engines --------------------------------------------------------------------------------------

/// Opens what is there, of the size and time that are asked for.
unsafe extern "C" fn open_file(
    _: *mut c_void,
    path: igb_str,
    id: *const igb_file_id,
    ret_file: *mut *mut c_void,
    ret_id: *mut igb_file_id,
    ret_error: *mut igb_error,
) -> i32 {
    let path = path.text().unwrap();
    let file = File::open(path).map_err(|_| ());
    let found = match &file {
        Ok(file) => {
            let meta = file.metadata().unwrap();
            let mtime_ns = meta.mtime() * 1_000_000_000 + meta.mtime_nsec();
            igb_file_id { size: meta.size(), mtime_ns, inode: meta.ino() }
        }
        Err(()) => igb_file_id::default(),
    };
    let same = |id: &igb_file_id| {
        (id.inode == 0 || id.inode == found.inode)
            && (id.size, id.mtime_ns) == (found.size, found.mtime_ns)
    };
    match (file, id.as_ref()) {
        (Ok(file), id) if id.is_none_or(same) => {
            ret_id.write(found);
            ret_file.write(Box::into_raw(Box::new(file)).cast());
            0
        }
        _ => {
            let message = format!("file \"{path}\" changed during the query");
            let error = Error::new(Status::FailedPrecondition, "55000", message);
            ret_error.write(error.to_abi());
            error.status as i32
        }
    }
}

unsafe extern "C" fn close_file(_: *mut c_void, file: *mut c_void) {
    drop(Box::from_raw(file.cast::<File>()));
}

struct Engine(*mut igb_engine);
unsafe impl Send for Engine {}
unsafe impl Sync for Engine {}

fn new_engine(version: &str, batch_rows: u32) -> Engine {
    let spill = std::env::temp_dir().join(format!("igb-codec-{}", std::process::id()));
    std::fs::create_dir_all(&spill).unwrap();
    let options = igb_engine_options {
        abi_version: IGB_ABI_VERSION,
        cpu_threads: 2,
        io_threads: 1,
        blocking_threads: 8,
        memory_bytes: 4 << 30,
        owns_process: false,
        pool_bytes: 256 << 20,
        cache_bytes: 16 << 20,
        channel_bytes: 64 << 10,
        spill_dir: igb_str::borrowed(spill.to_str().unwrap()),
        spill_bytes: 1 << 30,
        batch_rows,
        plan_nodes: 20_000,
        sql_nesting: 200,
        version: igb_str::borrowed(version),
    };
    let files = igb_files {
        ctx: std::ptr::null_mut(),
        open: Some(open_file),
        pread: Some(read_file),
        close: Some(close_file),
    };
    let mut engine = std::ptr::null_mut();
    let mut error = igb_error::zeroed();
    assert_eq!(unsafe { igb_engine_new(&options, &files, &mut engine, &mut error) }, 0);
    Engine(engine)
}

/// Where statements are planned.
fn here() -> &'static Engine {
    static HERE: OnceLock<Engine> = OnceLock::new();
    HERE.get_or_init(|| new_engine("here", 8192))
}

/// Where their plans arrive.
fn there() -> &'static Arc<EngineShared> {
    static THERE: OnceLock<Engine> = OnceLock::new();
    let engine = THERE.get_or_init(|| new_engine("there", 8192));
    unsafe { &(*engine.0).shared }
}

fn new_session(time_zone: &str) -> *mut igb_session {
    let options = igb_session_options {
        time_zone: igb_str::borrowed(time_zone),
        views: false,
        user: igb_str::borrowed("ann"),
        catalog: igb_str::borrowed("igloo"),
        schema: igb_str::borrowed("main"),
        target_partitions: 3,
    };
    let (mut session, mut error) = (std::ptr::null_mut(), igb_error::zeroed());
    assert_eq!(unsafe { igb_session_new(here().0, &options, &mut session, &mut error) }, 0);
    session
}

// ---- tables and statements ------------------------------------------------------------------------

enum Table {
    Files(Vec<PathBuf>),
    View(String),
}

/// A session, and the tables that it knows.
struct World {
    session: *mut igb_session,
    folder: Folder,
    tables: HashMap<String, Table>,
}

fn lasting(text: &str) -> igb_str {
    igb_str::borrowed(Box::leak(text.to_string().into_boxed_str()))
}

fn fill(name: &str, found: &Table, table: &mut igb_table) {
    table.catalog = lasting("igloo");
    table.schema = lasting("main");
    table.name = lasting(name);
    match found {
        Table::View(sql) => {
            table.kind = IGB_TABLE_VIEW;
            table.sql = lasting(sql);
        }
        Table::Files(paths) => {
            let file = |path: &PathBuf| igb_file {
                path: lasting(path.to_str().unwrap()),
                id: id_of(path),
                partition_values: std::ptr::null(),
            };
            let files: &[igb_file] = Box::leak(paths.iter().map(file).collect());
            table.kind = IGB_TABLE_FILES;
            table.format = IGB_FORMAT_PARQUET;
            table.files = files.as_ptr();
            table.files_count = files.len();
        }
    }
}

unsafe extern "C" fn table(
    ctx: *mut c_void,
    _: u64,
    parts: *const igb_str,
    count: usize,
    ret_table: *mut igb_table,
    ret_error: *mut igb_error,
) -> i32 {
    let parts = strings(parts, count).unwrap();
    let name = parts.last().unwrap();
    match (*ctx.cast::<World>()).tables.get(name) {
        Some(found) => {
            let mut table = igb_table::zeroed();
            fill(name, found, &mut table);
            ret_table.write(table);
            0
        }
        None => {
            let message = format!("relation \"{name}\" does not exist");
            let error = Error::new(Status::NotFound, "42P01", message);
            ret_error.write(error.to_abi());
            error.status as i32
        }
    }
}

/// A statement that is planned.
struct Planned(*mut igb_plan);

impl Drop for Planned {
    fn drop(&mut self) {
        unsafe { igb_plan_free(self.0) };
    }
}

impl Planned {
    fn plan(&self) -> &Plan {
        unsafe { &(*self.0).shared }
    }

    fn physical(&self) -> Result<crate::plan::Physical> {
        planning(|| self.plan().physical(Cancel::NEVER, None))
    }
}

impl World {
    fn new() -> World {
        World { session: new_session("UTC"), folder: Folder::new(), tables: HashMap::new() }
    }

    fn session(&self) -> &Arc<SessionShared> {
        unsafe { &(*self.session).shared }
    }

    fn plan(&self, sql: &str) -> Result<Planned> {
        let names = igb_names {
            ctx: self as *const World as *mut c_void,
            table: Some(table),
            table_function: None,
        };
        let (mut plan, mut error) = (std::ptr::null_mut(), igb_error::zeroed());
        let sql = igb_str::borrowed(sql);
        let none = std::ptr::null();
        let status = planning(|| unsafe {
            igb_plan_sql(self.session, sql, &names, none, &mut plan, &mut error)
        });
        match status {
            0 => Ok(Planned(plan)),
            status => Err(Error::from_callback(status, &error)),
        }
    }

    /// Puts rows into a table's files.
    fn insert(&mut self, name: &str, batches: &[RecordBatch], schema: &SchemaRef) {
        let number = self.tables.len();
        let all = arrow::compute::concat_batches(schema, batches).unwrap();
        let table = self.tables.entry(name.to_string()).or_insert_with(|| Table::Files(Vec::new()));
        let Table::Files(paths) = table else { panic!("{name} is a view") };
        let file = format!("{name}-{number}-{}.parquet", paths.len());
        paths.push(self.folder.parquet(&file, &all));
    }

    /// The pairs, and the context of a task over there.
    fn task(&self) -> (Vec<(String, String)>, Arc<TaskContext>) {
        let session = self.session();
        let pairs = settings_to_pairs(&session.engine, session.state.config());
        let config = task_config(there(), &pairs).unwrap();
        (pairs, context_of(config))
    }

    fn send(&self, plan: &Arc<dyn ExecutionPlan>) -> Result<(Arc<dyn ExecutionPlan>, usize)> {
        let bytes = encode(&self.session().engine, plan)?;
        let (_, task) = self.task();
        Ok((decode(there(), &bytes, &task, &Over::default())?, bytes.len()))
    }
}

fn context_of(config: SessionConfig) -> Arc<TaskContext> {
    Arc::new(TaskContext::from(&there().base).with_session_config(config))
}

fn run(
    engine: &Arc<EngineShared>,
    plan: &Arc<dyn ExecutionPlan>,
    task: Arc<TaskContext>,
) -> Result<Vec<RecordBatch>> {
    let rows = engine.pools.cpu.block_on(async {
        let rows = AssertUnwindSafe(collect(Arc::clone(plan), task));
        futures::FutureExt::catch_unwind(rows).await
    });
    match rows {
        Ok(rows) => Ok(rows?),
        Err(panic) => Err(Error::panicked(&panic_text(panic.as_ref()))),
    }
}

/// A row as cells, floating point numbers by 9 digits: sums add them in any order.
fn cells(batches: &[RecordBatch]) -> Vec<String> {
    let options = FormatOptions::default().with_null("NULL");
    let mut rows = vec![];
    for batch in batches {
        let columns: Vec<_> = batch
            .columns()
            .iter()
            .map(|column| ArrayFormatter::try_new(column.as_ref(), &options).unwrap())
            .collect();
        for row in 0..batch.num_rows() {
            let cell = |(at, column): (usize, &ArrayFormatter)| {
                let text = column.value(row).to_string();
                match (batch.column(at).data_type().is_floating(), text.parse::<f64>()) {
                    (true, Ok(number)) => format!("{number:.9e}"),
                    _ => text,
                }
            };
            let cells: Vec<_> = columns.iter().enumerate().map(cell).collect();
            rows.push(cells.join("|"));
        }
    }
    rows.sort();
    rows
}

/// A plan's text, without the order in which a scan takes row groups: a guess that is not sent.
fn shown(plan: &Arc<dyn ExecutionPlan>) -> String {
    let text = displayable(plan.as_ref()).indent(true).to_string();
    let line = |line: &str| match line.split_once(", sort_order_for_reorder=[") {
        Some((start, rest)) => {
            let end = rest.split_once(']').map_or("", |(_, end)| end);
            format!("{start}{}\n", end.replace(", reverse_row_groups=true", ""))
        }
        None => format!("{line}\n"),
    };
    text.lines().map(line).collect()
}

/// What became of a statement that was sent.
#[derive(Debug, PartialEq)]
enum Sent {
    /// Bytes and rows.
    Same(usize, usize),
    /// With one SQLSTATE, here and there.
    Fails(String),
    Stays(String),
}

/// Sends the statement's plan and compares: the plan's text, its columns, and its rows or its error.
fn send_and_compare(
    world: &World,
    planned: &Planned,
    volatile: bool,
) -> std::result::Result<Sent, String> {
    let physical = planned.physical().map_err(|e| format!("not planned: {e}"))?;
    let engine = &world.session().engine;
    if let Err(reason) = planning(|| sendable(engine, &physical.plan)) {
        return Ok(Sent::Stays(reason));
    }
    let sent = planning(|| world.send(&physical.plan));
    let (there_plan, bytes) = sent.map_err(|e| format!("not sent: {e:?}"))?;
    if shown(&physical.plan) != shown(&there_plan) {
        return Err(format!("other plan:\n{}\n{}", shown(&physical.plan), shown(&there_plan)));
    }
    if physical.plan.schema() != there_plan.schema() {
        return Err(format!(
            "other columns: {:?} {:?}",
            physical.plan.schema(),
            there_plan.schema()
        ));
    }
    let direct = run(engine, &physical.plan, physical.task);
    let far = run(there(), &there_plan, world.task().1);
    match (direct, far) {
        (Ok(direct), Ok(far)) => {
            let (direct, far) = (cells(&direct), cells(&far));
            let same = if volatile { direct.len() == far.len() } else { direct == far };
            match same {
                true => Ok(Sent::Same(bytes, direct.len())),
                false => Err(format!("other rows: {direct:?} {far:?}")),
            }
        }
        (Err(direct), Err(far))
            if (&direct.sqlstate, &direct.message) == (&far.sqlstate, &far.message) =>
        {
            Ok(Sent::Fails(far.sqlstate.clone()))
        }
        (direct, far) => Err(format!("other outcome: {direct:?} {far:?}")),
    }
}
