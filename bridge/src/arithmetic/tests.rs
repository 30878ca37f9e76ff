use crate::testing::{ask, plan, rows, state_of, tables};

async fn all(cases: &[(&str, &str)]) {
    let mut wrong = vec![];
    for (sql, expected) in cases {
        let found = rows(sql).await;
        if found != *expected {
            wrong.push(format!("{sql}\n  wanted {expected}\n  found  {found}"));
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

const BIG: &str = "error: 22003 bigint out of range";
const INT: &str = "error: 22003 integer out of range";
const NUMERIC: &str = "error: 22003 numeric field overflow";
const ZERO: &str = "error: 22012 division by zero";

/// `from` gives the columns as a table, so that nothing is folded.
fn at_run_time(sql: &str, values: &str) -> String {
    format!("{sql} FROM (SELECT * FROM (VALUES {values}) AS v(a, b) WHERE random() < 2) AS s")
}

#[tokio::test]
async fn integer_overflow_is_an_error_when_folded() {
    all(&[
        ("SELECT 9223372036854775807 + 1", BIG),
        ("SELECT -9223372036854775808 - 1", BIG),
        ("SELECT 9223372036854775807 * 2", BIG),
        ("SELECT -(-9223372036854775807 - 1)", BIG),
        ("SELECT 2147483647::int + 1::int", INT),
        ("SELECT 127::tinyint + 1::tinyint", "error: 22003 tinyint out of range"),
        ("SELECT 32767::smallint * 2::smallint", "error: 22003 smallint out of range"),
        (
            "SELECT 1::bigint unsigned - 2::bigint unsigned",
            "error: 22003 unsigned bigint out of range",
        ),
        (
            "SELECT 9223372036854775806 + 1, -9223372036854775807 - 1",
            "9223372036854775807|-9223372036854775808",
        ),
        ("SELECT 1 + 2 * 3 - 4", "3"),
    ])
    .await;
}

#[tokio::test]
async fn integer_overflow_is_an_error_at_run_time() {
    let max = "(9223372036854775807::bigint, 1::bigint), (1, 2)";
    let min = "(-9223372036854775807 - 1, -1::bigint)";
    let int = "(2147483647::int, 2::int)";
    all(&[
        (&at_run_time("SELECT a + b", max), BIG),
        (&at_run_time("SELECT a + 1", max), BIG),
        (&at_run_time("SELECT 1 + a", max), BIG),
        (&at_run_time("SELECT b - a - 3", max), BIG),
        (&at_run_time("SELECT a * 2", max), BIG),
        (&at_run_time("SELECT a * a", max), BIG),
        (&at_run_time("SELECT -a", min), BIG),
        (&at_run_time("SELECT a / b", min), "error: 22003 value out of range"),
        (&at_run_time("SELECT a % b", min), "0"),
        (&at_run_time("SELECT abs(a)", min), "error: 22003 value out of range"),
        (&at_run_time("SELECT a + b", int), INT),
        (&at_run_time("SELECT a * b", int), INT),
        (
            &at_run_time("SELECT a + b - 1", "(9223372036854775806::bigint, 1::bigint)"),
            "9223372036854775806",
        ),
    ])
    .await;
    let filtered = at_run_time("SELECT 1", max) + " WHERE a + b > 5";
    assert_eq!(rows(&filtered).await, BIG);
    let grouped = at_run_time("SELECT count(*)", max) + " GROUP BY a + b";
    assert_eq!(rows(&grouped).await, BIG);
    let ordered = at_run_time("SELECT a", max) + " ORDER BY a + b";
    assert_eq!(rows(&ordered).await, BIG);
    let joined = "SELECT 1 FROM (SELECT 9223372036854775807 AS a WHERE random() < 2) s JOIN t ON s.a + t.id = t.x";
    assert_eq!(rows(joined).await, BIG);
    let windowed = at_run_time("SELECT sum(b) OVER (ORDER BY a + b)", max);
    assert_eq!(rows(&windowed).await, BIG);
}

#[tokio::test]
async fn a_branch_not_taken_does_not_overflow() {
    all(&[
        ("SELECT CASE WHEN false THEN 9223372036854775807 + 1 ELSE 1 END", "1"),
        ("SELECT CASE WHEN id > 100 THEN 9223372036854775807 + 1 ELSE id END FROM t ORDER BY id", "1\n2\n3"),
        ("SELECT CASE WHEN id > 100 THEN id * 9223372036854775807 ELSE id END FROM t ORDER BY id", "1\n2\n3"),
        ("SELECT coalesce(id, 9223372036854775807 + id) FROM t ORDER BY 1", "1\n2\n3"),
        ("SELECT 9223372036854775807 + 1 FROM t WHERE false", ""),
        ("SELECT CASE WHEN id = 0 THEN 0 ELSE 6 / id END FROM t ORDER BY id", "6\n3\n2"),
    ])
    .await;
}

#[tokio::test]
async fn nulls_stay_null_and_do_not_overflow() {
    let nulls = "(9223372036854775807::bigint, NULL), (NULL, 1::bigint), (3, 4)";
    all(&[
        (&at_run_time("SELECT a + b", nulls), "NULL\nNULL\n7"),
        (&at_run_time("SELECT a * b, -b", nulls), "NULL|NULL\nNULL|-1\n12|-4"),
        (&at_run_time("SELECT a + NULL::bigint", nulls), "NULL\nNULL\nNULL"),
        ("SELECT 1 + NULL", "NULL"),
    ])
    .await;
}

#[tokio::test]
async fn decimals_respect_their_precision() {
    let nines = "99999999999999999999999999999999999999";
    let max = format!("('{nines}'::decimal(38, 0), 1::decimal(38, 0))");
    all(&[
        (&at_run_time("SELECT a + b", &max), NUMERIC),
        (&at_run_time("SELECT -a - b", &max), NUMERIC),
        (&at_run_time("SELECT a * 10::decimal(38, 0)", &max), NUMERIC),
        (&at_run_time("SELECT a * a", &max), NUMERIC),
        (&at_run_time("SELECT a - b", &max), "99999999999999999999999999999999999998"),
        (&format!("SELECT '{nines}'::decimal(38, 0) + 1"), NUMERIC),
        (&format!("SELECT '{nines}'::decimal(38, 0) * 1"), nines),
        ("SELECT 1.10::decimal(5, 2) * 2.5::decimal(5, 1)", "2.750"),
        ("SELECT 1.1::decimal(3, 1) + 2.25::decimal(5, 2)", "3.35"),
        ("SELECT 12345::decimal(3, 0)", NUMERIC),
        (&at_run_time("SELECT a::decimal(3, 0)", "(12345, 1)"), NUMERIC),
    ])
    .await;
}

#[tokio::test]
async fn division_by_zero_is_an_error_for_exact_numbers() {
    all(&[
        ("SELECT 1 / 0", ZERO),
        ("SELECT 1 % 0", ZERO),
        ("SELECT 1::decimal(5, 2) / 0::decimal(5, 2)", ZERO),
        (&at_run_time("SELECT a / b", "(1, 0)"), ZERO),
        (&at_run_time("SELECT a % b", "(1, 0)"), ZERO),
        (&at_run_time("SELECT a::decimal(5,2) / b", "(1, 0)"), ZERO),
        (&at_run_time("SELECT a::decimal(5,2) % b", "(1, 0)"), ZERO),
        (&at_run_time("SELECT a / b", "(1, NULL), (NULL, 0), (4, 2)"), "NULL\nNULL\n2"),
    ])
    .await;
}

#[tokio::test]
async fn floats_follow_ieee_754() {
    all(&[
        ("SELECT 1.0 / 0, -1.0 / 0, 0.0 / 0", "inf|-inf|NaN"),
        ("SELECT 1e308 * 10, -1e308 * 10, 1.0 % 0", "inf|-inf|NaN"),
        (&at_run_time("SELECT a / b, -a / b, b / b", "(1.0, 0.0)"), "inf|-inf|NaN"),
        ("SELECT 'Infinity'::double - 'Infinity'::double", "NaN"),
        ("SELECT -0.0 = 0.0", "true"),
    ])
    .await;
}

#[tokio::test]
async fn narrowing_casts_are_checked() {
    all(&[
        ("SELECT CAST(300 AS TINYINT)", "error: 22003 tinyint out of range"),
        ("SELECT 3000000000::int", "error: 22003 integer out of range"),
        (&at_run_time("SELECT a::smallint", "(70000, 1)"), "error: 22003 smallint out of range"),
        ("SELECT 1e30::bigint", "error: 22003 bigint out of range"),
        ("SELECT '12x'::int", "error: 22P02 invalid input syntax for type integer: \"12x\""),
        ("SELECT TRY_CAST(300 AS TINYINT)", "NULL"),
    ])
    .await;
}

#[tokio::test]
async fn types_and_names_are_those_of_the_operators() {
    all(&[
        ("SELECT arrow_typeof(id + id), arrow_typeof(id * 2::int) FROM t LIMIT 1", "Int64|Int64"),
        ("SELECT arrow_typeof(1::int + 1::int)", "Int32"),
        ("SELECT arrow_typeof(1::decimal(5,2) * 1::decimal(7,3))", "Decimal128(13, 5)"),
        ("SELECT sum(id + x), sum(id * x) FROM t", "33|50"),
        ("SELECT id + 0, id * 1, 0 + id, 1 * id, id - 0 FROM t WHERE id = 2", "2|2|2|2|2"),
        ("SELECT array_transform([1, 2], e -> e * 9223372036854775807)", BIG),
        (
            "SELECT DATE '2024-01-31' + INTERVAL '1 month', DATE '2024-03-01' - DATE '2024-02-01'",
            "2024-02-29|29",
        ),
    ])
    .await;
    let answer = ask("SELECT id + x AS s, id * id FROM t WHERE id = 1").await.unwrap();
    assert_eq!(answer.names, ["s", "id * id"]);
}

/// The plan that the optimizer makes, as text.
async fn optimized(sql: &str) -> String {
    let ctx = tables().await.unwrap();
    let plan = plan(&ctx, sql).await.unwrap();
    match ctx.state().optimize(&plan) {
        Ok(plan) => plan.display_indent().to_string(),
        Err(error) => state_of(&error),
    }
}

#[tokio::test]
async fn operands_too_small_to_overflow_keep_their_operator() {
    let plan = optimized("SELECT arrow_cast(x, 'Int32')::bigint + 1, x + 1 FROM t").await;
    assert!(plan.contains("Int64) + Int64(1)"), "{plan}");
    assert!(plan.contains("+(t.x, Int64(1))"), "{plan}");
    let plan = optimized("SELECT x::decimal(15, 2) * (1 - x::decimal(15, 2)) FROM t").await;
    assert!(!plan.contains("*("), "{plan}");
}

#[tokio::test]
async fn overflow_is_found_wherever_it_is_in_a_batch() {
    for place in [0, 1, 4095, 8191, 8192, 20_000] {
        let sql = format!(
            "SELECT max(v * 2) FROM (SELECT CASE WHEN value = {place} THEN 9223372036854775807 ELSE value END AS v FROM range(0, 20001)) s"
        );
        assert_eq!(rows(&sql).await, BIG, "{place}");
    }
    assert_eq!(rows("SELECT sum(value * 3 - value + 1) FROM range(0, 20001)").await, "400040001");
}

#[tokio::test]
async fn checked_functions_survive_serialisation() {
    use datafusion_proto::bytes::{physical_plan_from_bytes, physical_plan_to_bytes};
    let ctx = tables().await.unwrap();
    let plan = plan(&ctx, "SELECT value * 4611686018427387904 FROM range(1, 3)").await.unwrap();
    let physical = ctx.state().create_physical_plan(&plan).await.unwrap();
    let projection =
        format!("{}", datafusion::physical_plan::displayable(physical.as_ref()).indent(false));
    assert!(projection.contains("*("), "{projection}");
    // The source itself need not travel: an empty one with the same columns does.
    let source = ctx.sql("SELECT 2 AS v").await.unwrap().create_physical_plan().await.unwrap();
    let column = datafusion::physical_expr::expressions::col("v", &source.schema()).unwrap();
    let four = datafusion::physical_expr::expressions::lit(4611686018427387904i64);
    let product = datafusion::physical_expr::ScalarFunctionExpr::try_new(
        super::functions().remove(2),
        vec![column, four],
        &source.schema(),
        ctx.state().config_options().clone(),
    )
    .unwrap();
    let projection = datafusion::physical_plan::projection::ProjectionExec::try_new(
        vec![(std::sync::Arc::new(product) as _, "p".to_string())],
        source,
    )
    .unwrap();
    let bytes = physical_plan_to_bytes(std::sync::Arc::new(projection)).unwrap();
    let back = physical_plan_from_bytes(&bytes, &ctx.task_ctx()).unwrap();
    let error = datafusion::physical_plan::collect(back, ctx.task_ctx()).await.unwrap_err();
    assert_eq!(state_of(&error), "22003 bigint out of range");
}
