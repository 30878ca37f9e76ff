use crate::testing::{ask_in, plan, rows};

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
const MAX: &str = "9223372036854775807";

#[tokio::test]
async fn a_sum_that_does_not_fit_is_an_error() {
    all(&[
        (&format!("SELECT sum(a) FROM (VALUES ({MAX}), (1)) v(a)"), BIG),
        (&format!("SELECT sum(a) FROM (VALUES (-{MAX}), (-2)) v(a)"), BIG),
        (&format!("SELECT b, sum(a) FROM (VALUES ({MAX}, 'x'), (1, 'x'), (5, 'y')) v(a, b) GROUP BY b"), BIG),
        (&format!("SELECT sum(a) OVER () FROM (VALUES ({MAX}), (1)) v(a)"), BIG),
        (&format!("SELECT sum(a) OVER (ORDER BY a ROWS BETWEEN 1 PRECEDING AND CURRENT ROW) FROM (VALUES ({MAX}), (1)) v(a)"), BIG),
        (&format!("SELECT sum(DISTINCT a) FROM (VALUES ({MAX}), (1), (1)) v(a)"), BIG),
        ("SELECT sum(a) FROM (VALUES (18446744073709551615), (1::bigint unsigned)) v(a)", "error: 22003 unsigned bigint out of range"),
        ("SELECT sum(a) FROM (VALUES ('99999999999999999999999999999999999999'::decimal(38,0)), (1)) v(a)", "error: 22003 numeric field overflow"),
    ])
    .await;
}

#[tokio::test]
async fn only_the_final_sum_must_fit() {
    let there_and_back = format!("(VALUES ({MAX}, 1), ({MAX}, 1), (-{MAX}, 1), (5, 2)) v(a, b)");
    all(&[
        (
            &format!("SELECT sum(a) FROM {there_and_back}"),
            "9223372036854775812".replace("9223372036854775812", BIG).as_str(),
        ),
        (&format!("SELECT sum(a) FROM {there_and_back} WHERE b = 1"), MAX),
        (
            &format!("SELECT b, sum(a) FROM {there_and_back} GROUP BY b ORDER BY b"),
            &format!("1|{MAX}\n2|5"),
        ),
        (
            &format!("SELECT sum(a) FILTER (WHERE a < 9) FROM {there_and_back}"),
            "-9223372036854775802",
        ),
        (
            &format!(
                "SELECT b, sum(a) FILTER (WHERE a = 5) FROM {there_and_back} GROUP BY b ORDER BY b"
            ),
            "1|NULL\n2|5",
        ),
    ])
    .await;
}

#[tokio::test]
async fn sums_have_the_values_types_and_nulls_of_sql() {
    all(&[
        ("SELECT sum(a), arrow_typeof(sum(a)) FROM (VALUES (1), (2), (NULL)) v(a)", "3|Int64"),
        ("SELECT sum(a::int), arrow_typeof(sum(a::smallint)) FROM (VALUES (1), (2)) v(a)", "3|Int64"),
        ("SELECT sum(a) FROM (VALUES (1), (2)) v(a) WHERE a > 5", "NULL"),
        ("SELECT b, sum(a) FROM (VALUES (NULL::bigint, 1), (2, 2)) v(a, b) GROUP BY b ORDER BY b", "1|NULL\n2|2"),
        ("SELECT sum(a), arrow_typeof(sum(a)) FROM (VALUES (1.25::decimal(5,2)), (2.5::decimal(5,2))) v(a)", "3.75|Decimal128(15, 2)"),
        ("SELECT sum(a) FROM (VALUES (1.5), (2.5)) v(a)", "4.0"),
        ("SELECT sum(DISTINCT a), sum(a) FROM (VALUES (1), (1), (2), (NULL)) v(a)", "3|4"),
        ("SELECT sum(DISTINCT a), count(DISTINCT a) FROM (VALUES (1), (1), (2)) v(a)", "3|2"),
        ("SELECT b, sum(DISTINCT a), sum(a) FROM (VALUES (1, 1), (1, 1), (2, 2)) v(a, b) GROUP BY b ORDER BY b", "1|1|2\n2|2|2"),
        ("SELECT sum(-a) FROM (VALUES (4294967296), (-5), (1)) v(a)", "-4294967292"),
        ("SELECT sum(a) FROM (VALUES (1::bigint unsigned), (2::bigint unsigned)) v(a)", "3"),
        ("SELECT sum(a::decimal(38,2)) FROM (VALUES (1), (2)) v(a)", "3.00"),
        ("SELECT sum(arrow_cast(a, 'Decimal256(60, 2)')) FROM (VALUES (1), (2)) v(a)", "3.00"),
        ("SELECT sum(arrow_cast(a, 'Decimal64(5, 2)')) FROM (VALUES (1), (-2)) v(a)", "-1.00"),
        ("SELECT avg(a), avg(a::decimal(38, 0)) FROM (VALUES (9223372036854775807), (9223372036854775807)) v(a)", "9.223372036854776e18|9223372036854775807.0000"),
    ])
    .await;
}

#[tokio::test]
async fn windows_slide_back_and_forth() {
    let frame = "OVER (ORDER BY value ROWS BETWEEN 1 PRECEDING AND 1 FOLLOWING)";
    all(&[
        (&format!("SELECT sum(value) {frame} FROM range(1, 5)"), "3\n6\n9\n7"),
        (&format!("SELECT sum(value::decimal(5, 1)) {frame} FROM range(1, 5)"), "3.0\n6.0\n9.0\n7.0"),
        (&format!("SELECT sum(DISTINCT value % 2) {frame} FROM range(1, 5)"), "1\n1\n1\n1"),
        (&format!("SELECT sum(nullif(value, 2)) {frame} FROM range(1, 5)"), "1\n4\n7\n7"),
        ("SELECT sum(value) OVER (ORDER BY value) FROM range(1, 5)", "1\n3\n6\n10"),
        ("SELECT sum(value) OVER (PARTITION BY value % 2 ORDER BY value) FROM range(1, 5) ORDER BY value", "1\n2\n4\n6"),
    ])
    .await;
}

#[tokio::test]
async fn many_groups_over_partial_and_final_steps_add_up() {
    let sql = "SELECT count(*), sum(s) FROM (SELECT value % 100003 AS g, sum(value) AS s FROM range(0, 1000000) GROUP BY value % 100003) q";
    assert_eq!(rows(sql).await, "100003|499999500000");
}

#[tokio::test]
async fn sums_of_a_column_with_constants_still_share_one_sum() {
    let ctx = crate::testing::tables().await.unwrap();
    let table = plan(&ctx, "CREATE TABLE small AS SELECT x::smallint AS x FROM t").await.unwrap();
    ctx.execute_logical_plan(table).await.unwrap();
    let sql = "SELECT sum(x + 1), sum(x + 2), sum(x + 3) FROM small";
    let plan = plan(&ctx, sql).await.unwrap();
    let text = ctx.state().optimize(&plan).unwrap().display_indent().to_string();
    assert!(text.contains("count("), "{text}");
    assert_eq!(ask_in(&ctx, sql).await.unwrap().rows, [["32", "34", "36"]]);
}
