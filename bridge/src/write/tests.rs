use std::sync::atomic::AtomicUsize;

use arrow::array::*;
use arrow::buffer::{NullBuffer, OffsetBuffer};
use arrow::compute::concat_batches;
use arrow::datatypes::{Field, Fields, Int32Type, IntervalMonthDayNano};
use datafusion::parquet::arrow::arrow_reader::ParquetRecordBatchReaderBuilder;
use datafusion::prelude::col;

use super::*;
use crate::abi::igb_pair;
use crate::file_table::tests::{session, Folder, Given};
use crate::stream::{export, ReadyBatches};

// ---- a target in memory ------------------------------------------------------------------------

#[derive(Clone, Debug, Default, PartialEq)]
struct Written {
    partition: String,
    extension: String,
    bytes: Vec<u8>,
    rows: i64,
    finished: bool,
    abandoned: bool,
}

/// Files by number, and the write that fails (counted over all files).
#[derive(Default)]
struct Memory {
    files: Mutex<Vec<Written>>,
    writes: AtomicUsize,
    fail_at: Option<usize>,
}

unsafe extern "C" fn create(
    ctx: *mut c_void,
    partition: igb_str,
    extension: igb_str,
    ret_file: *mut *mut c_void,
    _: *mut igb_error,
) -> i32 {
    let mut files = (*ctx.cast::<Memory>()).files.lock().unwrap();
    files.push(Written {
        partition: partition.text().unwrap().to_string(),
        extension: extension.text().unwrap().to_string(),
        ..Default::default()
    });
    ret_file.write(files.len() as *mut c_void); // numbers from 1
    0
}

unsafe extern "C" fn write(
    ctx: *mut c_void,
    file: *mut c_void,
    data: *const u8,
    len: usize,
    ret_error: *mut igb_error,
) -> i32 {
    let memory = &*ctx.cast::<Memory>();
    if Some(memory.writes.fetch_add(1, Ordering::SeqCst)) == memory.fail_at {
        let error = Error::new(Status::ResourceExhausted, "53100", "no space left for \"x\"");
        ret_error.write(error.to_abi());
        return error.status as i32;
    }
    let bytes = std::slice::from_raw_parts(data, len);
    memory.files.lock().unwrap()[file as usize - 1].bytes.extend_from_slice(bytes);
    0
}

unsafe extern "C" fn finish(
    ctx: *mut c_void,
    file: *mut c_void,
    rows: i64,
    _: *mut igb_error,
) -> i32 {
    let mut files = (*ctx.cast::<Memory>()).files.lock().unwrap();
    files[file as usize - 1].rows = rows;
    files[file as usize - 1].finished = true;
    0
}

unsafe extern "C" fn abandon(ctx: *mut c_void, file: *mut c_void) {
    (*ctx.cast::<Memory>()).files.lock().unwrap()[file as usize - 1].abandoned = true;
}

/// How a test writes.
#[derive(Default)]
struct Ask {
    format: i32,
    options: Vec<(&'static str, &'static str)>,
    partition: Vec<&'static str>,
}

impl Ask {
    fn new(format: i32, options: &[(&'static str, &'static str)]) -> Ask {
        Ask { format, options: options.to_vec(), ..Default::default() }
    }

    fn job<T>(
        &self,
        memory: &Memory,
        use_it: impl FnOnce(&igb_write_options, &igb_target) -> T,
    ) -> T {
        let text = igb_str::borrowed;
        let pairs: Vec<igb_pair> =
            self.options.iter().map(|(k, v)| igb_pair { key: text(k), value: text(v) }).collect();
        let partition: Vec<igb_str> = self.partition.iter().map(|p| text(p)).collect();
        let options = igb_write_options {
            format: self.format,
            options: pairs.as_ptr(),
            options_count: pairs.len(),
            partition_columns: partition.as_ptr(),
            partition_columns_count: partition.len(),
            files_max: 1,
        };
        let target = igb_target {
            ctx: memory as *const Memory as *mut c_void,
            create: Some(create),
            write: Some(write),
            finish: Some(finish),
            abandon: Some(abandon),
        };
        use_it(&options, &target)
    }

    fn write(&self, memory: &Memory, batches: Vec<RecordBatch>) -> Result<i64> {
        let schema = batches[0].schema();
        let rows = export(Box::new(ReadyBatches::new(schema, batches)));
        self.job(memory, |options, target| unsafe {
            write_stream(rows, options, target, Cancel::NEVER)
        })
    }

    /// The one file of `batch`.
    fn file(&self, batch: &RecordBatch) -> Written {
        let memory = Memory::default();
        assert_eq!(self.write(&memory, vec![batch.clone()]).unwrap(), batch.num_rows() as i64);
        let files = memory.files.into_inner().unwrap();
        assert_eq!(files.len(), 1);
        assert!(files[0].finished && files[0].rows == batch.num_rows() as i64);
        files[0].clone()
    }

    fn text(&self, batch: &RecordBatch) -> String {
        String::from_utf8(self.file(batch).bytes).unwrap()
    }

    fn refusal(&self, batch: &RecordBatch) -> Box<Error> {
        let memory = Memory::default();
        let error = self.write(&memory, vec![batch.clone()]).unwrap_err();
        assert!(memory.files.lock().unwrap().iter().all(|f| f.abandoned && !f.finished));
        error
    }
}

fn one(column: impl Array + 'static) -> RecordBatch {
    RecordBatch::try_from_iter_with_nullable([("v", Arc::new(column) as ArrayRef, true)]).unwrap()
}

/// Every type that all typed formats hold, with NULL in each column.
fn everything() -> RecordBatch {
    let nulls = || Some(NullBuffer::from(vec![true, false, true]));
    let columns: Vec<(&str, ArrayRef)> = vec![
        ("bool", Arc::new(BooleanArray::from(vec![Some(true), None, Some(false)]))),
        ("i8", Arc::new(Int8Array::from(vec![Some(-128), None, Some(127)]))),
        ("u64", Arc::new(UInt64Array::from(vec![Some(0), None, Some(u64::MAX)]))),
        ("i64", Arc::new(Int64Array::from(vec![Some(i64::MIN), None, Some(i64::MAX)]))),
        ("f32", Arc::new(Float32Array::from(vec![Some(1.5), None, Some(-0.25)]))),
        ("f64", Arc::new(Float64Array::from(vec![Some(f64::MIN), None, Some(f64::MAX)]))),
        (
            "dec",
            Arc::new(
                Decimal128Array::from(vec![Some(12345), None, Some(-1)])
                    .with_precision_and_scale(38, 10)
                    .unwrap(),
            ),
        ),
        ("text", Arc::new(StringArray::from(vec![Some("häß\n\"q\","), None, Some("")]))),
        ("bytes", Arc::new(BinaryArray::from(vec![Some(&b"\x00\xff"[..]), None, Some(b"")]))),
        ("date", Arc::new(Date32Array::from(vec![Some(-719_162), None, Some(19_753)]))),
        ("time", Arc::new(Time64MicrosecondArray::from(vec![Some(1), None, Some(86_399_999_999)]))),
        (
            "ts",
            Arc::new(TimestampMicrosecondArray::from(vec![
                Some(-1),
                None,
                Some(1_706_695_200_000_000),
            ])),
        ),
        (
            "tz",
            Arc::new(
                TimestampNanosecondArray::from(vec![
                    Some(1),
                    None,
                    Some(1_706_695_200_000_000_000),
                ])
                .with_timezone("UTC"),
            ),
        ),
        (
            "list",
            Arc::new(ListArray::from_iter_primitive::<Int32Type, _, _>(vec![
                Some(vec![Some(1), None]),
                None,
                Some(vec![]),
            ])),
        ),
        (
            "struct",
            Arc::new(StructArray::new(
                Fields::from(vec![
                    Field::new("x", DataType::Int32, true),
                    Field::new("y", DataType::Utf8, true),
                ]),
                vec![
                    Arc::new(Int32Array::from(vec![Some(1), None, None])),
                    Arc::new(StringArray::from(vec![Some("a"), None, Some("c")])),
                ],
                nulls(),
            )),
        ),
    ];
    RecordBatch::try_from_iter_with_nullable(columns.into_iter().map(|(n, c)| (n, c, true)))
        .unwrap()
}

// ---- round trips ----------------------------------------------------------------------------------

fn read_parquet(bytes: Vec<u8>) -> RecordBatch {
    let builder = ParquetRecordBatchReaderBuilder::try_new(bytes::Bytes::from(bytes)).unwrap();
    let schema = Arc::clone(builder.schema());
    let batches: Vec<_> = builder.build().unwrap().map(|b| b.unwrap()).collect();
    concat_batches(&schema, &batches).unwrap()
}

#[test]
fn parquet_holds_every_type_in_every_compression() {
    for codec in ["zstd", "snappy", "lz4", "gzip", "none"] {
        let file = Ask::new(IGB_FORMAT_PARQUET, &[("compression", codec)]).file(&everything());
        assert_eq!(file.extension, "parquet");
        assert_eq!(read_parquet(file.bytes), everything(), "{codec}");
    }
}

#[test]
fn parquet_row_groups_have_the_rows_asked_for() {
    let batch = one((0..1000).collect::<Int32Array>());
    let file = Ask::new(IGB_FORMAT_PARQUET, &[("row_group_rows", "300")]).file(&batch);
    let builder = ParquetRecordBatchReaderBuilder::try_new(bytes::Bytes::from(file.bytes)).unwrap();
    let groups = builder.metadata().row_groups();
    assert_eq!(groups.iter().map(|g| g.num_rows()).collect::<Vec<_>>(), [300, 300, 300, 100]);
}

#[test]
fn arrow_files_hold_every_type_and_values_for_dictionaries_and_views() {
    for codec in ["none", "lz4", "zstd"] {
        let file = Ask::new(IGB_FORMAT_ARROW, &[("compression", codec)]).file(&everything());
        let reader =
            arrow::ipc::reader::FileReader::try_new(std::io::Cursor::new(file.bytes), None);
        let batches: Vec<_> = reader.unwrap().map(|b| b.unwrap()).collect();
        assert_eq!(batches, [everything()], "{codec}");
    }
    let dictionary: DictionaryArray<Int32Type> = ["a", "b"].into_iter().collect();
    let file = Ask::new(IGB_FORMAT_ARROW, &[]).file(&one(dictionary));
    let reader = arrow::ipc::reader::FileReader::try_new(std::io::Cursor::new(file.bytes), None);
    assert_eq!(reader.unwrap().schema().field(0).data_type(), &DataType::Utf8);
}

#[test]
fn csv_is_written_as_postgresql_writes_it() {
    let text = Ask::new(IGB_FORMAT_CSV, &[]).text(&everything());
    let expected = "bool,i8,u64,i64,f32,f64,dec,text,bytes,date,time,ts,tz,list,struct\n\
        true,-128,0,-9223372036854775808,1.5,-1.7976931348623157e308,0.0000012345,\"häß\n\"\"q\"\",\",\\x00ff,0001-01-01,00:00:00.000001,1969-12-31 23:59:59.999999,1970-01-01 00:00:00.000000001+00:00,\"[1,null]\",\"{\"\"x\"\":1,\"\"y\"\":\"\"a\"\"}\"\n\
        ,,,,,,,,,,,,,,\n\
        false,127,18446744073709551615,9223372036854775807,-0.25,1.7976931348623157e308,-0.0000000001,\"\",\\x,2024-01-31,23:59:59.999999,2024-01-31 10:00:00,2024-01-31 10:00:00+00:00,[],\"{\"\"x\"\":null,\"\"y\"\":\"\"c\"\"}\"\n";
    assert_eq!(text, expected);
}

#[test]
fn csv_options_are_followed() {
    let batch = one(StringArray::from(vec![Some("a|b"), None, Some("NA"), Some("it's")]));
    let options = [("delim", "|"), ("header", "false"), ("quote", "'"), ("null", "NA")];
    assert_eq!(Ask::new(IGB_FORMAT_CSV, &options).text(&batch), "'a|b'\nNA\n'NA'\n'it''s'\n");
}

#[test]
fn documented_options_of_other_engines_are_taken() {
    let batch = one((0..1000).collect::<Int32Array>());
    let options = [
        ("max_row_group_size", "500"),
        ("compression", "zstd(9)"),
        ("compression::v", "snappy"),
        ("bloom_filter_enabled::v", "true"),
        ("metadata::owner", "me"),
        ("format.statistics_enabled", "chunk"),
    ];
    let file = Ask::new(IGB_FORMAT_PARQUET, &options).file(&batch);
    let builder = ParquetRecordBatchReaderBuilder::try_new(bytes::Bytes::from(file.bytes)).unwrap();
    let metadata = builder.metadata();
    assert_eq!(metadata.num_row_groups(), 2);
    let column = metadata.row_group(0).column(0);
    assert_eq!(column.compression(), datafusion::parquet::basic::Compression::SNAPPY);
    assert!(column.bloom_filter_offset().is_some());
    let notes = metadata.file_metadata().key_value_metadata().unwrap();
    assert!(notes.iter().any(|n| n.key == "owner" && n.value.as_deref() == Some("me")));

    let batch = one(StringArray::from(vec!["a\"b", "c"]));
    let options = [("has_header", "false"), ("escape", "\\")];
    assert_eq!(Ask::new(IGB_FORMAT_CSV, &options).text(&batch), "\"a\\\"b\"\nc\n");
}

#[test]
fn partition_columns_stay_in_the_files_where_that_is_asked() {
    let batch = one(Int32Array::from(vec![7]));
    let options = [("execution.keep_partition_by_columns", "true")];
    let ask = Ask { partition: vec!["v"], ..Ask::new(IGB_FORMAT_CSV, &options) };
    let memory = Memory::default();
    ask.write(&memory, vec![batch]).unwrap();
    let files = memory.files.into_inner().unwrap();
    assert_eq!((files[0].partition.as_str(), files[0].bytes.as_slice()), ("v=7", &b"v\n7\n"[..]));
}

#[test]
fn csv_floats_without_a_number_have_postgresqls_names() {
    let batch = one(Float64Array::from(vec![f64::NAN, f64::INFINITY, f64::NEG_INFINITY]));
    assert_eq!(Ask::new(IGB_FORMAT_CSV, &[]).text(&batch), "v\nNaN\nInfinity\n-Infinity\n");
}

#[test]
fn csv_null_is_bare_where_it_has_no_bitmap() {
    let dictionary = DictionaryArray::<Int32Type>::try_new(
        Int32Array::from(vec![0, 1]),
        Arc::new(StringArray::from(vec![Some("x"), None])),
    );
    let columns: [(&str, ArrayRef); 2] =
        [("n", Arc::new(NullArray::new(2))), ("d", Arc::new(dictionary.unwrap()))];
    let batch = RecordBatch::try_from_iter_with_nullable(columns.map(|(n, c)| (n, c, true)));
    assert_eq!(Ask::new(IGB_FORMAT_CSV, &[]).text(&batch.unwrap()), "n,d\n,x\n,\n");
}

#[test]
fn days_in_milliseconds_are_written_as_days() {
    let batch = one(Date64Array::from(vec![Some(946_684_800_000), None]));
    assert_eq!(Ask::new(IGB_FORMAT_CSV, &[]).text(&batch), "v\n2000-01-01\n\n");
    let file = Ask::new(IGB_FORMAT_PARQUET, &[]).file(&batch);
    assert_eq!(read_parquet(file.bytes).schema().field(0).data_type(), &DataType::Date32);
}

#[test]
fn json_lines_are_what_arrow_reads_again() {
    let simple = everything().project(&[0, 3, 5, 7, 9, 13, 14]).unwrap();
    let file = Ask::new(IGB_FORMAT_JSON, &[]).file(&simple);
    assert_eq!(file.extension, "json");
    let reader = arrow::json::ReaderBuilder::new(simple.schema());
    let read: Vec<_> =
        reader.build(std::io::Cursor::new(file.bytes)).unwrap().map(|b| b.unwrap()).collect();
    assert_eq!(read, [simple]);
}

#[test]
fn json_refuses_nan_and_infinity_wherever_they_are() {
    let nan = one(Float64Array::from(vec![1.0, f64::NAN]));
    assert_eq!(Ask::new(IGB_FORMAT_JSON, &[]).refusal(&nan).sqlstate, "22P02");
    let field = Arc::new(Field::new("item", DataType::Float64, true));
    let values = Arc::new(Float64Array::from(vec![f64::INFINITY]));
    let list = ListArray::new(field, OffsetBuffer::from_lengths([1]), values, None);
    let error = Ask::new(IGB_FORMAT_JSON, &[]).refusal(&one(list));
    assert!(error.message.contains("\"v\""), "{}", error.message);
}

#[test]
fn compressed_text_is_read_back_by_a_table() {
    let codecs = [("gzip", "csv.gz"), ("zstd", "csv.zst"), ("bzip2", "csv.bz2"), ("xz", "csv.xz")];
    for (codec, extension) in codecs {
        let batch = one((0..100_000).collect::<Int32Array>());
        let file = Ask::new(IGB_FORMAT_CSV, &[("compression", codec)]).file(&batch);
        assert_eq!(file.extension, extension);
        let folder = Folder::new();
        let path = folder.file("a", &file.bytes);
        let mut given = Given::new(IGB_FORMAT_CSV, &[&path]);
        given.compression = codec;
        let sum = datafusion::functions_aggregate::expr_fn::sum(col("v"));
        let frame = given.frame().aggregate(vec![], vec![sum]).unwrap();
        assert_eq!(crate::file_table::tests::shown(frame), "4999950000", "{codec}");
    }
}

// ---- empty results, partitions ----------------------------------------------------------------

#[test]
fn empty_result_is_one_file_with_its_columns() {
    for format in [IGB_FORMAT_PARQUET, IGB_FORMAT_CSV, IGB_FORMAT_JSON, IGB_FORMAT_ARROW] {
        let file = Ask::new(format, &[]).file(&everything().slice(0, 0));
        match format {
            IGB_FORMAT_PARQUET => {
                assert_eq!(read_parquet(file.bytes).schema(), everything().schema())
            }
            IGB_FORMAT_CSV => assert!(file.bytes.starts_with(b"bool,i8,")),
            IGB_FORMAT_JSON => assert!(file.bytes.is_empty()),
            _ => assert!(file.bytes.starts_with(b"ARROW1")),
        }
    }
}

#[test]
fn partitioned_rows_lie_in_encoded_folders_without_their_columns() {
    let k: ArrayRef = Arc::new(StringArray::from(vec![Some("a/b"), None, Some("a/b"), Some("..")]));
    let d: ArrayRef = Arc::new(Date32Array::from(vec![19_753; 4]));
    let v: ArrayRef = Arc::new(Int32Array::from(vec![1, 2, 3, 4]));
    let batch =
        RecordBatch::try_from_iter_with_nullable([("k", k, true), ("v", v, true), ("d ", d, true)]);
    let ask = Ask { partition: vec!["k", "d "], ..Ask::new(IGB_FORMAT_CSV, &[]) };
    let memory = Memory::default();
    assert_eq!(ask.write(&memory, vec![batch.unwrap()]).unwrap(), 4);
    let files = memory.files.into_inner().unwrap();
    let found: Vec<(&str, &str)> = files
        .iter()
        .map(|f| (f.partition.as_str(), std::str::from_utf8(&f.bytes).unwrap()))
        .collect();
    assert_eq!(
        found,
        [
            ("k=a%2Fb/d =2024-01-31", "v\n1\n3\n"),
            ("k=__HIVE_DEFAULT_PARTITION__/d =2024-01-31", "v\n2\n"),
            ("k=%2E%2E/d =2024-01-31", "v\n4\n"),
        ]
    );
}

#[test]
fn more_partitions_than_open_files_lose_no_row() {
    let k: ArrayRef = Arc::new((0..1000).map(|i| i % 200).collect::<Int32Array>());
    let v: ArrayRef = Arc::new((0..1000).collect::<Int32Array>());
    let batch = RecordBatch::try_from_iter([("k", k), ("v", v)]).unwrap();
    let ask = Ask { partition: vec!["k"], ..Ask::new(IGB_FORMAT_PARQUET, &[]) };
    let memory = Memory::default();
    assert_eq!(ask.write(&memory, vec![batch.clone(), batch]).unwrap(), 2000);
    let files = memory.files.into_inner().unwrap();
    assert!(files.iter().all(|f| f.finished));
    assert_eq!(files.iter().map(|f| f.rows).sum::<i64>(), 2000);
    assert_eq!(
        files.iter().map(|f| f.partition.as_str()).collect::<std::collections::HashSet<_>>().len(),
        200
    );
}

// ---- refusals and failures ---------------------------------------------------------------------

#[test]
fn what_a_format_cannot_hold_is_refused_by_name() {
    let interval = one(IntervalMonthDayNanoArray::from(vec![IntervalMonthDayNano::new(1, 2, 3)]));
    let error = Ask::new(IGB_FORMAT_PARQUET, &[]).refusal(&interval);
    assert_eq!((error.sqlstate.as_str(), error.status), ("0A000", Status::Unsupported));
    assert!(error.message.contains("interval"), "{}", error.message);
    let hundreds = Decimal128Array::from(vec![7]).with_precision_and_scale(7, -2).unwrap();
    let error = Ask::new(IGB_FORMAT_PARQUET, &[]).refusal(&one(hundreds));
    assert_eq!(error.sqlstate, "0A000");
    let n: ArrayRef = Arc::new(Int32Array::from(vec![1]));
    let twice = RecordBatch::try_from_iter([("n", Arc::clone(&n)), ("n", n)]).unwrap();
    assert_eq!(Ask::new(IGB_FORMAT_PARQUET, &[]).refusal(&twice).sqlstate, "42701");
    assert_eq!(Ask::new(IGB_FORMAT_CSV, &[]).text(&twice), "n,n\n1,1\n");
}

#[test]
fn unknown_options_and_values_are_refused() {
    let batch = one(Int32Array::from(vec![1]));
    for format in [IGB_FORMAT_PARQUET, IGB_FORMAT_CSV, IGB_FORMAT_JSON, IGB_FORMAT_ARROW] {
        let error = Ask::new(format, &[("speed", "high")]).refusal(&batch);
        assert!(error.message.contains("speed"), "{}", error.message);
        let error = Ask::new(format, &[("compression", "rar")]).refusal(&batch);
        assert_eq!(error.sqlstate, "22023");
    }
    let ask = Ask { partition: vec!["nope"], ..Ask::new(IGB_FORMAT_CSV, &[]) };
    assert_eq!(ask.refusal(&batch).sqlstate, "42703");
}

#[test]
fn failing_write_abandons_every_file_and_keeps_its_error() {
    let values: Vec<i64> =
        (0..200_000i64).map(|i| i.wrapping_mul(0x9E37_79B9_7F4A_7C15u64 as i64)).collect();
    for format in [IGB_FORMAT_PARQUET, IGB_FORMAT_CSV, IGB_FORMAT_JSON, IGB_FORMAT_ARROW] {
        let memory = Memory { fail_at: Some(0), ..Default::default() };
        let batch = one(Int64Array::from(values.clone()));
        let error = Ask::new(format, &[]).write(&memory, vec![batch]).unwrap_err();
        assert_eq!(
            (error.sqlstate.as_str(), error.message.as_str()),
            ("53100", "no space left for \"x\"")
        );
        let files = memory.files.into_inner().unwrap();
        assert!(files.iter().all(|f| f.abandoned && !f.finished), "format {format}");
    }
}

#[test]
fn error_in_the_rows_abandons_what_was_written() {
    struct Broken(bool);
    impl BatchSource for Broken {
        fn schema(&self) -> SchemaRef {
            everything().schema()
        }
        fn next(&mut self) -> Result<Option<RecordBatch>> {
            if std::mem::replace(&mut self.0, true) {
                return Err(Error::new(Status::Cancelled, "57014", "stopped"));
            }
            Ok(Some(everything()))
        }
    }
    let memory = Memory::default();
    let rows = export(Box::new(Broken(false)));
    let error = Ask::new(IGB_FORMAT_CSV, &[])
        .job(&memory, |options, target| unsafe {
            write_stream(rows, options, target, Cancel::NEVER)
        })
        .unwrap_err();
    assert_eq!(error.sqlstate, "57014");
    let files = memory.files.into_inner().unwrap();
    assert!(files.len() == 1 && files[0].abandoned && !files[0].finished);
}

#[test]
fn parallel_writers_write_all_rows_and_end_together_on_an_error() {
    let engine = &session().engine;
    let batch = one((0..1000).collect::<Int32Array>());
    let pumped = |fails: bool| {
        let mut rows: Vec<datafusion::error::Result<RecordBatch>> =
            (0..50).map(|_| Ok(batch.clone())).collect();
        if fails {
            let error = Error::new(Status::DataError, "22012", "division by zero");
            rows.push(Err(DataFusionError::External(error)));
        }
        let stream = futures::stream::iter(rows);
        let stream = Box::pin(RecordBatchStreamAdapter::new(batch.schema(), stream));
        let schema = batch.schema();
        let running = Running::start_stream(
            engine,
            stream,
            None,
            Arc::clone(&schema),
            Cancel::NEVER,
            Default::default(),
        );
        Pumped { running, schema }
    };
    let ask = Ask::new(IGB_FORMAT_PARQUET, &[]);
    let memory = Memory::default();
    let rows = ask.job(&memory, |options, target| {
        let job = Job::new(&batch.schema(), options, target).unwrap();
        drain_all(&job, vec![pumped(false), pumped(false), pumped(false)], Cancel::NEVER).unwrap();
        job.finish().unwrap()
    });
    assert_eq!(rows, 150_000);
    assert_eq!(memory.files.lock().unwrap().len(), 3);

    let memory = Memory::default();
    let error = ask.job(&memory, |options, target| {
        let job = Job::new(&batch.schema(), options, target).unwrap();
        drain_all(&job, vec![pumped(false), pumped(true)], Cancel::NEVER).unwrap_err()
    });
    assert_eq!(error.sqlstate, "22012");
    let files = memory.files.into_inner().unwrap();
    assert!(files.iter().any(|f| f.abandoned));
    assert!(files.iter().all(|f| f.abandoned != f.finished));
}
