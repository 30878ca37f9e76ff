//! A panic at each boundary is one error of class XX, and the engine goes on: the next statement is
//! right and no memory stays reserved.

use std::ffi::c_void;
use std::sync::Arc;
use std::time::{Duration, Instant};

use arrow::array::RecordBatch;

use crate::abi::*;
use crate::engine::EngineShared;
use crate::session::{igb_session, igb_session_free};
use crate::smoke::{failure, new_session, people, plan_on, planning, run_plan, Failure, Planned};
use crate::write::igb_query_write;

/// A session of an engine of its own, so that the points are nobody else's.
struct Subject(*mut igb_session);

impl Subject {
    fn new() -> Subject {
        Subject(new_session())
    }

    fn engine(&self) -> Arc<EngineShared> {
        Arc::clone(&unsafe { &*self.0 }.shared.engine)
    }

    fn plan(&self, sql: &str) -> Result<Planned, Failure> {
        plan_on(self.0, sql, std::ptr::null())
    }
}

impl Drop for Subject {
    fn drop(&mut self) {
        unsafe { igb_session_free(self.0) };
    }
}

/// The first column's values as text.
fn texts(batches: &[RecordBatch]) -> Vec<String> {
    let text = |batch: &RecordBatch, row| {
        arrow::util::display::array_value_to_string(batch.column(0), row).unwrap()
    };
    batches.iter().flat_map(|b| (0..b.num_rows()).map(move |row| text(b, row))).collect()
}

fn by_stream(subject: &Subject, sql: &str) -> Result<Vec<String>, Failure> {
    Ok(texts(&run_plan(&subject.plan(sql)?)?.1))
}

/// Written files: their bytes, and whether each was finished.
#[derive(Default)]
struct Disk(Vec<u8>);

unsafe extern "C" fn create(
    ctx: *mut c_void,
    _: igb_str,
    _: igb_str,
    ret_file: *mut *mut c_void,
    _: *mut igb_error,
) -> i32 {
    unsafe { ret_file.write(ctx) };
    0
}

unsafe extern "C" fn write(
    _: *mut c_void,
    file: *mut c_void,
    data: *const u8,
    len: usize,
    _: *mut igb_error,
) -> i32 {
    let bytes = unsafe { std::slice::from_raw_parts(data, len) };
    unsafe { &mut *file.cast::<Disk>() }.0.extend_from_slice(bytes);
    0
}

unsafe extern "C" fn finish(_: *mut c_void, _: *mut c_void, _: i64, _: *mut igb_error) -> i32 {
    0
}

unsafe extern "C" fn abandon(_: *mut c_void, _: *mut c_void) {}

/// The lines of a CSV file that the engine wrote.
fn by_writing(subject: &Subject, sql: &str) -> Result<Vec<String>, Failure> {
    let plan = subject.plan(sql)?;
    let mut error = igb_error::zeroed();
    let mut disk = Disk::default();
    let target = igb_target {
        ctx: (&mut disk as *mut Disk).cast(),
        create: Some(create),
        write: Some(write),
        finish: Some(finish),
        abandon: Some(abandon),
    };
    let options = igb_write_options {
        format: IGB_FORMAT_CSV,
        options: std::ptr::null(),
        options_count: 0,
        partition_columns: std::ptr::null(),
        partition_columns_count: 0,
        files_max: 1,
    };
    let mut rows = 0;
    let rc = planning(|| unsafe {
        igb_query_write(
            plan.0,
            &options,
            &target,
            std::ptr::null(),
            std::ptr::null(),
            &mut rows,
            &mut error,
        )
    });
    if rc != 0 {
        return Err(failure(&error));
    }
    Ok(String::from_utf8(disk.0).unwrap().lines().skip(1).map(str::to_string).collect())
}

type Way = fn(&Subject, &str) -> Result<Vec<String>, Failure>;

/// Panic at the first, second … passing of `point` until it is not passed that often.
fn panics_are_errors(point: &'static str, way: Way) {
    let subject = Subject::new();
    let engine = subject.engine();
    let path = people();
    let sql = format!("SELECT name FROM read_csv('{path}') ORDER BY score NULLS LAST, id");
    let right = vec!["ann", "cy", "bob"];
    assert_eq!(way(&subject, &sql).unwrap(), right);
    let mut failures = 0;
    for nth in 1..1000 {
        engine.files.fail.arm(point, nth);
        let done = way(&subject, &sql);
        if engine.files.fail.disarm() {
            assert_eq!(done.unwrap(), right, "without a panic");
            break;
        }
        let told = done.expect_err("a panic became a success");
        assert_eq!(told.state, "XX000", "{told:?}");
        assert!(told.message.starts_with("the engine failed unexpectedly"), "{told:?}");
        assert!(told.message.contains(point), "{told:?}");
        failures += 1;
        assert_eq!(way(&subject, &sql).unwrap(), right, "after panic {nth} at {point}");
    }
    assert!(failures > 0, "{point} was never passed");
    // What a query holds is given back on threads of the engine.
    let deadline = Instant::now() + Duration::from_secs(10);
    while engine.runtime_env.memory_pool.reserved() > 0 && Instant::now() < deadline {
        std::thread::yield_now();
    }
    assert_eq!(engine.runtime_env.memory_pool.reserved(), 0, "reserved after panics at {point}");
}

#[test]
fn panic_while_planning_is_an_error_and_the_next_statement_is_right() {
    panics_are_errors("plan", by_stream);
    panics_are_errors("physical", by_stream);
}

#[test]
fn panic_in_a_scan_is_an_error_and_the_next_statement_is_right() {
    panics_are_errors("open", by_stream);
    panics_are_errors("read", by_stream);
}

#[test]
fn panic_while_running_is_an_error_and_the_next_statement_is_right() {
    panics_are_errors("run", by_stream);
    panics_are_errors("run", by_writing);
}

#[test]
fn panic_in_a_stream_is_an_error_and_the_next_statement_is_right() {
    panics_are_errors("stream", by_stream);
}

#[test]
fn panic_while_writing_is_an_error_and_the_next_statement_is_right() {
    panics_are_errors("write", by_writing);
}
