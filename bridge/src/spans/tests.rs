use super::*;
use crate::dialect::parse_one;

fn error(sql: &str) -> TextError {
    parse_error(&parse_one(sql, 200).unwrap_err(), sql).unwrap()
}

#[test]
fn syntax_errors_read_as_postgres_and_say_where() {
    let e = error("SELECT FROM WHERE");
    assert_eq!((e.sqlstate, e.line), ("42601", 1), "{e:?}");
    assert!(e.message.starts_with("syntax error at "), "{e:?}");

    let e = error("SELECT 1\nFROM t\nWHERE x = = 2");
    assert_eq!(
        (e.message.as_str(), e.line, e.column),
        ("syntax error at or near \"=\"", 3, 11),
        "{e:?}"
    );

    let e = error("SELECT a b c FROM t");
    assert_eq!(
        (e.message.as_str(), e.line, e.column),
        ("syntax error at or near \"c\"", 1, 12),
        "{e:?}"
    );

    let e = error("SELEC 1");
    assert_eq!(
        (e.message.as_str(), e.line, e.column),
        ("syntax error at or near \"SELEC\"", 1, 1),
        "{e:?}"
    );
}

#[test]
fn an_error_at_the_end_points_past_the_last_character() {
    let e = error("SELECT 1 +\n  (2 * \n");
    assert_eq!(
        (e.message.as_str(), e.line, e.column),
        ("syntax error at end of input", 2, 7),
        "{e:?}"
    );
}

#[test]
fn unterminated_quotes_are_named() {
    assert_eq!(error("SELECT 'abc").message, "unterminated quoted string");
    assert_eq!(error("SELECT \"abc").message, "unterminated quoted identifier");
    assert_eq!(error("SELECT $$abc").message, "unterminated dollar-quoted string");
    assert_eq!(error("SELECT /* abc").message, "unterminated /* comment");
    assert_eq!((error("SELECT\n 'abc").line, error("SELECT\n 'abc").column), (2, 2));
}

#[test]
fn nesting_over_the_limit_is_refused() {
    let sql = format!("SELECT {}1{}", "(".repeat(300), ")".repeat(300));
    assert_eq!(error(&sql).sqlstate, "54001");
    let sql = format!("SELECT {}1{}", "(".repeat(60), ")".repeat(60));
    assert!(parse_one(&sql, 200).is_ok());
}

#[test]
fn one_statement_is_wanted() {
    assert!(parse_one("SELECT 1;", 200).is_ok());
    assert!(parse_one("SELECT 1; SELECT 2", 200).is_err());
    assert!(parse_one(" ; ", 200).is_err());
}
