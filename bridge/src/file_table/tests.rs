//! Tests of tables of files, and what the tests of queries and writes share: an engine over real
//! files, and tables without C's names.

use std::ffi::c_void;
use std::fs::File;
use std::os::unix::fs::{FileExt as _, MetadataExt};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::OnceLock;

use arrow::array::*;
use arrow::compute::concat_batches;
use arrow::datatypes::Int32Type;
use arrow::util::pretty::pretty_format_batches;
use datafusion::dataframe::DataFrame;
use datafusion::parquet::arrow::ArrowWriter;
use datafusion::prelude::{col, lit, SessionContext};

use super::*;
use crate::abi::*;
use crate::engine::{igb_engine, igb_engine_new};
use crate::query::Running;
use crate::session::{igb_session, igb_session_new};

// ---- an engine --------------------------------------------------------------------------------

pub(crate) static OPEN_FILES: AtomicUsize = AtomicUsize::new(0);

pub(crate) fn id_of(path: &Path) -> igb_file_id {
    let meta = std::fs::metadata(path).unwrap();
    igb_file_id {
        size: meta.size(),
        mtime_ns: meta.mtime() * 1_000_000_000 + meta.mtime_nsec(),
        inode: meta.ino(),
    }
}

unsafe extern "C" fn open_file(
    _: *mut c_void,
    path: igb_str,
    id: *const igb_file_id,
    ret_file: *mut *mut c_void,
    ret_id: *mut igb_file_id,
    ret_error: *mut igb_error,
) -> i32 {
    let path = path.text().unwrap();
    let found = id_of(Path::new(path));
    if !id.is_null() && *id != found {
        let message = format!("file \"{path}\" changed during the query");
        let error = Error::new(Status::FailedPrecondition, "55000", message);
        ret_error.write(error.to_abi());
        return error.status as i32;
    }
    ret_id.write(found);
    OPEN_FILES.fetch_add(1, Ordering::SeqCst);
    ret_file.write(Box::into_raw(Box::new(File::open(path).unwrap())).cast());
    0
}

pub(crate) unsafe extern "C" fn read_file(
    _: *mut c_void,
    file: *mut c_void,
    offset: u64,
    bytes: *mut u8,
    len: usize,
    _: *mut igb_error,
) -> i32 {
    let bytes = std::slice::from_raw_parts_mut(bytes, len);
    (*file.cast::<File>()).read_exact_at(bytes, offset).unwrap();
    0
}

unsafe extern "C" fn close_file(_: *mut c_void, file: *mut c_void) {
    OPEN_FILES.fetch_sub(1, Ordering::SeqCst);
    drop(Box::from_raw(file.cast::<File>()));
}

/// One engine for all tests: two threads, 64 KiB channels.
pub(crate) fn session() -> &'static Arc<SessionShared> {
    static SESSION: OnceLock<Arc<SessionShared>> = OnceLock::new();
    SESSION.get_or_init(|| unsafe {
        let spill = std::env::temp_dir().join(format!("igb-spill-{}", std::process::id()));
        std::fs::create_dir_all(&spill).unwrap();
        let spill = spill.to_str().unwrap().to_string();
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
            spill_dir: igb_str::borrowed(&spill),
            spill_bytes: 1 << 30,
            batch_rows: 8192,
            plan_nodes: 20_000,
            sql_nesting: 200,
            version: igb_str::borrowed("test"),
        };
        let files = igb_files {
            ctx: std::ptr::null_mut(),
            open: Some(open_file),
            pread: Some(read_file),
            close: Some(close_file),
        };
        let mut engine: *mut igb_engine = std::ptr::null_mut();
        let mut error = igb_error::zeroed();
        assert_eq!(igb_engine_new(&options, &files, &mut engine, &mut error), 0);
        let mut options: igb_session_options = std::mem::zeroed();
        options.time_zone = igb_str::borrowed("UTC");
        let mut session: *mut igb_session = std::ptr::null_mut();
        assert_eq!(igb_session_new(engine, &options, &mut session, &mut error), 0);
        let session: &igb_session = &*session;
        Arc::clone(&session.shared)
    })
}

/// A folder that is removed with it.
pub(crate) struct Folder(pub PathBuf);

impl Folder {
    pub fn new() -> Folder {
        static NUMBER: AtomicUsize = AtomicUsize::new(0);
        let number = NUMBER.fetch_add(1, Ordering::SeqCst);
        let path = std::env::temp_dir().join(format!("igb-test-{}-{number}", std::process::id()));
        std::fs::create_dir_all(&path).unwrap();
        Folder(path)
    }

    pub fn file(&self, name: &str, bytes: impl AsRef<[u8]>) -> PathBuf {
        let path = self.0.join(name);
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        std::fs::write(&path, bytes).unwrap();
        path
    }

    pub fn parquet(&self, name: &str, batch: &RecordBatch) -> PathBuf {
        let mut bytes = vec![];
        let mut writer = ArrowWriter::try_new(&mut bytes, batch.schema(), None).unwrap();
        writer.write(batch).unwrap();
        writer.close().unwrap();
        self.file(name, bytes)
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        let _ = std::fs::remove_dir_all(&self.0);
    }
}

/// A table of files as C describes it, with all that the description borrows.
#[derive(Default)]
pub(crate) struct Given {
    pub format: i32,
    pub paths: Vec<PathBuf>,
    pub options: Vec<(&'static str, &'static str)>,
    pub compression: &'static str,
    pub columns: Option<Schema>,
    pub partition: Vec<&'static str>,
    pub values: Vec<Vec<Option<&'static str>>>,
    pub released: Option<&'static AtomicUsize>,
}

unsafe extern "C" fn count_release(ctx: *mut c_void) {
    (*ctx.cast::<AtomicUsize>()).fetch_add(1, Ordering::SeqCst);
}

fn text(text: &str) -> igb_str {
    igb_str::borrowed(text)
}

impl Given {
    pub fn new(format: i32, paths: &[&PathBuf]) -> Given {
        Given {
            format,
            paths: paths.iter().map(|p| p.to_path_buf()).collect(),
            ..Default::default()
        }
    }

    pub fn table(&self) -> Result<Arc<FileTable>> {
        let none = igb_str { data: std::ptr::null(), len: 0 };
        let value = |value: &Option<&'static str>| value.map_or(none, text);
        let values: Vec<Vec<igb_str>> =
            self.values.iter().map(|own| own.iter().map(value).collect()).collect();
        let file = |(at, path): (usize, &PathBuf)| igb_file {
            path: text(path.to_str().unwrap()),
            id: id_of(path),
            partition_values: values.get(at).map_or(std::ptr::null(), |own| own.as_ptr()),
        };
        let files: Vec<igb_file> = self.paths.iter().enumerate().map(file).collect();
        let options: Vec<igb_pair> =
            self.options.iter().map(|(k, v)| igb_pair { key: text(k), value: text(v) }).collect();
        let partition: Vec<igb_str> = self.partition.iter().map(|p| text(p)).collect();
        let columns =
            self.columns.as_ref().map(|c| arrow::ffi::FFI_ArrowSchema::try_from(c).unwrap());
        let mut table: igb_table = unsafe { std::mem::zeroed() };
        table.kind = IGB_TABLE_FILES;
        table.name = text("t");
        table.format = self.format;
        table.files = files.as_ptr();
        table.files_count = files.len();
        table.options = options.as_ptr();
        table.options_count = options.len();
        table.partition_columns = partition.as_ptr();
        table.partition_columns_count = partition.len();
        table.compression = text(self.compression);
        table.columns = columns.as_ref().map_or(std::ptr::null(), |c| c as *const _);
        if let Some(released) = self.released {
            table.release = Some(count_release);
            table.release_ctx = released as *const AtomicUsize as *mut c_void;
        }
        unsafe { FileTable::new(session(), &table, Cancel::NEVER) }
    }

    pub fn frame(&self) -> DataFrame {
        frame(self.table().unwrap())
    }
}

pub(crate) fn frame(table: Arc<dyn TableProvider>) -> DataFrame {
    SessionContext::new_with_state(session().state.clone()).read_table(table).unwrap()
}

/// Starts the frame as a query is started.
pub(crate) fn start(frame: DataFrame) -> Result<Arc<Running>> {
    let engine = &session().engine;
    let task = frame.task_ctx();
    let plan = engine.pools.cpu.block_on(frame.create_physical_plan())?;
    let field = |field: &FieldRef| match field.data_type() {
        DataType::Utf8View => field.as_ref().clone().with_data_type(DataType::Utf8),
        DataType::BinaryView => field.as_ref().clone().with_data_type(DataType::Binary),
        _ => field.as_ref().clone(),
    };
    let fields: Vec<Field> = plan.schema().fields().iter().map(field).collect();
    Running::start(
        engine,
        plan,
        Arc::new(task),
        Arc::new(Schema::new(fields)),
        Cancel::NEVER,
        Default::default(),
    )
}

pub(crate) fn rows_of(frame: DataFrame) -> Result<RecordBatch> {
    let running = start(frame)?;
    let mut batches = vec![];
    while let Some(batch) = running.next()? {
        batches.push(batch);
    }
    match batches.first() {
        Some(first) => Ok(concat_batches(&first.schema(), &batches).unwrap()),
        None => Ok(RecordBatch::new_empty(Arc::new(Schema::empty()))),
    }
}

pub(crate) fn shown(frame: DataFrame) -> String {
    let rows = rows_of(frame).unwrap();
    let text = pretty_format_batches(&[rows]).unwrap().to_string();
    let line = |line: &str| {
        let cells = line.trim_matches('|').split('|').map(str::trim);
        cells.collect::<Vec<_>>().join("|")
    };
    let lines = text.lines().filter(|l| l.starts_with('|')).skip(1);
    lines.map(line).collect::<Vec<_>>().join("\n")
}

fn types(given: &Given) -> String {
    let table = given.table().unwrap();
    let schema = table.schema();
    let field = |f: &FieldRef| format!("{} {}", f.name(), f.data_type());
    schema.fields().iter().map(field).collect::<Vec<_>>().join(", ")
}

fn numbers(range: std::ops::Range<i32>) -> RecordBatch {
    let n: ArrayRef = Arc::new(range.clone().collect::<Int32Array>());
    let s: ArrayRef = Arc::new(range.map(|i| Some(format!("s{i}"))).collect::<StringArray>());
    RecordBatch::try_from_iter([("n", n), ("s", s)]).unwrap()
}

// ---- CSV ---------------------------------------------------------------------------------------

#[test]
fn csv_types_header_and_delimiter_are_found_in_the_text() {
    let folder = Folder::new();
    let path = folder.file(
        "a.csv",
        "id;price;day;at;ok;name;zip\n1;1.5;2024-01-31;2024-01-31 10:00:00;true;\"a;b\";00123\n\
         2;;2024-02-01;2024-02-01T11:30:00.5;FALSE;\"say \"\"hi\"\"\";x\n",
    );
    let given = Given::new(IGB_FORMAT_CSV, &[&path]);
    assert_eq!(
        types(&given),
        "id Int64, price Float64, day Date32, at Timestamp(µs), ok Boolean, name Utf8View, zip Utf8View"
    );
    assert_eq!(
        shown(given.frame()),
        "1|1.5|2024-01-31|2024-01-31T10:00:00|true|a;b|00123\n\
         2||2024-02-01|2024-02-01T11:30:00.500|false|say \"hi\"|x"
    );
}

#[test]
fn csv_without_header_gets_numbered_columns() {
    let folder = Folder::new();
    let path = folder.file("a.csv", "1,x\n2,y\n");
    assert_eq!(types(&Given::new(IGB_FORMAT_CSV, &[&path])), "column_1 Int64, column_2 Utf8View");
}

#[test]
fn csv_codes_large_numbers_and_times_keep_their_digits() {
    let folder = Folder::new();
    let path = folder.file(
        "a.csv",
        "zip,big,at,n,n\n00123,12345678901234567890,10:00:00,1,2\n45,-7,23:59:59.5,3,4\n",
    );
    let given = Given::new(IGB_FORMAT_CSV, &[&path]);
    assert_eq!(
        types(&given),
        "zip Utf8View, big Decimal128(38, 0), at Time64(µs), n Int64, n_1 Int64"
    );
    assert_eq!(
        shown(given.frame()),
        "00123|12345678901234567890|10:00:00|1|2\n45|-7|23:59:59.500|3|4"
    );
}

#[test]
fn empty_csv_file_is_an_error_and_one_with_a_header_is_an_empty_table() {
    let folder = Folder::new();
    let empty = folder.file("empty.csv", "");
    assert_eq!(Given::new(IGB_FORMAT_CSV, &[&empty]).table().unwrap_err().sqlstate, "22P04");
    let header = folder.file("header.csv", "a,b\n");
    let given = Given::new(IGB_FORMAT_CSV, &[&header, &empty]);
    assert_eq!(types(&given), "a Utf8View, b Utf8View");
    assert_eq!(rows_of(given.frame()).unwrap().num_rows(), 0);
}

#[test]
fn csv_null_text_is_null_and_empty_text_is_not() {
    let folder = Folder::new();
    let path = folder.file("a.csv", "n,s\n1,NA\nNA,\n");
    let mut given = Given::new(IGB_FORMAT_CSV, &[&path]);
    given.options = vec![("null", "NA")];
    assert_eq!(types(&given), "n Int64, s Utf8View");
    let rows = rows_of(given.frame()).unwrap();
    assert_eq!(rows.column(1).as_string::<i32>().iter().collect::<Vec<_>>(), [None, Some("")]);
    assert!(rows.column(0).is_null(1));
}

#[test]
fn csv_value_that_does_not_parse_names_file_line_and_column() {
    let folder = Folder::new();
    let mut text = "n,m\n".to_string();
    for i in 0..30_000 {
        text.push_str(&format!("{i},1\n"));
    }
    text.push_str("oops,1\n");
    let path = folder.file("bad.csv", text);
    let mut given = Given::new(IGB_FORMAT_CSV, &[&path]);
    given.options = vec![("sample_rows", "10")];
    let error = rows_of(given.frame()).unwrap_err();
    assert_eq!(error.sqlstate, "22P02");
    assert_eq!(error.message, "invalid value \"oops\" for column \"n\" of type bigint");
    assert_eq!(error.detail, format!("File \"{}\", line 30002.", path.display()));
}

#[test]
fn csv_row_of_wrong_length_is_an_error_with_its_line() {
    let folder = Folder::new();
    let path = folder.file("bad.csv", "a,b\n1,2\n3\n");
    let error = rows_of(Given::new(IGB_FORMAT_CSV, &[&path]).frame()).unwrap_err();
    assert_eq!(error.sqlstate, "22P04");
    assert!(error.detail.contains("line 3"), "{}", error.detail);
}

#[test]
fn csv_files_of_other_columns_are_joined_by_name() {
    let folder = Folder::new();
    let a = folder.file("a.csv", "x,y\n1,one\n");
    let b = folder.file("b.csv", "y,z,x\ntwo,true,2.5\n");
    let given = Given::new(IGB_FORMAT_CSV, &[&a, &b]);
    assert_eq!(types(&given), "x Float64, y Utf8View, z Boolean");
    let frame = given.frame().sort(vec![col("x").sort(true, true)]).unwrap();
    assert_eq!(shown(frame), "1.0|one|\n2.5|two|true");
}

#[test]
fn csv_split_in_parts_gives_every_row_once() {
    let folder = Folder::new();
    let mut text = "n,s\n".to_string();
    let mut sum = 0i64;
    for i in 0..400_000i64 {
        text.push_str(&format!("{i},{}\n", "x".repeat((i % 40) as usize)));
        sum += i;
    }
    assert!(text.len() > 8 << 20);
    let path = folder.file("big.csv", text);
    let frame = Given::new(IGB_FORMAT_CSV, &[&path]).frame();
    let plan = session().engine.pools.cpu.block_on(frame.clone().create_physical_plan()).unwrap();
    let all = datafusion::physical_plan::displayable(plan.as_ref()).indent(false).to_string();
    let frame = frame
        .aggregate(
            vec![],
            vec![
                datafusion::functions_aggregate::expr_fn::count(lit(1)),
                datafusion::functions_aggregate::expr_fn::sum(col("n")),
            ],
        )
        .unwrap();
    assert!(all.contains("2 groups"), "{all}");
    assert_eq!(shown(frame), format!("400000|{sum}"));
}

#[test]
fn csv_line_breaks_in_quotes_are_kept_however_large_the_file() {
    let folder = Folder::new();
    let mut text = "n,s\n".to_string();
    for i in 0..200_000 {
        text.push_str(&format!("{i},\"line one\nline, {i}\"\n"));
    }
    let path = folder.file("big.csv", text);
    let frame = Given::new(IGB_FORMAT_CSV, &[&path]).frame();
    let frame = frame
        .aggregate(vec![], vec![datafusion::functions_aggregate::expr_fn::count(col("s"))])
        .unwrap();
    assert_eq!(shown(frame), "200000");
}

#[test]
fn csv_with_byte_order_mark_has_a_clean_first_name() {
    let folder = Folder::new();
    let path = folder.file("a.csv", "\u{feff}id,b\n1,2\n");
    let given = Given::new(IGB_FORMAT_CSV, &[&path]);
    assert_eq!(types(&given), "id Int64, b Int64");
    assert_eq!(shown(given.frame()), "1|2");
}

#[test]
fn csv_declared_columns_are_taken_by_place() {
    let folder = Folder::new();
    let path = folder.file("a.csv", "a,b,c\n1,t,12.345\n2,no,\n");
    let mut given = Given::new(IGB_FORMAT_CSV, &[&path]);
    given.options = vec![("header", "true"), ("delim", ",")];
    given.columns = Some(Schema::new(vec![
        Field::new("id", DataType::Int32, true),
        Field::new("ok", DataType::Boolean, true),
        Field::new("d", DataType::Decimal128(10, 3), true),
    ]));
    assert_eq!(shown(given.frame()), "1|true|12.345\n2|false|");
}

#[test]
fn csv_unknown_option_and_ignore_errors_are_refused_by_name() {
    let folder = Folder::new();
    let path = folder.file("a.csv", "a\n1\n");
    let mut given = Given::new(IGB_FORMAT_CSV, &[&path]);
    given.options = vec![("delimm", ",")];
    let error = given.table().unwrap_err();
    assert_eq!((error.sqlstate.as_str(), error.status), ("22023", Status::InvalidArgument));
    assert!(error.message.contains("delimm"));
    given.options = vec![("ignore_errors", "true")];
    assert_eq!(given.table().unwrap_err().sqlstate, "0A000");
}

// ---- compression -----------------------------------------------------------------------------

fn compressed(kind: FileCompressionType, parts: &[&str]) -> Vec<u8> {
    let mut bytes = vec![];
    for part in parts {
        let piece = bytes::Bytes::copy_from_slice(part.as_bytes());
        let input = futures::stream::iter([Ok(piece)]).boxed();
        let stream = kind.convert_to_compress_stream(input).unwrap();
        let pieces: Vec<_> = futures::executor::block_on(stream.try_collect()).unwrap();
        bytes.extend(pieces.concat());
    }
    bytes
}

#[test]
fn compressed_files_are_read_to_their_last_member() {
    let kinds = [
        ("gzip", FileCompressionType::GZIP),
        ("zstd", FileCompressionType::ZSTD),
        ("bzip2", FileCompressionType::BZIP2),
        ("xz", FileCompressionType::XZ),
    ];
    for (name, kind) in kinds {
        let folder = Folder::new();
        let path = folder.file("a.csv.x", compressed(kind, &["a,b\n1,x\n", "2,y\n", "3,z\n"]));
        let mut given = Given::new(IGB_FORMAT_CSV, &[&path]);
        given.compression = name;
        assert_eq!(shown(given.frame()), "1|x\n2|y\n3|z", "{name}");
    }
}

#[test]
fn truncated_compressed_file_is_an_error_and_not_a_short_answer() {
    for (name, kind) in [("gzip", FileCompressionType::GZIP), ("zstd", FileCompressionType::ZSTD)] {
        let folder = Folder::new();
        let text: String = (0..100_000).map(|i| format!("{i},{}\n", i * 7919 % 104_729)).collect();
        let mut bytes = compressed(kind, &["a,b\n", &text]);
        bytes.truncate(bytes.len() - 100);
        let path = folder.file("a.csv.x", bytes);
        let mut given = Given::new(IGB_FORMAT_CSV, &[&path]);
        given.compression = name;
        given.options = vec![("sample_rows", "5"), ("header", "true")];
        let error = given.table().and_then(|t| rows_of(frame(t))).unwrap_err();
        assert_eq!(error.status, Status::DataError, "{name}: {}", error.message);
        assert!(error.message.contains("could not decompress"), "{}", error.message);
    }
}

// ---- JSON --------------------------------------------------------------------------------------

#[test]
fn json_lines_of_differing_shape_are_one_table() {
    let folder = Folder::new();
    let path = folder.file(
        "a.json",
        "{\"a\":1,\"b\":{\"c\":[1,2]}}\n\n{\"a\":2.5,\"d\":null}\n{\"a\":3,\"b\":null,\"e\":\"x\"}",
    );
    let given = Given::new(IGB_FORMAT_JSON, &[&path]);
    assert!(types(&given).starts_with("a Float64, b Struct("), "{}", types(&given));
    assert_eq!(shown(given.frame()), "1.0|{c: [1, 2]}||\n2.5|||\n3.0|||x");
}

#[test]
fn json_columns_come_in_the_order_of_the_text() {
    let folder = Folder::new();
    let path = folder.file(
        "a.json",
        "{\"z\":1,\"b\":[{\"y\":1,\"x\":\"}\\\"{\"}]}\n{\"a\":true,\"z\":2,\"b\":[{\"w\":null,\"y\":2}]}\n",
    );
    let given = Given::new(IGB_FORMAT_JSON, &[&path]);
    let schema = given.table().unwrap().schema();
    let names: Vec<&str> = schema.fields().iter().map(|f| f.name().as_str()).collect();
    assert_eq!(names, ["z", "b", "a"]);
    assert_eq!(shown(given.frame()), "1|[{y: 1, x: }\"{, w: }]|\n2|[{y: 2, x: , w: }]|true");
}

#[test]
fn json_array_is_refused_by_name() {
    let folder = Folder::new();
    let path = folder.file("a.json", " [{\"a\":1}]");
    let error = Given::new(IGB_FORMAT_JSON, &[&path]).table().unwrap_err();
    assert_eq!(error.sqlstate, "0A000");
    assert!(error.hint.contains("one object per line"));
}

#[test]
fn a_damaged_line_of_json_is_told_with_its_number_in_the_file() {
    let folder = Folder::new();
    for (line, told) in [
        ("{\"a\":oops}", "Not valid JSON: expected value at column 6. "),
        ("3", "A line is not an object. "),
        ("{\"a\":{\"b\":1}}", "A value is a list or an object in one line and not in another. "),
    ] {
        let text = format!("{{\"a\":1}}\n\n{{\"a\":2}}\n{line}\n{{\"a\":3}}\n");
        let path = folder.file("a.json", text);
        let error = Given::new(IGB_FORMAT_JSON, &[&path]).table().unwrap_err();
        assert_eq!(error.detail, format!("{told}File \"{}\", line 4.", path.display()));
    }
}

#[test]
fn json_that_breaks_off_is_an_error_that_names_the_file() {
    let folder = Folder::new();
    let path = folder.file("a.json", "{\"a\":1}\n{\"a\":");
    let mut given = Given::new(IGB_FORMAT_JSON, &[&path]);
    given.columns = Some(Schema::new(vec![Field::new("a", DataType::Int64, true)]));
    let error = rows_of(given.frame()).unwrap_err();
    assert_eq!(error.sqlstate, "22P02");
    assert!(error.detail.contains(path.to_str().unwrap()), "{}", error.detail);
}

// ---- Parquet and Arrow ------------------------------------------------------------------------

#[test]
fn parquet_files_of_differing_columns_are_merged_by_name_and_promoted() {
    let folder = Folder::new();
    let a = folder.parquet("a.parquet", &numbers(0..2));
    let n: ArrayRef = Arc::new(Int64Array::from(vec![1 << 40]));
    let extra: ArrayRef = Arc::new(BooleanArray::from(vec![true]));
    let b = RecordBatch::try_from_iter([("extra", extra), ("n", n)]).unwrap();
    let b = folder.parquet("b.parquet", &b);
    let given = Given::new(IGB_FORMAT_PARQUET, &[&a, &b]);
    assert_eq!(types(&given), "n Int64, s Utf8View, extra Boolean");
    let frame = given.frame().sort(vec![col("n").sort(true, true)]).unwrap();
    assert_eq!(shown(frame), "0|s0|\n1|s1|\n1099511627776||true");
}

#[test]
fn parquet_files_whose_types_disagree_are_refused_with_both_types() {
    let folder = Folder::new();
    let a = folder.parquet("a.parquet", &numbers(0..2));
    let n: ArrayRef = Arc::new(BooleanArray::from(vec![true]));
    let b = folder.parquet("b.parquet", &RecordBatch::try_from_iter([("n", n)]).unwrap());
    let error = Given::new(IGB_FORMAT_PARQUET, &[&a, &b]).table().unwrap_err();
    assert_eq!(error.sqlstate, "42804");
    assert!(
        error.detail.contains("integer") && error.detail.contains("boolean"),
        "{}",
        error.detail
    );
}

#[test]
fn declared_columns_are_found_by_name_cast_and_null_where_missing() {
    let folder = Folder::new();
    let path = folder.parquet("a.parquet", &numbers(0..2));
    let mut given = Given::new(IGB_FORMAT_PARQUET, &[&path]);
    given.columns = Some(Schema::new(vec![
        Field::new("later", DataType::Date32, true),
        Field::new("s", DataType::Utf8, true),
        Field::new("n", DataType::Int64, true),
    ]));
    assert_eq!(shown(given.frame()), "|s0|0\n|s1|1");
}

#[test]
fn parquet_predicates_and_limits_give_the_right_rows() {
    let folder = Folder::new();
    let a = folder.parquet("a.parquet", &numbers(0..50_000));
    let b = folder.parquet("b.parquet", &numbers(50_000..100_000));
    let given = Given::new(IGB_FORMAT_PARQUET, &[&a, &b]);
    let one = given.frame().filter(col("n").eq(lit(77_777))).unwrap();
    assert_eq!(shown(one), "77777|s77777");
    let limited = given.frame().limit(0, Some(3)).unwrap();
    assert_eq!(rows_of(limited).unwrap().num_rows(), 3);
    let filtered = given.frame().filter(col("n").gt_eq(lit(99_990))).unwrap();
    assert_eq!(rows_of(filtered.limit(0, Some(100)).unwrap()).unwrap().num_rows(), 10);
    let count = given.frame();
    assert_eq!(rows_of(count.select(vec![lit(1)]).unwrap()).unwrap().num_rows(), 100_000);
}

#[test]
fn damaged_parquet_file_is_named() {
    let folder = Folder::new();
    let path =
        folder.file("a.parquet", "this is no parquet file, but long enough to look like one");
    let error = Given::new(IGB_FORMAT_PARQUET, &[&path]).table().unwrap_err();
    assert_eq!(error.sqlstate, "22P04");
    assert!(error.message.contains(path.to_str().unwrap()), "{}", error.message);
}

fn arrow_file(batches: &[RecordBatch]) -> Vec<u8> {
    let mut bytes = vec![];
    let mut writer =
        arrow::ipc::writer::FileWriter::try_new(&mut bytes, &batches[0].schema()).unwrap();
    batches.iter().for_each(|b| writer.write(b).unwrap());
    writer.finish().unwrap();
    drop(writer);
    bytes
}

fn arrow_stream(batches: &[RecordBatch]) -> Vec<u8> {
    let mut bytes = vec![];
    let mut writer =
        arrow::ipc::writer::StreamWriter::try_new(&mut bytes, &batches[0].schema()).unwrap();
    batches.iter().for_each(|b| writer.write(b).unwrap());
    writer.finish().unwrap();
    drop(writer);
    bytes
}

#[test]
fn arrow_files_and_streams_are_one_table() {
    let folder = Folder::new();
    let a = folder.file("a.arrow", arrow_file(&[numbers(0..2), numbers(2..3)]));
    let b = folder.file("b.arrows", arrow_stream(&[numbers(3..4), numbers(4..6)]));
    let given = Given::new(IGB_FORMAT_ARROW, &[&a, &b]);
    let frame = given.frame().sort(vec![col("n").sort(true, true)]).unwrap();
    assert_eq!(shown(frame), "0|s0\n1|s1\n2|s2\n3|s3\n4|s4\n5|s5");
    let only =
        given.frame().select(vec![col("s")]).unwrap().filter(col("s").eq(lit("s4"))).unwrap();
    assert_eq!(shown(only), "s4");
}

#[test]
fn arrow_file_in_parts_gives_every_row_once() {
    let folder = Folder::new();
    let batches: Vec<_> = (0..64).map(|i| numbers(i * 10_000..(i + 1) * 10_000)).collect();
    let path = folder.file("a.arrow", arrow_file(&batches));
    let frame = Given::new(IGB_FORMAT_ARROW, &[&path]).frame();
    let frame = frame
        .aggregate(vec![], vec![datafusion::functions_aggregate::expr_fn::sum(col("n"))])
        .unwrap();
    assert_eq!(shown(frame), (0..640_000i64).sum::<i64>().to_string());
}

#[test]
fn arrow_dictionaries_survive() {
    let folder = Folder::new();
    let d: DictionaryArray<Int32Type> = ["a", "b", "a"].into_iter().collect();
    let batch = RecordBatch::try_from_iter([("d", Arc::new(d) as ArrayRef)]).unwrap();
    let path = folder.file("a.arrow", arrow_file(&[batch]));
    assert_eq!(shown(Given::new(IGB_FORMAT_ARROW, &[&path]).frame()), "a\nb\na");
}

// ---- partitions, changes, leases -----------------------------------------------------------------

#[test]
fn partition_values_are_typed_and_prune_files() {
    let folder = Folder::new();
    let a = folder.parquet("y=2023/a.parquet", &numbers(0..1));
    let b = folder.parquet("y=2024/b.parquet", &numbers(1..2));
    let c = folder.parquet("y=none/c.parquet", &numbers(2..3));
    let mut given = Given::new(IGB_FORMAT_PARQUET, &[&a, &b, &c]);
    given.partition = vec!["y", "p"];
    given.values =
        vec![vec![Some("2023"), Some("x")], vec![Some("2024"), Some("y")], vec![None, Some("z")]];
    assert_eq!(types(&given), "n Int32, s Utf8View, y Int64, p Utf8View");
    let frame = given.frame().sort(vec![col("n").sort(true, true)]).unwrap();
    assert_eq!(shown(frame), "0|s0|2023|x\n1|s1|2024|y\n2|s2||z");
    let table = given.table().unwrap();
    // A file that no filter lets through is never opened.
    std::fs::remove_file(&a).unwrap();
    let one = super::tests::frame(table).filter(col("y").eq(lit(2024i64))).unwrap();
    assert_eq!(shown(one), "1|s1|2024|y");
}

#[test]
fn file_that_changed_after_planning_is_refused() {
    let folder = Folder::new();
    let path = folder.file("a.csv", "a\n1\n");
    let table = Given::new(IGB_FORMAT_CSV, &[&path]).table().unwrap();
    std::fs::write(&path, "a\n12\n").unwrap();
    let error = rows_of(frame(table)).unwrap_err();
    assert_eq!(error.sqlstate, "55000");
    assert!(error.message.contains("changed during the query"), "{}", error.message);
}

#[test]
fn table_is_given_back_once_when_nothing_needs_it() {
    static RELEASED: AtomicUsize = AtomicUsize::new(0);
    let folder = Folder::new();
    let path = folder.parquet("a.parquet", &numbers(0..3));
    let mut given = Given::new(IGB_FORMAT_PARQUET, &[&path]);
    given.released = Some(&RELEASED);
    let table = given.table().unwrap();
    let running = start(frame(Arc::clone(&table) as _)).unwrap();
    drop(table);
    assert_eq!(RELEASED.load(Ordering::SeqCst), 0, "the query still needs it");
    while running.next().unwrap().is_some() {}
    running.close();
    drop(running);
    let deadline = std::time::Instant::now() + std::time::Duration::from_secs(5);
    while RELEASED.load(Ordering::SeqCst) == 0 && std::time::Instant::now() < deadline {
        std::thread::yield_now();
    }
    assert_eq!(RELEASED.load(Ordering::SeqCst), 1);
}

#[test]
fn parts_of_a_text_give_every_line_once_wherever_they_are_cut() {
    let text: String = (0..60).map(|i| format!("{}\n", "ab".repeat(i % 7))).collect();
    let text = text.trim_end_matches('\n').to_string() + "\nlast without a break";
    let size = text.len() as u64;
    for part_bytes in 1..=size {
        for piece_bytes in [1, 3, 64, 1000] {
            let mut joined = vec![];
            let mut start = 0;
            while start < size {
                let part = start..(start + part_bytes).min(size);
                let from = part.start.saturating_sub(1);
                let bytes = bytes::Bytes::copy_from_slice(&text.as_bytes()[from as usize..]);
                let pieces: Vec<_> =
                    bytes.chunks(piece_bytes).map(|c| Ok(bytes.slice_ref(c))).collect();
                let lines =
                    source::whole_lines(futures::stream::iter(pieces).boxed(), from, part.clone());
                let lines: Vec<_> = futures::executor::block_on(lines.try_collect()).unwrap();
                joined.extend(lines.concat());
                start = part.end;
            }
            assert_eq!(String::from_utf8(joined).unwrap(), text, "parts of {part_bytes}");
        }
    }
}
