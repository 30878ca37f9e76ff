//! `igb_functions`: what can be called, for completion and SHOW FUNCTIONS.

use std::sync::Arc;

use datafusion::arrow::array::{ArrayRef, RecordBatch, StringArray};
use datafusion::arrow::datatypes::{DataType, Field, Schema};
use datafusion::arrow::ffi_stream::FFI_ArrowArrayStream;
use datafusion::execution::SessionState;
use datafusion::logical_expr::Documentation;

use crate::abi::{boundary, igb_error};
use crate::error::Result;
use crate::functions::is_hidden;
use crate::session::igb_session;
use crate::stream::{export, ReadyBatches};

/// Name, kind, description, syntax.
type Row = [String; 4];

fn row(name: &str, kind: &str, documentation: Option<&Documentation>) -> Row {
    let (description, syntax) = match documentation {
        Some(found) => {
            let first = found.description.lines().find(|line| !line.trim().is_empty());
            (first.unwrap_or("").trim().to_string(), found.syntax_example.clone())
        }
        None => (String::new(), format!("{name}(…)")),
    };
    [name.to_string(), kind.to_string(), description, syntax]
}

fn list(state: &SessionState) -> Vec<Row> {
    let mut rows = Vec::new();
    for (name, function) in state.scalar_functions() {
        // Plans call these; nobody else does.
        if is_hidden(name) || name.starts_with("igloo_") {
            continue;
        }
        rows.push(row(name, "scalar", function.documentation()));
    }
    for (name, function) in state.aggregate_functions() {
        rows.push(row(name, "aggregate", function.documentation()));
    }
    for (name, function) in state.window_functions() {
        rows.push(row(name, "window", function.documentation()));
    }
    for name in state.higher_order_functions().keys() {
        rows.push(row(name, "scalar", None));
    }
    for name in state.table_functions().keys() {
        rows.push(row(name, "table", None));
    }
    for (name, what) in [
        ("read_parquet", "Parquet"),
        ("read_csv", "CSV"),
        ("read_json", "newline-delimited JSON"),
        ("read_arrow", "Arrow IPC"),
    ] {
        rows.push([
            name.to_string(),
            "table".to_string(),
            format!("Reads {what} files."),
            format!("{name}(path [, option => value …])"),
        ]);
    }
    rows.push(
        [
            "remote_query",
            "table",
            "Runs a query of a source in the source's own language.",
            "remote_query(catalog, query)",
        ]
        .map(str::to_string),
    );
    rows.sort();
    rows
}

fn stream(state: &SessionState) -> Result<FFI_ArrowArrayStream> {
    let rows = list(state);
    let names = ["name", "kind", "description", "syntax"];
    let schema =
        Arc::new(Schema::new(names.map(|name| Field::new(name, DataType::Utf8, false)).to_vec()));
    let columns = (0..names.len())
        .map(|at| Arc::new(StringArray::from_iter_values(rows.iter().map(|r| &r[at]))) as ArrayRef)
        .collect();
    let batch = RecordBatch::try_new(Arc::clone(&schema), columns)?;
    Ok(export(Box::new(ReadyBatches::new(schema, vec![batch]))))
}

/// Names for completion and SHOW FUNCTIONS: rows name, kind (scalar, aggregate, window, table),
/// description, syntax; ordered by name. Gives *ret_stream.
///
/// # Safety
/// All pointers are valid; `ret_error` may be NULL.
#[no_mangle]
pub unsafe extern "C" fn igb_functions(
    session: *mut igb_session,
    ret_stream: *mut FFI_ArrowArrayStream,
    ret_error: *mut igb_error,
) -> i32 {
    unsafe {
        boundary(ret_error, || {
            ret_stream.write(stream(&(&*session).shared.state)?);
            Ok(())
        })
    }
}
