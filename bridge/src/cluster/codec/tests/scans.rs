//! Scans of each kind of file, and files that are others elsewhere.

use arrow::datatypes::Schema;
use datafusion::datasource::source::DataSourceExec;
use datafusion::prelude::{col, lit};

use super::*;
use crate::damaged::files_of;
use crate::file_table::tests::{session, Folder, Given};

/// The rows of a table read here, by the engine of file_table's tests, and over there.
fn both(given: &Given, filter: bool) -> (Vec<String>, Result<Vec<String>>) {
    let mut frame = given.frame();
    if filter {
        frame = frame.filter(col("n").gt(lit(1))).unwrap();
    }
    let engine = &session().engine;
    let task = Arc::new(frame.task_ctx());
    let plan = engine.pools.cpu.block_on(frame.create_physical_plan()).unwrap();
    sendable(engine, &plan).unwrap();
    let bytes = encode(engine, &plan).unwrap();
    let far = arrive(&bytes);
    assert_eq!(far.as_ref().map(shown).unwrap(), shown(&plan));
    let rows = cells(&run(engine, &plan, task).unwrap());
    (rows, far.and_then(|far| run(there(), &far, context())).map(|rows| cells(&rows)))
}

fn context() -> Arc<TaskContext> {
    context_of(task_config(there(), &[]).unwrap())
}

fn arrive(bytes: &[u8]) -> Result<Arc<dyn ExecutionPlan>> {
    decode(there(), bytes, &context(), &Over::default())
}

fn assert_same(given: &Given) -> Vec<String> {
    let (here, far) = both(given, false);
    assert_eq!(far.unwrap(), here);
    let (some, far) = both(given, true);
    assert_eq!(far.unwrap(), some);
    assert!(!some.is_empty() && some.len() < here.len(), "{some:?} {here:?}");
    here
}

fn arrow_file(folder: &Folder, name: &str, whole: bool) -> PathBuf {
    use arrow::array::{ArrayRef, Int64Array};
    use arrow::ipc::writer::{FileWriter, StreamWriter};
    let n: ArrayRef = Arc::new((0..50).collect::<Int64Array>());
    let batch = RecordBatch::try_from_iter([("n", n)]).unwrap();
    let mut bytes = vec![];
    if whole {
        let mut writer = FileWriter::try_new(&mut bytes, &batch.schema()).unwrap();
        writer.write(&batch).unwrap();
        writer.finish().unwrap();
    } else {
        let mut writer = StreamWriter::try_new(&mut bytes, &batch.schema()).unwrap();
        writer.write(&batch).unwrap();
        writer.finish().unwrap();
    }
    folder.file(name, bytes)
}

fn parquet_file(folder: &Folder, name: &str, from: i64) -> PathBuf {
    use arrow::array::{ArrayRef, Int64Array, StringArray};
    let n: ArrayRef = Arc::new((from..from + 50).collect::<Int64Array>());
    let s: ArrayRef = Arc::new((0..50).map(|i| Some(format!("s{i}"))).collect::<StringArray>());
    folder.parquet(name, &RecordBatch::try_from_iter([("n", n), ("s", s)]).unwrap())
}

#[test]
fn csv_of_any_dialect_is_read_alike() {
    let folder = Folder::new();
    let path = folder.file("a.csv", "n;s\n1;'a;b'\n2;-\n3;\"x\n#no\n4;\\'\n");
    let mut given = Given::new(IGB_FORMAT_CSV, &[&path]);
    given.options =
        vec![("delim", ";"), ("quote", "'"), ("null", "-"), ("comment", "#"), ("escape", "\\")];
    let rows = assert_same(&given);
    assert_eq!(rows, ["1|a;b", "2|NULL", "3|\"x", "4|\\'"]);
    let plain = folder.file("b.csv", "1,x\n2,y\n3,z\n");
    let mut given = Given::new(IGB_FORMAT_CSV, &[&plain]);
    given.options = vec![("header", "false")];
    let fields = ["n", "s"].map(|name| {
        let kind = if name == "n" {
            arrow::datatypes::DataType::Int64
        } else {
            arrow::datatypes::DataType::Utf8
        };
        arrow::datatypes::Field::new(name, kind, true)
    });
    given.columns = Some(Schema::new(fields.to_vec()));
    assert_eq!(assert_same(&given), ["1|x", "2|y", "3|z"]);
}

#[test]
fn json_and_arrow_are_read_alike() {
    let folder = Folder::new();
    let path = folder.file("a.json", "{\"n\":1,\"s\":[1,2]}\n{\"n\":2}\n{\"n\":3,\"s\":[]}\n");
    assert_eq!(assert_same(&Given::new(IGB_FORMAT_JSON, &[&path])).len(), 3);
    let (file, stream) =
        (arrow_file(&folder, "a.arrow", true), arrow_file(&folder, "b.arrows", false));
    assert_eq!(assert_same(&Given::new(IGB_FORMAT_ARROW, &[&file])).len(), 50);
    assert_eq!(assert_same(&Given::new(IGB_FORMAT_ARROW, &[&stream])).len(), 50);
}

#[test]
fn values_of_partitions_go_with_their_files() {
    let folder = Folder::new();
    let (a, b) = (parquet_file(&folder, "y=1/a", 0), parquet_file(&folder, "y=2/b ü#%.p", 50));
    let mut given = Given::new(IGB_FORMAT_PARQUET, &[&a, &b]);
    given.partition = vec!["y", "z"];
    given.values = vec![vec![Some("1"), None], vec![Some("2"), Some("x")]];
    let rows = assert_same(&given);
    assert_eq!((rows.len(), rows[0].as_str()), (100, "0|s0|1|NULL"));
    assert!(rows.contains(&"99|s49|2|x".to_string()));
}

#[test]
fn a_file_of_another_size_or_time_is_refused_where_it_is_opened() {
    let folder = Folder::new();
    for kind in [IGB_FORMAT_PARQUET, IGB_FORMAT_ARROW] {
        let path = match kind {
            IGB_FORMAT_PARQUET => parquet_file(&folder, "a", 0),
            _ => arrow_file(&folder, "b", true),
        };
        let frame = Given::new(kind, &[&path]).frame();
        let engine = &session().engine;
        let plan = engine.pools.cpu.block_on(frame.create_physical_plan()).unwrap();
        let bytes = encode(engine, &plan).unwrap();
        let there_before = run(there(), &arrive(&bytes).unwrap(), context()).unwrap();
        assert_eq!(cells(&there_before).len(), 50);
        let later = std::time::SystemTime::now() + std::time::Duration::from_secs(5);
        File::options().write(true).open(&path).unwrap().set_modified(later).unwrap();
        let error = run(there(), &arrive(&bytes).unwrap(), context()).unwrap_err();
        assert_eq!((error.sqlstate.as_str(), error.status), ("55000", Status::FailedPrecondition));
        std::fs::remove_file(&path).unwrap();
        let error = run(there(), &arrive(&bytes).unwrap(), context()).unwrap_err();
        assert_eq!(error.sqlstate, "55000");
    }
}

#[test]
fn a_plan_that_is_gone_leaves_no_store() {
    let folder = Folder::new();
    let path = parquet_file(&folder, "a", 0);
    let frame = Given::new(IGB_FORMAT_PARQUET, &[&path]).frame();
    let engine = &session().engine;
    let plan = engine.pools.cpu.block_on(frame.create_physical_plan()).unwrap();
    let bytes = encode(engine, &plan).unwrap();
    let plan = arrive(&bytes).unwrap();
    let config = plan.downcast_ref::<DataSourceExec>().and_then(files_of).unwrap();
    let url = config.object_store_url.clone();
    assert!(there().runtime_env.object_store(&url).is_ok());
    drop(plan);
    assert!(there().runtime_env.object_store(&url).is_err());
}
