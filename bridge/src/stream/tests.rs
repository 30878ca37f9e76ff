use arrow::array::{ArrayRef, Int32Array};
use arrow::ffi_stream::ArrowArrayStreamReader;

use super::*;

struct Scripted {
    schema: SchemaRef,
    steps: std::vec::IntoIter<Result<RecordBatch>>,
    panics: bool,
}

impl BatchSource for Scripted {
    fn schema(&self) -> SchemaRef {
        Arc::clone(&self.schema)
    }

    fn next(&mut self) -> Result<Option<RecordBatch>> {
        match self.steps.next() {
            Some(step) => step.map(Some),
            None if self.panics => panic!("broken source"),
            None => Ok(None),
        }
    }
}

fn batch(name: &str) -> RecordBatch {
    let column: ArrayRef = Arc::new(Int32Array::from(vec![Some(1), None, Some(3)]));
    RecordBatch::try_from_iter_with_nullable([(name, column, true)]).unwrap()
}

fn scripted(name: &str, steps: Vec<Result<RecordBatch>>, panics: bool) -> FFI_ArrowArrayStream {
    let schema = batch(name).schema();
    export(Box::new(Scripted { schema, steps: steps.into_iter(), panics }))
}

fn next(stream: &mut FFI_ArrowArrayStream) -> (c_int, bool) {
    let mut array = FFI_ArrowArray::empty();
    let code = unsafe { stream.get_next.unwrap()(stream, &mut array) };
    (code, !array.is_released())
}

fn last_error(stream: &mut FFI_ArrowArrayStream) -> String {
    let text = unsafe { stream.get_last_error.unwrap()(stream) };
    unsafe { CStr::from_ptr(text) }.to_str().unwrap().to_string()
}

#[test]
fn exported_rows_are_what_arrow_reads() {
    let stream = scripted("n", vec![Ok(batch("n")), Ok(batch("n").slice(1, 2))], false);
    let reader = ArrowArrayStreamReader::try_new(stream).unwrap();
    let batches: Vec<_> = reader.map(|b| b.unwrap()).collect();
    assert_eq!(batches, [batch("n"), batch("n").slice(1, 2)]);
}

#[test]
fn own_import_reads_own_export() {
    let stream = scripted("n", vec![Ok(batch("n"))], false);
    let mut imported = Imported::new(stream, true).unwrap();
    assert_eq!(imported.next().unwrap(), Some(batch("n")));
    assert_eq!(imported.next().unwrap(), None);
}

#[test]
fn errors_are_codes_with_a_text_that_stays() {
    let error = Error::new(Status::ResourceExhausted, "53200", "no \0 memory");
    let mut stream = scripted("n", vec![Err(error), Ok(batch("n"))], false);
    assert_eq!(next(&mut stream), (ENOMEM, false));
    assert_eq!(last_error(&mut stream), "no \u{fffd} memory");
    let first = unsafe { stream.get_last_error.unwrap()(&mut stream) };
    assert_eq!(next(&mut stream), (0, true));
    assert_eq!(first, unsafe { stream.get_last_error.unwrap()(&mut stream) });
}

#[test]
fn panic_in_a_source_is_an_error_of_the_stream() {
    let mut stream = scripted("n", vec![], true);
    assert_eq!(next(&mut stream), (EINVAL, false));
    assert!(!last_error(&mut stream).is_empty());
}

#[test]
fn nul_in_a_name_is_replaced() {
    let stream = scripted("a\0b", vec![Ok(batch("a\0b"))], false);
    let reader = ArrowArrayStreamReader::try_new(stream).unwrap();
    let batches: Vec<_> = reader.map(|b| b.unwrap()).collect();
    assert_eq!(batches[0].schema().field(0).name(), "a\u{fffd}b");
}

#[test]
fn released_stream_is_refused() {
    let mut stream = scripted("n", vec![], false);
    let release = stream.release.unwrap();
    unsafe { release(&mut stream) };
    assert!(stream.release.is_none());
    assert!(Imported::new(stream, true).is_err());
}

#[test]
fn errors_of_a_foreign_stream_keep_their_meaning() {
    let stopped = Error::stopped(Status::DeadlineExceeded as i32);
    let mut imported = Imported::new(scripted("n", vec![Err(stopped)], false), true).unwrap();
    let error = imported.next().unwrap_err();
    assert_eq!(error.status, Status::DeadlineExceeded);
    assert_eq!(error.message, "canceling statement due to statement timeout");
}
