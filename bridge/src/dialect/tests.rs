use crate::testing::{names_of, rows};

/// Each text must give these rows.
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

#[tokio::test]
async fn names_and_literals_follow_postgres() {
    all(&[
        ("SELECT Id FROM T WHERE ID = 1", "1"),
        ("SELECT 1 AS \"Mixed\" ORDER BY \"Mixed\"", "1"),
        ("SELECT 'it''s'", "it's"),
        ("SELECT E'a\\tb'", "a\tb"),
        ("SELECT $$it's$$", "it's"),
        ("SELECT $q$a$$b$q$", "a$$b"),
        ("SELECT 1_000", "1000"),
        ("SELECT 'a'\n'b'", "ab"),
        ("SELECT U&'\\0041'", "A"),
        ("SELECT 'a\\b'", "a\\b"),
        ("SELECT /* x /* nested */ y */ 1", "1"),
        (
            "SELECT DATE '2024-02-29', TIMESTAMP '2024-01-02 03:04:05'",
            "2024-02-29|2024-01-02T03:04:05",
        ),
        ("SELECT path, line FROM (SELECT 1 AS path, 2 AS line) s", "1|2"),
        ("SELECT 1.5, 1e3, .5", "1.5|1000.0|0.5"),
        ("SELECT true AND NOT false", "true"),
    ])
    .await;
}

#[tokio::test]
async fn operators_follow_postgres() {
    all(&[
        ("SELECT '12'::int + 1", "13"),
        ("SELECT 7 / 2, -7 / 2, 7 % 3", "3|-3|1"),
        ("SELECT 'a' || 'b' || 1", "ab1"),
        ("SELECT 2 ^ 10", "1024.0"),
        ("SELECT |/ 16.0", "4.0"),
        ("SELECT ||/ 27.0", "3.0"),
        ("SELECT @ -5", "5"),
        ("SELECT 5 # 1, ~ 5, 6 & 3, 6 | 1, 1 << 3, 16 >> 2", "4|-6|2|7|8|4"),
        ("SELECT 'abc' ~ '^a', 'abc' ~* 'B', 'abc' !~ 'x'", "true|true|true"),
        ("SELECT 'abc' ~~ 'a%', 'abc' ILIKE 'A%', 'abc' SIMILAR TO 'a.*'", "true|true|true"),
        ("SELECT 'abc' ^@ 'ab'", "true"),
        ("SELECT 1 != 2, 1 <> 2", "true|true"),
        ("SELECT NULL IS DISTINCT FROM 1, 1 IS NOT DISTINCT FROM 1", "true|true"),
        ("SELECT 1 NOTNULL, NULL IS NULL", "true|true"),
        ("SELECT 1 BETWEEN 0 AND 2, 1 IN (1, 2), 3 NOT IN (1, 2)", "true|true|true"),
        ("SELECT [1, 2] @> [1], [1] <@ [1, 2], [1, 2] && [2, 3]", "true|true|true"),
        ("SELECT 3 = ANY([1, 3])", "true"),
        ("SELECT 2 + 3 * 4 - 1", "13"),
        ("SELECT -2 ^ 2, - 2 + 5, -(-3), -1::int, 4 - -1", "4.0|3|3|-1|5"),
        ("SELECT -9223372036854775808", "-9223372036854775808"),
        ("SELECT TIMESTAMP '2024-01-01 00:00:00' AT TIME ZONE 'UTC' IS NOT NULL", "true"),
        ("SELECT CAST('1' AS INT), TRY_CAST('x' AS INT)", "1|NULL"),
    ])
    .await;
}

#[tokio::test]
async fn nulls_sort_as_the_largest_value() {
    all(&[
        ("SELECT x FROM t ORDER BY x", "10\n20\nNULL"),
        ("SELECT x FROM t ORDER BY x DESC", "NULL\n20\n10"),
        ("SELECT x FROM t ORDER BY x DESC NULLS LAST", "20\n10\nNULL"),
        ("SELECT first_value(x) OVER (ORDER BY x DESC) FROM t LIMIT 1", "NULL"),
        ("SELECT array_agg(x ORDER BY x DESC) FROM t", "[NULL, 20, 10]"),
    ])
    .await;
}

#[tokio::test]
async fn constructs_that_datafusion_documents_work() {
    all(&[
        ("SELECT * EXCLUDE (y) FROM t WHERE id = 1", "1|10"),
        ("SELECT * EXCLUDE y FROM t WHERE id = 1", "1|10"),
        ("SELECT * EXCEPT (x, y) FROM t WHERE id = 1", "1"),
        ("SELECT * REPLACE (x + 1 AS x) FROM t WHERE id = 1", "1|11|a"),
        ("SELECT t.* EXCLUDE (y) FROM t WHERE id = 1", "1|10"),
        ("SELECT MAP {'a': 1, 'b': 2}['b']", "2"),
        ("SELECT map(['a'], [1])['a']", "1"),
        ("FROM t SELECT id WHERE id = 1", "1"),
        ("FROM t", "1|10|a\n2|20|b\n3|NULL|c"),
        ("SELECT id FROM t QUALIFY row_number() OVER (ORDER BY id DESC) = 1", "3"),
        ("SELECT array_transform([1, 2], e -> e + 1)", "[2, 3]"),
        ("SELECT [1, 2][1], make_array(1, 2)[2], [1, 2, 3][2:3]", "1|2|[2, 3]"),
        ("SELECT ARRAY[1, 2], ARRAY[[1], [2]]", "[1, 2]|[[1], [2]]"),
        ("SELECT {'a': 1, 'b': 'x'}", "{a: 1, b: x}"),
        ("SELECT {'a': 1}['a'], {'a': 1}.a", "1|1"),
        ("SELECT struct(1 AS p, 2 AS q)", "{p: 1, q: 2}"),
        ("SELECT struct(1, 2)", "{c0: 1, c1: 2}"),
        ("SELECT named_struct('a', 1)", "{a: 1}"),
        ("SELECT DISTINCT ON (id % 2) id % 2, id FROM t ORDER BY id % 2, id DESC", "0|2\n1|3"),
        ("SELECT y, sum(x) FROM t GROUP BY ALL ORDER BY y", "a|10\nb|20\nc|NULL"),
        ("SELECT id, x FROM t ORDER BY ALL LIMIT 1", "1|10"),
        ("SELECT substr(str => 'abcdef', start_pos => 2, length => 2)", "bc"),
        ("SELECT count(*) FILTER (WHERE x > 10) FROM t", "1"),
        ("SELECT first_value(x IGNORE NULLS) OVER (ORDER BY id DESC) FROM t WHERE id > 1 ORDER BY id LIMIT 1", "20"),
        ("SELECT first_value(x) IGNORE NULLS OVER (ORDER BY id DESC) FROM t WHERE id > 1 ORDER BY id LIMIT 1", "20"),
        ("SELECT percentile_cont(0.5) WITHIN GROUP (ORDER BY x) FROM t", "15.0"),
        ("SELECT id, FROM t WHERE id = 1", "1"),
        ("SELECT sum(x) OVER w FROM t WINDOW w AS (ORDER BY id) LIMIT 1", "10"),
        ("SELECT a FROM (VALUES (1), (2)) AS s(a) ORDER BY a DESC", "2\n1"),
        ("VALUES (1, 'a')", "1|a"),
        ("SELECT id FROM t LEFT SEMI JOIN u USING (id)", "1"),
        ("SELECT id FROM t LEFT ANTI JOIN u USING (id) ORDER BY id", "2\n3"),
        ("SELECT t.id, s.z FROM t, LATERAL (SELECT z FROM u WHERE u.id = t.id) s", "1|one"),
        ("SELECT id FROM t NATURAL JOIN u", "1"),
        ("SELECT id FROM t UNION SELECT id FROM u ORDER BY id DESC LIMIT 1", "4"),
        ("SELECT id FROM t INTERSECT SELECT id FROM u", "1"),
        ("SELECT y FROM t GROUP BY ROLLUP (y) ORDER BY y LIMIT 1", "a"),
        ("SELECT count(*) FROM (SELECT y FROM t GROUP BY CUBE (y, id)) s", "10"),
        ("FROM t |> WHERE id = 1 |> SELECT y", "a"),
        ("SELECT id FROM t |> WHERE id > 1 |> ORDER BY id |> LIMIT 1", "2"),
        ("SELECT id FROM t ORDER BY id OFFSET 1 ROWS FETCH FIRST 1 ROWS ONLY", "2"),
        ("SELECT id FROM t ORDER BY id LIMIT 1 OFFSET 2", "3"),
        ("SELECT extract(year FROM DATE '2024-05-06'), date_part('month', DATE '2024-05-06')", "2024|5"),
        ("SELECT substring('abcdef' FROM 2 FOR 3), trim(both 'x' FROM 'xax'), position('c' IN 'abc')", "bcd|a|3"),
        ("SELECT overlay('abcdef' PLACING 'XX' FROM 2 FOR 3), ceil(1.2), floor(1.8)", "aXXef|2.0|1.0"),
        ("SELECT CASE id WHEN 1 THEN 'one' ELSE 'many' END FROM t ORDER BY id LIMIT 1", "one"),
        ("SELECT id FROM t WHERE id IN ()", ""),
        ("SELECT * FROM generate_series(1, 3)", "1\n2\n3"),
        ("SELECT * FROM range(0, 2)", "0\n1"),
        ("SELECT arrow_typeof(arrow_cast(1, 'Int8'))", "Int8"),
        ("SELECT x::bigint::text FROM t WHERE id = 1", "10"),
        ("SELECT (SELECT 1), (SELECT max(id) FROM u)", "1|4"),
        ("SELECT id FROM t WHERE EXISTS (SELECT 1, 1 FROM u WHERE u.id = t.id)", "1"),
        ("SELECT id FROM t WHERE (id, x) = (1, 10)", "1"),
        ("SELECT bool_and(id > 0), string_agg(y, ',' ORDER BY y) FROM t", "true|a,b,c"),
        ("SELECT unnest([1, 2]) ORDER BY 1 DESC", "2\n1"),
    ])
    .await;
}

#[tokio::test]
async fn a_subquery_keeps_its_order() {
    all(&[("SELECT id FROM (SELECT id FROM t ORDER BY id DESC) s", "3\n2\n1")]).await;
}

#[tokio::test]
async fn a_quoted_path_is_a_table_name() {
    let statement = super::parse_one("SELECT * FROM 'dir/file.parquet' AS f", 50).unwrap();
    let (tables, _) = datafusion::sql::resolve::resolve_table_references(&statement, true).unwrap();
    assert_eq!(tables.iter().map(|t| t.table()).collect::<Vec<_>>(), ["dir/file.parquet"]);
}

#[tokio::test]
async fn explain_takes_all_its_forms() {
    for form in [
        "",
        "ANALYZE",
        "VERBOSE",
        "ANALYZE VERBOSE",
        "FORMAT TREE",
        "(FORMAT tree)",
        "(ANALYZE, VERBOSE)",
    ] {
        let names = names_of(&format!("EXPLAIN {form} SELECT 1 AS a, 2 AS a")).await;
        assert_eq!(names, "plan_type|plan", "{form}");
    }
}

#[test]
fn statements_of_datafusion_parse() {
    for sql in [
        "CREATE EXTERNAL TABLE a STORED AS CSV LOCATION 'x.csv' OPTIONS ('format.has_header' 'true')",
        "COPY t TO 'x.parquet' STORED AS PARQUET",
        "COPY (SELECT 1 AS a, 2 AS a) TO 'x.csv' OPTIONS ('format.has_header' 'true')",
        "CREATE VIEW v AS SELECT 1",
        "CREATE OR REPLACE VIEW v (a, b) AS SELECT 1, 2",
        "CREATE TABLE IF NOT EXISTS t AS SELECT 1",
        "INSERT INTO t (a) VALUES (1), (2)",
        "INSERT INTO t SELECT 1",
        "PREPARE p AS SELECT $1",
        "PREPARE p(INT) AS SELECT $1 + $2",
        "EXECUTE p(1)",
        "SET time_zone = 'UTC'",
        "SHOW ALL",
        "DROP TABLE IF EXISTS t",
        "DESCRIBE t",
        "SELECT $1, $name",
    ] {
        assert!(super::parse_one(sql, 50).is_ok(), "{sql}: {:?}", super::parse_one(sql, 50).err());
    }
}

#[test]
fn parameters_keep_their_names() {
    let sql = "SELECT $1, $who";
    let statement = super::parse_one(sql, 50).unwrap();
    assert_eq!(statement.to_string(), sql);
}
