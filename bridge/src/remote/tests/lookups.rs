//! Lookups by key, which are run without the optimizer.

use arrow::array::{Int32Array, StructArray};

use super::*;
use crate::plan::igb_plan_looks_up;
use crate::smoke::bind;

fn quick() -> Source {
    Source { few: true, ..source() }
}

fn looks_up(plan: &SqlPlan) -> bool {
    unsafe { igb_plan_looks_up(plan.0) }
}

fn bound(source: &'static Source, plan: &SqlPlan, values: &[ArrayRef]) -> Vec<String> {
    let fields: Vec<Field> =
        values.iter().map(|value| Field::new("v", value.data_type().clone(), true)).collect();
    let row = StructArray::new(fields.into(), values.to_vec(), None);
    shown_rows(&run(source, &bind(plan, row, 0).unwrap()).unwrap())
}

#[test]
fn a_lookup_is_read_and_given_back_by_the_thread_that_starts_it() {
    let source = quick().leak();
    let plan = planned(source, "SELECT c, u.a FROM t AS u WHERE 5 = u.a").unwrap();
    assert!(looks_up(&plan));
    assert_eq!(shown_rows(&run(source, &plan).unwrap()), ["995|5"]);
    assert_eq!(source.held(), (0, 0), "without waiting for anybody");
    let asked = source.last();
    assert_eq!((source.asked(), asked.columns), (1, vec![2, 0]));
    assert_eq!(asked.filters, [("(= a#0 5:Int64)".to_string(), IGB_PUSH_EXACT)]);
    // The names are the statement's.
    let renamed = planned(source, "SELECT a AS x, c FROM t WHERE c = 999 AND a = 1").unwrap();
    assert_eq!(run(source, &renamed).unwrap()[0].schema().field(0).name(), "x");
}

#[test]
fn a_prepared_lookup_takes_each_value_as_any_statement_would() {
    let source = quick().leak();
    let plan = planned(source, "SELECT c FROM t WHERE a = $1 AND b = $2").unwrap();
    assert!(looks_up(&plan));
    let text = |text: &str| -> ArrayRef { Arc::new(StringArray::from(vec![text])) };
    let number = |value: i64| -> ArrayRef { Arc::new(Int64Array::from(vec![value])) };
    assert_eq!(bound(source, &plan, &[number(4), text("X")]), ["996"]);
    // The source gives a superset of texts.
    assert_eq!(bound(source, &plan, &[number(4), text("x")]), [""; 0]);
    assert_eq!(bound(source, &plan, &[number(3), text("x")]), ["997"]);
    let narrow: ArrayRef = Arc::new(Int32Array::from(vec![3]));
    assert_eq!(bound(source, &plan, &[narrow, text("x")]), ["997"]);
    let null: ArrayRef = Arc::new(Int64Array::from(vec![None]));
    assert_eq!(bound(source, &plan, &[null, text("x")]), [""; 0]);
    let fraction: ArrayRef = Arc::new(arrow::array::Float64Array::from(vec![3.5]));
    assert_eq!(bound(source, &plan, &[fraction, text("x")]), [""; 0]);
    let error = run(source, &plan).unwrap_err();
    assert_eq!(error.state, "42P02");
}

#[test]
fn what_the_source_does_not_test_of_a_lookup_is_tested_here() {
    let sql = "SELECT c FROM t WHERE b = 'X' AND a = 1";
    for says in [honest as Says, nothing as Says] {
        let source = Source { says, ..quick() }.leak();
        assert_eq!(rows(source, sql), ["999"]);
        let changed = Source { says, decides: Some(IGB_PUSH_NO), parts: 3, ..quick() }.leak();
        assert_eq!(rows(changed, sql), ["999"]);
    }
}

#[test]
fn a_lookup_that_finds_many_rows_gives_all_of_them() {
    let source = Source { decides: Some(IGB_PUSH_EXACT), ..quick() }.leak();
    assert_eq!(rows(source, "SELECT c FROM t WHERE b = 'every text'").len(), 100);
    until(|| source.held() == (0, 0));
    let slow = Source { waits_after: Some(3), decides: Some(IGB_PUSH_EXACT), ..quick() }.leak();
    let plan = planned(slow, "SELECT c FROM t WHERE b = 'every text'").unwrap();
    let mut error = igb_error::zeroed();
    let mut query = std::ptr::null_mut();
    let execution = execution_of(slow);
    unsafe {
        assert_eq!(
            igb_query_start(plan.0, std::ptr::null(), &execution, &mut query, &mut error),
            0
        );
        igb_query_free(query);
    }
    until(|| slow.held() == (0, 0));
}

#[test]
fn a_lookup_that_fails_says_why_and_leaves_nothing_behind() {
    let away = Source { fails_to_open: true, ..quick() }.leak();
    assert_eq!(fails(away, "SELECT c FROM t WHERE a = 5").state, "08006");
    let broken = Source { fails_after: Some(1), ..quick() }.leak();
    let told = fails(broken, "SELECT c FROM t WHERE a = 5");
    assert_eq!((told.state.as_str(), told.hint.as_str()), ("08006", "Look at the source."));
    for source in [away, broken] {
        until(|| source.held() == (0, 0));
    }
}

#[test]
fn whatever_else_is_asked_goes_through_the_optimizer() {
    let source = quick().leak();
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
        "SELECT a FROM t WHERE a = 99999999999999999999",
        "SELECT t.a FROM t, u WHERE t.a = 5",
    ] {
        assert!(!looks_up(&planned(source, sql).unwrap()), "{sql}");
    }
}
