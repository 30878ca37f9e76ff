use crate::testing::{names_of, rows};

async fn check(sql: &str, names: &str, expected: &str) {
    let found = (names_of(sql).await, rows(sql).await);
    assert_eq!(found, (names.to_string(), expected.to_string()), "{sql}");
}

#[tokio::test]
async fn repeated_output_names_are_all_kept() {
    check("SELECT 1 AS a, 2 AS a", "a|a", "1|2").await;
    check("SELECT 1, 1", "1|1", "1|1").await;
    check("SELECT 1 AS a, 2 AS A, 3 AS \"A\"", "a|a|A", "1|2|3").await;
    check("SELECT x, x FROM t WHERE id = 1", "x|x", "10|10").await;
    check("SELECT t.x, t.x, x FROM t WHERE id = 1", "x|x|x", "10|10|10").await;
    check("SELECT count(*), count(*) FROM t", "count(*)|count(*)", "3|3").await;
    check("SELECT t.id, u.id FROM t JOIN u ON t.id = u.id", "id|id", "1|1").await;
    check("SELECT 7 AS id, t.id FROM t WHERE id = 1", "id|id", "7|1").await;
    check("SELECT DISTINCT x, x FROM t WHERE id < 3 ORDER BY x", "x|x", "10|10\n20|20").await;
}

#[tokio::test]
async fn a_wildcard_beside_one_of_its_columns_keeps_both() {
    check("SELECT *, id FROM t WHERE id = 1", "id|x|y|id", "1|10|a|1").await;
    check("SELECT *, 5 AS id FROM t WHERE id = 1", "id|x|y|id", "1|10|a|5").await;
    check("SELECT id, * FROM t ORDER BY id DESC LIMIT 1", "id|id|x|y", "3|3|NULL|c").await;
    check(
        "SELECT *, id + 1 AS n, id FROM t ORDER BY n DESC LIMIT 1",
        "id|x|y|n|id",
        "3|NULL|c|4|3",
    )
    .await;
    check("SELECT t.*, id AS id FROM t WHERE id = 1", "id|x|y|id", "1|10|a|1").await;
}

#[tokio::test]
async fn wildcards_over_joins_keep_every_column_at_every_level() {
    let names = "id|z|id|z";
    check("SELECT * FROM u JOIN v ON u.id = v.id", names, "1|one|1|eins").await;
    check("SELECT * FROM (SELECT * FROM u JOIN v ON u.id = v.id) s", names, "1|one|1|eins").await;
    check("SELECT s.* FROM (SELECT u.*, v.* FROM u, v WHERE u.id = v.id) s", names, "1|one|1|eins")
        .await;
    check(
        "WITH c AS (SELECT * FROM u JOIN v ON u.id = v.id) SELECT * FROM c",
        names,
        "1|one|1|eins",
    )
    .await;
    check(
        "SELECT * FROM (SELECT * FROM (SELECT 1 AS a, 2 AS a) s, (SELECT 3 AS a) t) q",
        "a|a|a",
        "1|2|3",
    )
    .await;
    check("SELECT *, 9 AS id FROM u JOIN v ON u.id = v.id", "id|z|id|z|id", "1|one|1|eins|9").await;
    check("SELECT *, 3 AS a FROM (SELECT 1 AS a, 2 AS a) s", "a|a|a", "1|2|3").await;
    check("SELECT * FROM u JOIN v USING (id)", "id|z|z", "1|one|eins").await;
}

#[tokio::test]
async fn set_operations_take_repeated_names_from_their_first_branch() {
    check("SELECT 1 AS a, 2 AS a UNION ALL SELECT 3, 3", "a|a", "1|2\n3|3").await;
    check(
        "SELECT x, x FROM t WHERE id = 1 UNION ALL SELECT id, id FROM u WHERE id = 4",
        "x|x",
        "10|10\n4|4",
    )
    .await;
    check(
        "SELECT * FROM u JOIN v ON u.id = v.id UNION ALL SELECT 5, 'p', 6, 'q'",
        "id|z|id|z",
        "1|one|1|eins\n5|p|6|q",
    )
    .await;
    check("SELECT 1 AS a, 2 AS a EXCEPT SELECT 3, 4", "a|a", "1|2").await;
    check("(SELECT 1 AS a, 2 AS a) UNION ALL (SELECT 3, 3) ORDER BY 1", "a|a", "1|2\n3|3").await;
}

#[tokio::test]
async fn a_reference_to_a_repeated_name_is_ambiguous() {
    let error = "error: 42702 column reference \"a\" is ambiguous";
    assert_eq!(rows("SELECT a FROM (SELECT 1 AS a, 2 AS a) s").await, error);
    assert_eq!(rows("SELECT s.a FROM (SELECT 1 AS a, 2 AS a) s").await, error);
    assert_eq!(rows("WITH c AS (SELECT 1 AS a, 2 AS a) SELECT a FROM c").await, error);
    assert_eq!(rows("SELECT 1 FROM (SELECT 1 AS a, 2 AS a) s WHERE a = 1").await, error);
    let id = "error: 42702 column reference \"id\" is ambiguous";
    assert_eq!(rows("SELECT id FROM u JOIN v ON u.id = v.id").await, id);
    assert_eq!(rows("SELECT id FROM (SELECT * FROM u JOIN v ON u.id = v.id) s").await, id);
    assert_eq!(
        rows("SELECT id AS a, x AS a FROM t ORDER BY a").await,
        "error: 42702 ORDER BY \"a\" is ambiguous"
    );
}

#[tokio::test]
async fn names_that_do_not_repeat_stay_usable_beside_those_that_do() {
    check("SELECT b FROM (SELECT 1 AS a, 2 AS a, 3 AS b) s", "b", "3").await;
    check("SELECT z FROM (SELECT t.id, t.id, z FROM t JOIN u ON t.id = u.id) s", "z", "one").await;
    check("SELECT id AS a, id AS a FROM t ORDER BY a DESC LIMIT 1", "a|a", "3|3").await;
    check(
        "SELECT x, x, count(*) AS n FROM t GROUP BY x ORDER BY x NULLS FIRST LIMIT 1",
        "x|x|n",
        "NULL|NULL|1",
    )
    .await;
    check("SELECT p, q FROM (SELECT 1, 1) AS s(p, q)", "p|q", "1|1").await;
    check("SELECT * FROM (SELECT *, id FROM t) AS s(k) WHERE k = 1", "k|x|y|id", "1|10|a|1").await;
    check("SELECT id FROM t WHERE EXISTS (SELECT *, 1 AS id FROM u WHERE u.id = t.id)", "id", "1")
        .await;
}

#[tokio::test]
async fn unnamed_outputs_are_named_by_their_text() {
    check("SELECT 1 + 1", "1 + 1", "2").await;
    check("SELECT SUM(x), count(*), upper('a') FROM t", "SUM(x)|count(*)|upper('a')", "30|3|A")
        .await;
    check("SELECT \"sum(x)\" FROM (SELECT sum(x) FROM t) s", "sum(x)", "30").await;
    check("SELECT s.f FROM (SELECT named_struct('f', 1) AS s) q", "f", "1").await;
    check("SELECT CASE WHEN true THEN 1 ELSE 2 END", "CASE WHEN true THEN 1 ELSE 2 END", "1").await;
    check("SELECT NULL, -1", "NULL|-1", "NULL|-1").await;
    check("SELECT (SELECT max(x) FROM t)", "(SELECT max(x) FROM t)", "20").await;
}

#[tokio::test]
async fn casts_of_one_expression_are_different_expressions() {
    check(
        "SELECT sum(x), sum(x::int), sum(x::double) FROM t",
        "sum(x)|sum(x::INT)|sum(x::DOUBLE)",
        "30|30|30.0",
    )
    .await;
    check(
        "SELECT x::int, x::double, count(*) FROM t GROUP BY x::int, x::double ORDER BY x::int LIMIT 1",
        "x::INT|x::DOUBLE|count(*)",
        "10|10.0|1",
    )
    .await;
    check("SELECT id::text, id FROM t WHERE id = 1", "id::TEXT|id", "1|1").await;
}

#[tokio::test]
async fn clauses_still_find_expressions_that_were_named() {
    check("SELECT x + 1 FROM t ORDER BY x + 1 LIMIT 1", "x + 1", "11").await;
    check("SELECT DISTINCT x + 1 FROM t ORDER BY x + 1 LIMIT 1", "x + 1", "11").await;
    check(
        "SELECT x % 3, count(*) FROM t GROUP BY x % 3 ORDER BY count(*) DESC, x % 3",
        "x % 3|count(*)",
        "1|1\n2|1\nNULL|1",
    )
    .await;
    check("SELECT count(*) FROM t HAVING count(*) > 2", "count(*)", "3").await;
    check("SELECT id, row_number() OVER (ORDER BY id DESC) FROM t QUALIFY row_number() OVER (ORDER BY id DESC) = 1",
          "id|row_number() OVER (ORDER BY id DESC)", "3|1").await;
    check("SELECT y, sum(x) FROM t GROUP BY GROUPING SETS ((y), ()) ORDER BY sum(x) DESC NULLS LAST LIMIT 1", "y|sum(x)", "NULL|30").await;
    check(
        "SELECT upper(y), sum(x) FROM t GROUP BY ALL ORDER BY upper(y) LIMIT 1",
        "upper(y)|sum(x)",
        "A|10",
    )
    .await;
    check(
        "SELECT sum(x) OVER (ORDER BY id), sum(x) OVER (ORDER BY id) FROM t ORDER BY id LIMIT 1",
        "sum(x) OVER (ORDER BY id)|sum(x) OVER (ORDER BY id)",
        "10|10",
    )
    .await;
    check("SELECT rank() OVER w, sum(x) OVER w FROM t WINDOW w AS (ORDER BY id) ORDER BY 1 DESC LIMIT 1", "rank() OVER w|sum(x) OVER w", "3|30").await;
    check("SELECT id FROM t WHERE x > (SELECT avg(x) FROM t)", "id", "2").await;
    check(
        "SELECT id FROM t WHERE (SELECT count(*) FROM u WHERE u.id = t.id) = 0 ORDER BY id",
        "id",
        "2\n3",
    )
    .await;
    check("SELECT DISTINCT ON (y) y, id + 1 FROM t ORDER BY y, id LIMIT 1", "y|id + 1", "a|2")
        .await;
    check("WITH RECURSIVE r(n) AS (SELECT 1 UNION ALL SELECT n + 1 FROM r WHERE n < 3) SELECT n FROM r ORDER BY n", "n", "1\n2\n3").await;
}

#[tokio::test]
async fn unnest_expands_lists_and_structs() {
    check("SELECT unnest([1, 2]) AS n", "n", "1\n2").await;
    check("SELECT * FROM unnest([1, 2])", "unnest", "1\n2").await;
    check("SELECT n FROM unnest([1, 2]) AS n", "n", "1\n2").await;
    check("SELECT n FROM unnest([1, 2]) AS u(n)", "n", "1\n2").await;
    assert_eq!(rows("SELECT unnest(named_struct('p', 1, 'q', 2))").await, "1|2");
}

#[tokio::test]
async fn definitions_with_repeated_names_are_refused() {
    let ctx = crate::testing::tables().await.unwrap();
    let plan = crate::testing::plan(&ctx, "SELECT 1 AS a, 2 AS a").await.unwrap();
    let error = crate::testing::state_of(&super::dedup_plan(plan).unwrap_err());
    assert_eq!(error, "42701 column \"a\" specified more than once");

    let plan = crate::testing::plan(&ctx, "SELECT *, 1 AS n FROM (SELECT id AS k FROM t) s").await;
    let plan = super::dedup_plan(plan.unwrap()).unwrap();
    assert_eq!(super::output_names(&plan), ["k", "n"]);
    assert!(plan.schema().fields().iter().all(|f| !f.name().contains(super::MARK)));
}

#[tokio::test]
async fn missing_names_and_tables_named_twice_have_their_sqlstate() {
    assert_eq!(rows("SELECT nope FROM t").await, "error: 42703 column \"nope\" does not exist");
    assert_eq!(rows("SELECT t.nope FROM t").await, "error: 42703 column t.nope does not exist");
    assert_eq!(
        rows("SELECT 1 FROM t, t").await,
        "error: 42712 table name \"t\" specified more than once"
    );
}

#[test]
fn marks_come_off_names_and_texts() {
    let name = super::marked("a", 12);
    assert_eq!(super::demangle(&name), "a");
    assert_eq!(super::marked(&name, 3), super::marked("a", 3));
    assert_eq!(super::scrub(&format!("no {name}, {name}.")), "no a, a.");
    assert_eq!(super::demangle("plain\u{1}\u{2}x"), "plain\u{1}\u{2}x");
}
