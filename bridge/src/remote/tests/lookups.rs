//! Lookups by key: what C is told of them, and what goes through the optimizer.

use arrow::array::{make_array, Array, Int32Array, StructArray};
use arrow::ffi::{from_ffi, FFI_ArrowArray, FFI_ArrowSchema};

use super::*;
use crate::plan::igb_plan_lookup;
use crate::smoke::bind;

/// The columns of a lookup, and its keys: column, parameter, value.
type Told = (Vec<i32>, Vec<(i32, u32, String)>);

fn told(plan: &SqlPlan) -> Option<Told> {
    let mut lookup = std::mem::MaybeUninit::<igb_lookup>::uninit();
    if !unsafe { igb_plan_lookup(plan.0, lookup.as_mut_ptr()) } {
        return None;
    }
    let lookup = unsafe { lookup.assume_init() };
    let (columns, keys) = unsafe {
        (
            std::slice::from_raw_parts(lookup.columns, lookup.columns_count),
            std::slice::from_raw_parts(lookup.keys, lookup.keys_count),
        )
    };
    let key = |key: &igb_lookup_key| (key.column, key.parameter, shown(key));
    Some((columns.to_vec(), keys.iter().map(key).collect()))
}

/// The value, taken for one of the column's type: c and a are int64, b is utf8.
fn shown(key: &igb_lookup_key) -> String {
    if key.value.is_null() {
        return String::new();
    }
    let kind = if key.column == 1 { DataType::Utf8 } else { DataType::Int64 };
    let schema = FFI_ArrowSchema::try_from(&kind).unwrap();
    let whole = unsafe { std::ptr::read(key.value.cast::<FFI_ArrowArray>()) };
    let data = unsafe { from_ffi(whole, &schema) }.unwrap();
    let array = make_array(data);
    let text = arrow::util::display::array_value_to_string(&array, 0).unwrap();
    std::mem::forget(array); // it is the plan's
    text
}

fn bound(source: &'static Source, plan: &SqlPlan, values: &[ArrayRef]) -> Vec<String> {
    let fields: Vec<Field> =
        values.iter().map(|value| Field::new("v", value.data_type().clone(), true)).collect();
    let row = StructArray::new(fields.into(), values.to_vec(), None);
    shown_rows(&run(source, &bind(plan, row, 0).unwrap()).unwrap())
}

#[test]
fn a_lookup_tells_its_columns_and_its_keys() {
    let source = source().leak();
    let told = |sql: &str| told(&planned(source, sql).unwrap()).unwrap();
    let number = |value: &str| (0, 0, value.to_string());
    assert_eq!(told("SELECT c, u.a FROM t AS u WHERE 5 = u.a"), (vec![2, 0], vec![number("5")]));
    assert_eq!(
        told("SELECT a AS x, c FROM t WHERE b = 'X' AND a = -1"),
        (vec![0, 2], vec![(1, 0, "X".to_string()), number("-1")])
    );
    assert_eq!(
        told("SELECT c FROM t WHERE a = $2 AND b = $1"),
        (vec![2], vec![(0, 2, String::new()), (1, 1, String::new())])
    );
    assert_eq!(
        told("SELECT c FROM t WHERE a = $1 AND c = $1 AND b = ''"),
        (vec![2], vec![(0, 1, String::new()), (2, 1, String::new()), (1, 0, String::new())])
    );
}

#[test]
fn a_lookup_that_c_leaves_takes_each_value_as_any_statement_would() {
    let source = source().leak();
    assert_eq!(rows(source, "SELECT c, u.a FROM t AS u WHERE 5 = u.a"), ["995|5"]);
    let plan = planned(source, "SELECT c FROM t WHERE a = $1 AND b = $2").unwrap();
    let text = |text: &str| -> ArrayRef { Arc::new(StringArray::from(vec![text])) };
    let number = |value: i64| -> ArrayRef { Arc::new(Int64Array::from(vec![value])) };
    assert_eq!(bound(source, &plan, &[number(4), text("X")]), ["996"]);
    // The source gives a superset of texts.
    assert_eq!(bound(source, &plan, &[number(4), text("x")]), [""; 0]);
    let narrow: ArrayRef = Arc::new(Int32Array::from(vec![3]));
    assert_eq!(bound(source, &plan, &[narrow, text("x")]), ["997"]);
    let null: ArrayRef = Arc::new(Int64Array::from(vec![None]));
    assert_eq!(bound(source, &plan, &[null, text("x")]), [""; 0]);
    let fraction: ArrayRef = Arc::new(arrow::array::Float64Array::from(vec![3.5]));
    assert_eq!(bound(source, &plan, &[fraction, text("x")]), [""; 0]);
    assert!(told(&bind_one(&plan)).is_none(), "its values are the engine's");
    let error = run(source, &plan).unwrap_err();
    assert_eq!(error.state, "42P02");
}

fn bind_one(plan: &SqlPlan) -> SqlPlan {
    let values: Vec<ArrayRef> =
        vec![Arc::new(Int64Array::from(vec![4])), Arc::new(StringArray::from(vec!["X"]))];
    let fields: Vec<Field> =
        values.iter().map(|value| Field::new("v", value.data_type().clone(), true)).collect();
    bind(plan, StructArray::new(fields.into(), values, None), 0).unwrap()
}

#[test]
fn whatever_else_is_asked_is_no_lookup() {
    let source = source().leak();
    for sql in [
        "SELECT a FROM t WHERE a > 5",
        "SELECT a FROM t WHERE a = 5 AND a = 6",
        "SELECT a FROM t WHERE a = 5 OR a = 6",
        "SELECT a FROM t WHERE a = NULL",
        "SELECT a FROM t WHERE a = c",
        "SELECT a FROM t WHERE a = 5 AND random() < 1",
        "SELECT a + 1 FROM t WHERE a = 5",
        "SELECT a, a AS again FROM t WHERE a = 5",
        "SELECT count(*) FROM t WHERE a = 5",
        "SELECT DISTINCT a FROM t WHERE a = 5",
        "SELECT a FROM t WHERE a = 5 ORDER BY a",
        "SELECT a FROM t WHERE a = 5 LIMIT 1",
        "SELECT a FROM t WHERE a = 0.5",
        "SELECT a FROM t WHERE a = '5'",
        "SELECT a FROM t WHERE b = 5",
        "SELECT a FROM t WHERE a = 99999999999999999999",
        "SELECT a FROM t WHERE a = $1 + 1",
        "SELECT a FROM t WHERE a = -$1",
        "SELECT t.a FROM t, u WHERE t.a = 5",
    ] {
        assert!(told(&planned(source, sql).unwrap()).is_none(), "{sql}");
    }
}
