use std::ffi::c_void;
use std::sync::atomic::AtomicI32;
use std::sync::mpsc;
use std::time::Instant;

use arrow::array::*;
use arrow::compute::concat_batches;
use arrow::datatypes::{DataType, Field, Int32Type, Schema};
use datafusion::physical_plan::stream::RecordBatchStreamAdapter;
use futures::Stream;

use super::promise::narrowed_bytes;
use super::*;
use crate::file_table::tests::session;

fn schema() -> SchemaRef {
    Arc::new(Schema::new(vec![Field::new("n", DataType::Int64, false)]))
}

fn batch(range: std::ops::Range<i64>) -> RecordBatch {
    RecordBatch::try_new(schema(), vec![Arc::new(range.collect::<Int64Array>())]).unwrap()
}

type Rows = datafusion::error::Result<RecordBatch>;

fn start(rows: impl Stream<Item = Rows> + Send + 'static, cancel: Cancel) -> Arc<Running> {
    let stream = Box::pin(RecordBatchStreamAdapter::new(schema(), rows));
    Running::start_stream(&session().engine, stream, None, schema(), cancel, Default::default())
}

fn drain(running: &Running) -> Result<i64> {
    let mut rows = 0;
    while let Some(batch) = running.next()? {
        rows += batch.num_rows() as i64;
    }
    Ok(rows)
}

unsafe extern "C" fn read_token(ctx: *mut c_void) -> i32 {
    (*ctx.cast::<AtomicI32>()).load(Ordering::SeqCst)
}

fn token(state: &'static AtomicI32) -> Cancel {
    let ctx = state as *const AtomicI32 as *mut c_void;
    unsafe { Cancel::from_abi(&igb_cancel { ctx, check: Some(read_token) }) }
}

fn endless() -> impl Stream<Item = Rows> + Send {
    futures::stream::pending()
}

#[test]
fn rows_arrive_in_order_and_then_the_end() {
    let rows = (0..100).map(|i| Ok(batch(i * 10..i * 10 + 10)));
    let running = start(futures::stream::iter(rows), Cancel::NEVER);
    let mut batches = vec![];
    while let Some(batch) = running.next().unwrap() {
        batches.push(batch);
    }
    assert_eq!(concat_batches(&schema(), &batches).unwrap(), batch(0..1000));
    assert!(running.next().unwrap().is_none(), "the end stays the end");
    assert_eq!(running.progress().rows_returned, 1000);
}

#[test]
fn channel_holds_no_more_than_its_bytes_beside_one_batch() {
    static GIVEN: AtomicI64 = AtomicI64::new(0);
    // 16 KiB each; the channel of the tests holds 64 KiB.
    let rows = futures::stream::iter((0..100).map(|_| {
        GIVEN.fetch_add(1, Ordering::SeqCst);
        Ok(batch(0..2048))
    }));
    let running = start(rows, Cancel::NEVER);
    let deadline = Instant::now() + Duration::from_secs(5);
    while GIVEN.load(Ordering::SeqCst) < 5 && Instant::now() < deadline {
        std::thread::yield_now();
    }
    // Give a pump that does not stop every chance to show it.
    let (_sender, receiver) = mpsc::channel::<()>();
    let _ = receiver.recv_timeout(Duration::from_millis(200));
    assert_eq!(GIVEN.load(Ordering::SeqCst), 5, "four in the channel, one waits at its door");
    assert!(lock(&running.channel).queued_bytes <= 64 << 10);
    assert_eq!(drain(&running).unwrap(), 204_800);
}

#[test]
fn batch_larger_than_the_channel_passes() {
    let running = start(futures::stream::iter([Ok(batch(0..100_000))]), Cancel::NEVER);
    assert_eq!(drain(&running).unwrap(), 100_000);
}

#[test]
fn error_of_the_plan_reaches_the_reader_with_its_type() {
    let failed = Error::new(Status::DataError, "22012", "division by zero");
    let rows = [Ok(batch(0..1)), Err(datafusion::error::DataFusionError::External(failed))];
    let running = start(futures::stream::iter(rows), Cancel::NEVER);
    let error = drain(&running).unwrap_err();
    assert_eq!((error.sqlstate.as_str(), error.message.as_str()), ("22012", "division by zero"));
}

#[test]
fn panic_in_the_plan_is_an_error() {
    let rows = futures::stream::poll_fn(|_| -> std::task::Poll<Option<Rows>> { panic!("kaput") });
    let error = drain(&start(rows, Cancel::NEVER)).unwrap_err();
    assert_eq!((error.sqlstate.as_str(), error.status), ("XX000", Status::Internal));
    assert!(error.detail.contains("kaput"), "{}", error.detail);
}

#[test]
fn cancel_answers_a_waiting_reader_at_once() {
    let running = start(endless(), Cancel::NEVER);
    let other = Arc::clone(&running);
    let (sender, receiver) = mpsc::channel();
    let reader = std::thread::spawn(move || {
        sender.send(()).unwrap();
        other.next().map(|_| ()).unwrap_err()
    });
    receiver.recv().unwrap();
    let asked = Instant::now();
    running.finish(Err(Error::stopped(Status::Cancelled as i32)));
    let error = reader.join().unwrap();
    assert!(asked.elapsed() < Duration::from_millis(500), "{:?}", asked.elapsed());
    assert_eq!(error.sqlstate, "57014");
    assert_eq!(error.message, "canceling statement due to user request");
}

#[test]
fn passed_deadline_ends_a_query_that_nobody_reads() {
    static STATE: AtomicI32 = AtomicI32::new(0);
    let running = start(endless(), token(&STATE));
    STATE.store(Status::DeadlineExceeded as i32, Ordering::SeqCst);
    let deadline = Instant::now() + Duration::from_secs(5);
    while lock(&running.channel).end.is_none() && Instant::now() < deadline {
        std::thread::yield_now();
    }
    let error = running.next().map(|_| ()).unwrap_err();
    assert_eq!(error.status, Status::DeadlineExceeded);
    assert_eq!(error.message, "canceling statement due to statement timeout");
}

#[test]
fn operator_that_never_yields_does_not_hold_up_the_answer() {
    static STATE: AtomicI32 = AtomicI32::new(0);
    static STOP: AtomicBool = AtomicBool::new(false);
    let rows = futures::stream::poll_fn(|_| -> std::task::Poll<Option<Rows>> {
        while !STOP.load(Ordering::SeqCst) {
            std::hint::spin_loop();
        }
        std::task::Poll::Ready(None)
    });
    let running = start(rows, token(&STATE));
    STATE.store(Status::Cancelled as i32, Ordering::SeqCst);
    let asked = Instant::now();
    let error = running.next().map(|_| ()).unwrap_err();
    assert!(asked.elapsed() < Duration::from_millis(500), "{:?}", asked.elapsed());
    assert_eq!(error.status, Status::Cancelled);
    STOP.store(true, Ordering::SeqCst);
}

#[test]
fn token_is_not_asked_after_the_query_was_closed() {
    static STATE: AtomicI32 = AtomicI32::new(0);
    static ASKED: AtomicI64 = AtomicI64::new(0);
    unsafe extern "C" fn count(ctx: *mut c_void) -> i32 {
        ASKED.fetch_add(1, Ordering::SeqCst);
        read_token(ctx)
    }
    let ctx = &STATE as *const AtomicI32 as *mut c_void;
    let cancel = unsafe { Cancel::from_abi(&igb_cancel { ctx, check: Some(count) }) };
    let running = start(endless(), cancel);
    let deadline = Instant::now() + Duration::from_secs(5);
    while ASKED.load(Ordering::SeqCst) < 2 && Instant::now() < deadline {
        std::thread::yield_now();
    }
    running.close();
    let asked = ASKED.load(Ordering::SeqCst);
    assert!(running.next().is_err(), "a closed query has no rows");
    assert_eq!(ASKED.load(Ordering::SeqCst), asked);
}

// ---- the promised schema -----------------------------------------------------------------------

fn promise(fields: Vec<Field>) -> Promise {
    Promise::new(Arc::new(Schema::new(fields)))
}

#[test]
fn views_become_text_and_dictionaries_what_was_promised() {
    let view: ArrayRef = Arc::new(StringViewArray::from(vec![Some("a long enough text"), None]));
    let dictionary: DictionaryArray<Int32Type> = ["x", "y"].into_iter().collect();
    let dictionary: ArrayRef = Arc::new(dictionary);
    let given = RecordBatch::try_from_iter([("a", view), ("a", dictionary)]).unwrap();
    let fields =
        vec![Field::new("first", DataType::Utf8, true), Field::new("second", DataType::Utf8, true)];
    let kept = promise(fields).keep(given).unwrap();
    assert_eq!(kept.len(), 1);
    assert_eq!(kept[0].schema().field(0).name(), "first");
    let text = kept[0].column(0).as_string::<i32>();
    assert_eq!(text.iter().collect::<Vec<_>>(), [Some("a long enough text"), None]);
    assert_eq!(kept[0].column(1).as_string::<i32>().value(1), "y");
}

#[test]
fn null_in_a_column_promised_without_is_an_internal_error() {
    let column: ArrayRef = Arc::new(Int64Array::from(vec![Some(1), None]));
    let given = RecordBatch::try_from_iter_with_nullable([("n", column, true)]).unwrap();
    let error = promise(vec![Field::new("n", DataType::Int64, false)]).keep(given).unwrap_err();
    assert_eq!(error.sqlstate, "XX000");
}

#[test]
fn rows_of_another_type_than_promised_are_never_bent_to_fit() {
    let column: ArrayRef = Arc::new(Float64Array::from(vec![2.5]));
    let given = RecordBatch::try_from_iter([("v", column)]).unwrap();
    let error = promise(vec![Field::new("v", DataType::Int64, true)]).keep(given).unwrap_err();
    assert_eq!(error.sqlstate, "XX000");
    let column: ArrayRef = Arc::new(Int32Array::from(vec![2]));
    let given = RecordBatch::try_from_iter([("v", column)]).unwrap();
    let kept = promise(vec![Field::new("v", DataType::Int64, true)]).keep(given).unwrap();
    assert_eq!(kept[0].column(0).as_primitive::<arrow::datatypes::Int64Type>().value(0), 2);
}

#[test]
fn text_beyond_32_bit_offsets_is_split() {
    // Every view points at the same mebibyte, so 3 GiB of text take little room.
    let mut text = StringViewBuilder::new();
    let block = text.append_block(vec![b'x'; 1 << 20].into());
    for _ in 0..3072 {
        text.try_append_view(block, 0, 1 << 20).unwrap();
    }
    let column: ArrayRef = Arc::new(text.finish());
    let given = RecordBatch::try_from_iter([("t", column)]).unwrap();
    assert!(
        narrowed_bytes(given.column(0), &Arc::new(Field::new("t", DataType::Utf8, true)))
            >= 3 << 30
    );
    let half = given.slice(0, 2);
    let kept = promise(vec![Field::new("t", DataType::Utf8, true)]).keep(half).unwrap();
    assert_eq!(kept.iter().map(|b| b.num_rows()).collect::<Vec<_>>(), [2]);
}

#[test]
fn rows_without_columns_are_counted() {
    let options = RecordBatchOptions::new().with_row_count(Some(7));
    let empty = Arc::new(Schema::empty());
    let given = RecordBatch::try_new_with_options(Arc::clone(&empty), vec![], &options).unwrap();
    assert_eq!(Promise::new(empty).keep(given).unwrap()[0].num_rows(), 7);
}

#[test]
fn leaves_tell_rows_and_bytes() {
    let folder = crate::file_table::tests::Folder::new();
    let path = folder.file("a.csv", "n\n1\n2\n3\n");
    let given = crate::file_table::tests::Given::new(crate::abi::IGB_FORMAT_CSV, &[&path]);
    let running = crate::file_table::tests::start(given.frame()).unwrap();
    assert_eq!(drain(&running).unwrap(), 3);
    let progress = running.progress();
    assert_eq!((progress.rows_scanned, progress.rows_returned), (3, 3));
    assert_eq!((progress.bytes_total, progress.bytes_scanned), (8, 8));
}
