use std::sync::atomic::{AtomicUsize, Ordering};

use arrow::array::{ArrayRef, Int32Array, RecordBatch, StringArray};
use arrow::datatypes::{DataType, Field};
use arrow::ffi::FFI_ArrowSchema;
use datafusion::prelude::col;

use super::*;
use crate::abi::{igb_str, IGB_TABLE_STREAM};
use crate::file_table::tests::{frame, rows_of, session, shown};
use crate::stream::export;

fn batch(range: std::ops::Range<i32>) -> RecordBatch {
    let n: ArrayRef = Arc::new(range.clone().collect::<Int32Array>());
    let s: ArrayRef = Arc::new(range.map(|i| Some(format!("s{i}"))).collect::<StringArray>());
    RecordBatch::try_from_iter_with_nullable([("n", n, true), ("s", s, true)]).unwrap()
}

/// What C's side of a stream does.
#[derive(Default)]
struct Script {
    batches: usize,
    fails_to_open: bool,
    fails_after: Option<usize>,
    opened: AtomicUsize,
    given: AtomicUsize,
    streams_released: AtomicUsize,
    released: AtomicUsize,
}

struct Rows {
    script: &'static Script,
    given: usize,
}

impl BatchSource for Rows {
    fn schema(&self) -> SchemaRef {
        batch(0..0).schema()
    }

    fn next(&mut self) -> Result<Option<RecordBatch>> {
        if self.script.fails_after == Some(self.given) {
            return Err(Error::new(Status::IoError, "58030", "the source broke"));
        }
        if self.given == self.script.batches {
            return Ok(None);
        }
        self.given += 1;
        self.script.given.fetch_add(1, Ordering::SeqCst);
        let start = (self.given as i32 - 1) * 10;
        Ok(Some(batch(start..start + 10)))
    }
}

impl Drop for Rows {
    fn drop(&mut self) {
        self.script.streams_released.fetch_add(1, Ordering::SeqCst);
    }
}

unsafe extern "C" fn open(
    ctx: *mut c_void,
    ret_stream: *mut FFI_ArrowArrayStream,
    ret_error: *mut igb_error,
) -> i32 {
    let script: &'static Script = &*ctx.cast::<Script>();
    if script.fails_to_open {
        let error = Error::new(Status::PermissionDenied, "42501", "permission denied for stream");
        ret_error.write(error.to_abi());
        return error.status as i32;
    }
    script.opened.fetch_add(1, Ordering::SeqCst);
    ret_stream.write(export(Box::new(Rows { script, given: 0 })));
    0
}

unsafe extern "C" fn release(ctx: *mut c_void) {
    (*ctx.cast::<Script>()).released.fetch_add(1, Ordering::SeqCst);
}

fn table_of(script: &'static Script, schema: &Schema) -> Arc<dyn TableProvider> {
    let schema = FFI_ArrowSchema::try_from(schema).unwrap();
    let mut table: igb_table = unsafe { std::mem::zeroed() };
    table.kind = IGB_TABLE_STREAM;
    table.name = igb_str::borrowed("numbers");
    table.stream_schema = &schema;
    table.stream_open = Some(open);
    table.stream_ctx = script as *const Script as *mut c_void;
    table.release = Some(release);
    table.release_ctx = table.stream_ctx;
    unsafe { StreamTable::new(&session().engine, &table) }.unwrap()
}

fn table(script: Script) -> (&'static Script, Arc<dyn TableProvider>) {
    let script = Box::leak(Box::new(script));
    let schema = batch(0..0).schema();
    (script, table_of(script, &schema))
}

fn until(holds: impl Fn() -> bool) {
    let deadline = std::time::Instant::now() + std::time::Duration::from_secs(10);
    while !holds() && std::time::Instant::now() < deadline {
        std::thread::yield_now();
    }
    assert!(holds());
}

#[test]
fn stream_gives_its_rows_in_order_and_only_when_it_is_run() {
    let (script, table) = table(Script { batches: 3, ..Default::default() });
    let frame = frame(table);
    assert_eq!(script.opened.load(Ordering::SeqCst), 0, "planning opens nothing");
    let rows = rows_of(frame.select(vec![col("s")]).unwrap()).unwrap();
    let text = rows.column(0).as_any().downcast_ref::<StringArray>().unwrap();
    let expected: Vec<String> = (0..30).map(|i| format!("s{i}")).collect();
    assert!(text.iter().flatten().eq(expected.iter().map(String::as_str)));
    until(|| script.streams_released.load(Ordering::SeqCst) == 1);
}

#[test]
fn limit_stops_the_reading() {
    let (script, table) = table(Script { batches: 1000, ..Default::default() });
    let limited = frame(table).limit(0, Some(3)).unwrap();
    assert_eq!(shown(limited), "0|s0\n1|s1\n2|s2");
    until(|| script.streams_released.load(Ordering::SeqCst) == 1);
    assert!(script.given.load(Ordering::SeqCst) < 10, "read one batch ahead, not all");
}

#[test]
fn failure_to_open_keeps_its_sqlstate() {
    let (_, table) = table(Script { fails_to_open: true, ..Default::default() });
    let error = rows_of(frame(table)).unwrap_err();
    assert_eq!((error.status, error.sqlstate.as_str()), (Status::PermissionDenied, "42501"));
}

#[test]
fn failure_while_reading_is_an_error_and_not_the_end() {
    let (script, table) = table(Script { batches: 5, fails_after: Some(2), ..Default::default() });
    let error = rows_of(frame(table)).unwrap_err();
    assert_eq!((error.status, error.message.as_str()), (Status::IoError, "the source broke"));
    until(|| script.streams_released.load(Ordering::SeqCst) == 1);
}

#[test]
fn stream_of_other_columns_than_declared_is_refused() {
    let script: &'static Script = Box::leak(Box::new(Script { batches: 1, ..Default::default() }));
    let table = table_of(script, &Schema::new(vec![Field::new("n", DataType::Int64, true)]));
    let error = rows_of(frame(table)).unwrap_err();
    assert_eq!(error.sqlstate, "55000");
    assert!(error.message.contains("\"numbers\""), "{}", error.message);
}

#[test]
fn table_is_released_once_after_its_last_use() {
    let (script, table) = table(Script { batches: 1, ..Default::default() });
    let frame = frame(Arc::clone(&table));
    drop(table);
    rows_of(frame).unwrap();
    until(|| script.released.load(Ordering::SeqCst) == 1);
}
