use crate::testing::{names_of, rows, session};

#[tokio::test]
async fn functions_that_users_expect_exist() {
    let mut wrong = vec![];
    for (sql, expected) in [
        ("SELECT pg_typeof(1), typeof('a'), pg_typeof(1.5::decimal(5,2)), pg_typeof(NULL)", "bigint|text|numeric(5,2)|unknown"),
        ("SELECT pg_typeof([1]), pg_typeof(DATE '2024-01-01'), pg_typeof(arrow_cast(now(), 'Timestamp(us, \"UTC\")'))", "bigint[]|date|timestamp(6) with time zone"),
        ("SELECT mod(7, 3), mod(1 + 6, 3)", "1|1"),
        ("SELECT ifnull(NULL, 2), nvl(NULL, 3), if(1 > 2, 'a', 'b')", "2|3|b"),
        ("SELECT year(DATE '2024-05-06'), month(DATE '2024-05-06'), day(DATE '2024-05-06')", "2024|5|6"),
        ("SELECT dayofyear(DATE '2024-02-01'), quarter(DATE '2024-05-06')", "32|2"),
        ("SELECT length(gen_random_uuid()::text), len('abc'), length('abc')", "36|3|3"),
        ("SELECT strftime(DATE '2024-05-06', '%Y/%m')", "2024/05"),
        ("SELECT ceiling(1.2), ceil(1.2), trunc(1.9), sign(-2)", "2.0|2.0|1.0|-1.0"),
        ("SELECT any_value(x), every(x > 0), list(x ORDER BY x) FROM (VALUES (1)) v(x)", "1|true|[1]"),
        ("SELECT group_concat(x, ','), string_agg(x, ',') FROM (VALUES ('a')) v(x)", "a|a"),
        ("SELECT now() = transaction_timestamp(), now() IS NOT NULL, current_date IS NOT NULL", "true|true|true"),
        ("SELECT concat('a', 1), concat_ws('-', 'a', 'b'), left('abc', 2), split_part('a,b', ',', 2)", "a1|a-b|ab|b"),
        ("SELECT greatest(1, 2), least(1, 2), nullif(1, 1), coalesce(NULL, 1)", "2|1|NULL|1"),
        ("SELECT md5('a'), to_hex(255), date_trunc('month', DATE '2024-05-06')", "0cc175b9c0f1b6a831c399e269772661|ff|2024-05-01T00:00:00"),
    ] {
        let found = rows(sql).await;
        if found != expected {
            wrong.push(format!("{sql}\n  wanted {expected}\n  found  {found}"));
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

#[tokio::test]
async fn quotients_of_decimals_have_enough_digits() {
    let mut wrong = vec![];
    for (sql, expected) in [
        ("SELECT 10 / 3::decimal(2, 1)", "3.3333333333333333"),
        ("SELECT 1::decimal(2, 1) / 3", "0.3333333333333333"),
        ("SELECT x / 3::decimal(2, 1) FROM t WHERE id = 1", "3.3333333333333333"),
        ("SELECT sum(x::decimal(15, 2)) / 7::decimal(2, 1) FROM t", "4.28571428571428"),
        ("SELECT -2::decimal(4, 2) / 3::decimal(4, 2)", "-0.6666666666666666"),
        ("SELECT 7 / 2, x / 3 FROM t WHERE id = 1", "3|3"),
        ("SELECT 7.0::double / 2, 7::decimal(5, 2) / 2.0::double", "3.5|3.5"),
        (
            "SELECT '99999999999999999999999999999999999999'::decimal(38, 0) / 1::decimal(38, 0)",
            "error: 22003 numeric field overflow",
        ),
        ("SELECT 1::decimal(5, 2) / 0::decimal(5, 2)", "error: 22012 division by zero"),
        ("SELECT 1::decimal(5, 2) / NULL", "NULL"),
        ("SELECT count(*) / 3::decimal(2, 1) FROM t", "1.0000000000000000"),
    ] {
        let found = rows(sql).await;
        if found != expected {
            wrong.push(format!("{sql}\n  wanted {expected}\n  found  {found}"));
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

#[tokio::test]
async fn rewritten_calls_keep_the_name_they_were_written_with() {
    assert_eq!(
        names_of("SELECT year(DATE '2024-05-06'), mod(7, 3)").await,
        "year(DATE '2024-05-06')|mod(7, 3)"
    );
}

#[tokio::test]
async fn helpers_of_plans_are_not_listed() {
    for name in ["+", "-", "*", "/", "negate", super::NAMED] {
        assert!(super::is_hidden(name), "{name}");
        assert!(session().state().scalar_functions().contains_key(name), "{name}");
    }
    assert!(!super::is_hidden("abs"));
}

#[tokio::test]
async fn no_function_reads_a_file_or_the_environment() {
    let ctx = session();
    let state = ctx.state();
    let mut tables: Vec<_> = state.table_functions().keys().collect();
    tables.sort();
    assert_eq!(tables, ["generate_series", "range"]);
    for name in state.scalar_functions().keys() {
        for word in ["env", "read_", "load", "http", "sleep"] {
            assert!(!name.contains(word), "{name}");
        }
    }
}
