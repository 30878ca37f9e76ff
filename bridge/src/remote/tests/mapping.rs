//! Every kind of expression in C's words.

use arrow::util::display::{ArrayFormatter, FormatOptions};
use datafusion::common::ScalarValue;
use datafusion::functions::expr_fn::{lower, random};
use datafusion::logical_expr::expr::{BinaryExpr, InList};
use datafusion::logical_expr::{case, cast, not, try_cast, when, Between, Expr, Like, Operator};
use datafusion::prelude::{col, lit};

use super::*;

/// A tree as text: `(op left right)`, constants with their types.
pub(super) fn shown(expr: &igb_expr) -> String {
    let inner = || children(expr).into_iter().map(shown).collect::<Vec<_>>().join(" ");
    let mut word = match expr.kind {
        IGB_EXPR_COLUMN => return format!("{}#{}", name_of(expr), expr.column),
        IGB_EXPR_LITERAL => {
            let value = value_of(expr);
            let options = FormatOptions::default().with_null("NULL");
            let shown = ArrayFormatter::try_new(&value, &options).unwrap().value(0).to_string();
            return format!("{shown}:{}", type_of(expr));
        }
        IGB_EXPR_OPAQUE => return format!("<{}>", name_of(expr)),
        IGB_EXPR_CAST => format!("cast:{}", type_of(expr)),
        IGB_EXPR_AND => "and".to_string(),
        IGB_EXPR_OR => "or".to_string(),
        IGB_EXPR_NOT => "not".to_string(),
        IGB_EXPR_IS_NULL => "null".to_string(),
        IGB_EXPR_IN_LIST => "in".to_string(),
        IGB_EXPR_BETWEEN => "between".to_string(),
        IGB_EXPR_LIKE => format!("like{}", char::from_u32(expr.escape as u32).unwrap()),
        IGB_EXPR_FUNCTION => format!("{}()", name_of(expr)),
        IGB_EXPR_CASE => "case".to_string(),
        IGB_EXPR_COMPARE | IGB_EXPR_ARITHMETIC => {
            let ops =
                ["", "=", "<>", "<", "<=", ">", ">=", "distinct", "same", "+", "-", "*", "/", "%"];
            ops[expr.op as usize].to_string()
        }
        other => panic!("kind {other}"),
    };
    for (flag, text) in [
        (IGB_EXPR_NEGATED, "!"),
        (IGB_EXPR_IGNORE_CASE, "~"),
        (IGB_EXPR_TRY, "?"),
        (IGB_EXPR_HAS_OPERAND, "."),
        (IGB_EXPR_HAS_ELSE, "_"),
    ] {
        if expr.flags & flag != 0 {
            word.push_str(text);
        }
    }
    format!("({word} {})", inner())
}

fn schema() -> DFSchema {
    DFSchema::try_from(numbers_and_texts().schema().as_ref().clone()).unwrap()
}

fn tree(expr: Expr) -> String {
    let trees = Trees::new([&unqualified(&expr)], &schema());
    shown(unsafe { &**trees.as_ptr() })
}

#[test]
fn comparisons_and_logic_have_their_words() {
    let a = || col("a");
    assert_eq!(tree(a().gt(lit(5i64))), "(> a#0 5:Int64)");
    assert_eq!(tree(col("t.c").not_eq(lit(5i64))), "(<> c#2 5:Int64)");
    assert_eq!(tree(a().lt_eq(a())), "(<= a#0 a#0)");
    let three = a().eq(lit(1i64)).or(a().eq(lit(2i64))).or(a().gt(lit(9i64)));
    assert_eq!(tree(three), "(or (= a#0 1:Int64) (= a#0 2:Int64) (> a#0 9:Int64))");
    let both = a().eq(lit(1i64)).or(a().gt(lit(2i64)).and(a().lt(lit(4i64))));
    assert_eq!(tree(both), "(or (= a#0 1:Int64) (and (> a#0 2:Int64) (< a#0 4:Int64)))");
    assert_eq!(tree(not(a().is_null())), "(not (null a#0))");
    assert_eq!(tree(a().is_not_null()), "(null! a#0)");
    let same = |op| Expr::BinaryExpr(BinaryExpr::new(Box::new(a()), op, Box::new(lit(1i64))));
    assert_eq!(tree(same(Operator::IsDistinctFrom)), "(distinct a#0 1:Int64)");
    assert_eq!(tree(same(Operator::IsNotDistinctFrom)), "(same a#0 1:Int64)");
    let truth = || Box::new(a().gt(lit(1i64)));
    for (expr, shown) in [
        (Expr::IsTrue(truth()), "(same (> a#0 1:Int64) true:Boolean)"),
        (Expr::IsNotTrue(truth()), "(distinct (> a#0 1:Int64) true:Boolean)"),
        (Expr::IsFalse(truth()), "(same (> a#0 1:Int64) false:Boolean)"),
        (Expr::IsNotFalse(truth()), "(distinct (> a#0 1:Int64) false:Boolean)"),
        (Expr::IsUnknown(truth()), "(null (> a#0 1:Int64))"),
        (Expr::IsNotUnknown(truth()), "(null! (> a#0 1:Int64))"),
    ] {
        assert_eq!(tree(expr), shown);
    }
}

#[test]
fn lists_ranges_and_patterns_have_their_words() {
    let list = |negated| {
        Expr::InList(InList::new(Box::new(col("a")), vec![lit(1i64), lit(2i64)], negated))
    };
    assert_eq!(tree(list(false)), "(in a#0 1:Int64 2:Int64)");
    assert_eq!(tree(list(true)), "(in! a#0 1:Int64 2:Int64)");
    let between = |negated| {
        let (low, high) = (Box::new(lit(1i64)), Box::new(lit(2i64)));
        Expr::Between(Between::new(Box::new(col("a")), negated, low, high))
    };
    assert_eq!(tree(between(false)), "(between a#0 1:Int64 2:Int64)");
    assert_eq!(tree(between(true)), "(between! a#0 1:Int64 2:Int64)");
    let like = |negated, escape, ignore_case| {
        let (text, pattern) = (Box::new(col("b")), Box::new(lit("x%")));
        Expr::Like(Like::new(negated, text, pattern, escape, ignore_case))
    };
    assert_eq!(tree(like(false, None, false)), "(like\\ b#1 x%:Utf8)");
    assert_eq!(tree(like(true, Some('ü'), true)), "(likeü!~ b#1 x%:Utf8)");
    let similar =
        Expr::SimilarTo(Like::new(false, Box::new(col("b")), Box::new(lit("x")), None, false));
    assert!(tree(similar).starts_with('<'));
}

#[test]
fn arithmetic_functions_and_cases_have_their_words() {
    assert_eq!(tree(col("a") + lit(1i64)), "(+ a#0 1:Int64)");
    assert_eq!(tree(col("a") % lit(1i64)), "(% a#0 1:Int64)");
    assert_eq!(tree(-col("a")), "(- a#0)");
    for function in crate::arithmetic::functions() {
        let two = vec![col("a"), lit(2i64)];
        match function.name() {
            "negate" => assert_eq!(tree(function.call(vec![col("a")])), "(- a#0)"),
            name => assert_eq!(tree(function.call(two)), format!("({name} a#0 2:Int64)")),
        }
    }
    assert_eq!(tree(lower(col("b")).eq(lit("x"))), "(= (lower() b#1) x:Utf8)");
    let whens = when(col("a").gt(lit(1i64)), lit(2i64));
    assert_eq!(tree(whens.end().unwrap()), "(case (> a#0 1:Int64) 2:Int64)");
    let full = case(col("a")).when(lit(1i64), lit(2i64)).otherwise(lit(3i64)).unwrap();
    assert_eq!(tree(full), "(case._ a#0 1:Int64 2:Int64 3:Int64)");
    assert_eq!(tree(cast(col("a"), DataType::Int32)), "(cast:Int32 a#0)");
    assert_eq!(tree(try_cast(col("a"), DataType::Int32)), "(cast:Int32? a#0)");
}

#[test]
fn constants_come_as_one_row_of_their_type() {
    for (value, shown) in [
        (ScalarValue::Int64(None), "NULL:Int64"),
        (ScalarValue::Null, "NULL:Null"),
        (ScalarValue::Boolean(Some(true)), "true:Boolean"),
        (ScalarValue::Float64(Some(-0.0)), "-0.0:Float64"),
        (ScalarValue::Utf8View(Some("ü'\0".into())), "ü'\0:Utf8"),
        (ScalarValue::BinaryView(Some(vec![1, 255])), "01ff:Binary"),
        (ScalarValue::Decimal128(Some(-150), 9, 2), "-1.50:Decimal128(9, 2)"),
        (ScalarValue::Date32(Some(0)), "1970-01-01:Date32"),
        (
            ScalarValue::TimestampMicrosecond(Some(1), Some("+00:00".into())),
            "1970-01-01T00:00:00.000001Z:Timestamp(µs, \"+00:00\")",
        ),
    ] {
        assert_eq!(tree(Expr::Literal(value, None)), shown);
    }
    let coded = ScalarValue::Dictionary(
        Box::new(DataType::Int8),
        Box::new(ScalarValue::Utf8(Some("v".into()))),
    );
    assert_eq!(tree(Expr::Literal(coded, None)), "v:Utf8");
}

#[test]
fn what_has_no_word_is_opaque_with_its_text() {
    let joined = Expr::BinaryExpr(BinaryExpr::new(
        Box::new(col("b")),
        Operator::StringConcat,
        Box::new(lit("x")),
    ));
    let told = tree(joined.eq(lit("ax")));
    assert!(told.starts_with("(= <") && told.contains("||"), "{told}");
    assert_eq!(tree(col("gone")), "<gone>");
}

#[test]
fn deep_and_wide_expressions_are_whole() {
    planning(|| {
        let wide = (0..3000i64).map(|i| col("a").eq(lit(i))).reduce(Expr::or).unwrap();
        assert_eq!(tree(wide).matches("(= a#0").count(), 3000);
        let list =
            Expr::InList(InList::new(Box::new(col("a")), (0..5000i64).map(lit).collect(), false));
        assert_eq!(tree(list).matches(":Int64").count(), 5000);
    });
}

#[test]
fn what_is_volatile_or_a_subquery_may_not_be_offered() {
    assert!(may_be_offered(&col("a").gt(lit(1i64))));
    assert!(!may_be_offered(&col("a").gt(random())));
    let unknown = Expr::Placeholder(datafusion::logical_expr::expr::Placeholder::new_with_field(
        "$1".to_string(),
        None,
    ));
    assert!(!may_be_offered(&col("a").gt(unknown)));
}
