//! What DataFusion compares wrongly or not at all.
//!
//! Times of day of different units: it has no common type for them. A constant takes the column's unit
//! where it loses nothing by that; else the coarser side takes the finer.
//!
//! A decimal (which a plain 0.5 is) and a floating point number: it would make decimals of both, and
//! fail on NaN and on what is large. They are compared as double precision, as in PostgreSQL.
//!
//! Comparisons are settled while the statement is planned, since the planner asks for their type;
//! BETWEEN and IN before the types of the plan are.

use arrow::datatypes::{DataType, TimeUnit};
use datafusion::common::tree_node::{Transformed, TreeNode};
use datafusion::common::{DFSchema, ScalarValue};
use datafusion::config::ConfigOptions;
use datafusion::error::Result as DfResult;
use datafusion::logical_expr::expr::InList;
use datafusion::logical_expr::expr_rewriter::NamePreserver;
use datafusion::logical_expr::planner::{ExprPlanner, PlannerResult, RawBinaryExpr};
use datafusion::logical_expr::utils::merge_schema;
use datafusion::logical_expr::{
    cast, Between, BinaryExpr, Cast, Expr, ExprSchemable, LogicalPlan, Operator,
};
use datafusion::optimizer::AnalyzerRule;
use datafusion::sql::sqlparser::ast::BinaryOperator;

#[derive(Debug)]
pub(crate) struct Comparing;

impl ExprPlanner for Comparing {
    fn plan_binary_op(
        &self,
        mut raw: RawBinaryExpr,
        schema: &DFSchema,
    ) -> DfResult<PlannerResult<RawBinaryExpr>> {
        let compares = matches!(
            raw.op,
            BinaryOperator::Eq
                | BinaryOperator::NotEq
                | BinaryOperator::Lt
                | BinaryOperator::LtEq
                | BinaryOperator::Gt
                | BinaryOperator::GtEq
        );
        if compares {
            settle(vec![&mut raw.left, &mut raw.right], schema);
        }
        Ok(PlannerResult::Original(raw))
    }
}

impl AnalyzerRule for Comparing {
    fn name(&self) -> &str {
        "igloo_comparing"
    }

    fn analyze(&self, plan: LogicalPlan, _: &ConfigOptions) -> DfResult<LogicalPlan> {
        let plan = plan.transform_up_with_subqueries(|node| {
            let mut schema = merge_schema(&node.inputs());
            if let LogicalPlan::TableScan(scan) = &node {
                schema.merge(&scan.projected_schema);
            }
            let names = NamePreserver::new(&node);
            node.map_expressions(|expr| {
                let name = names.save(&expr);
                let done = expr.transform_up(|expr| Ok(settled(expr, &schema)))?;
                Ok(done.update_data(|expr| name.restore(expr)))
            })
        })?;
        Ok(plan.data)
    }
}

fn settled(expr: Expr, schema: &DFSchema) -> Transformed<Expr> {
    match expr {
        Expr::Between(Between { mut expr, negated, mut low, mut high }) => {
            let changed = settle(vec![&mut expr, &mut low, &mut high], schema);
            let between = Expr::Between(Between { expr, negated, low, high });
            Transformed::new_transformed(between, changed)
        }
        Expr::InList(InList { mut expr, mut list, negated }) => {
            let mut all: Vec<&mut Expr> = vec![&mut expr];
            all.extend(&mut list);
            let changed = settle(all, schema);
            Transformed::new_transformed(Expr::InList(InList { expr, list, negated }), changed)
        }
        Expr::BinaryExpr(BinaryExpr { mut left, op, mut right })
            if matches!(op, Operator::IsDistinctFrom | Operator::IsNotDistinctFrom) =>
        {
            let changed = settle(vec![&mut left, &mut right], schema);
            let binary = Expr::BinaryExpr(BinaryExpr { left, op, right });
            Transformed::new_transformed(binary, changed)
        }
        other => Transformed::no(other),
    }
}

/// Gives what is compared one type; says whether anything changed.
fn settle(sides: Vec<&mut Expr>, schema: &DFSchema) -> bool {
    let kinds: Option<Vec<DataType>> =
        sides.iter().map(|side| side.get_type(schema).ok()).collect();
    match kinds {
        Some(kinds) if kinds.iter().all(|kind| fineness(kind).is_some()) => {
            settle_times(sides, &kinds)
        }
        Some(kinds) if kinds.iter().any(DataType::is_floating) => settle_decimals(sides, &kinds),
        _ => false,
    }
}

/// Decimals among floating point numbers become such.
fn settle_decimals(sides: Vec<&mut Expr>, kinds: &[DataType]) -> bool {
    let mut changed = false;
    for (side, _) in sides.into_iter().zip(kinds).filter(|(_, kind)| kind.is_decimal()) {
        *side = match constant(side).and_then(|value| value.cast_to(&DataType::Float64).ok()) {
            Some(value) => Expr::Literal(value, None),
            None => cast(side.clone(), DataType::Float64),
        };
        changed = true;
    }
    changed
}

/// How fine a time of day is; None for other types.
fn fineness(kind: &DataType) -> Option<u8> {
    match kind {
        DataType::Time32(TimeUnit::Second) => Some(0),
        DataType::Time32(_) => Some(1),
        DataType::Time64(TimeUnit::Microsecond) => Some(2),
        DataType::Time64(_) => Some(3),
        _ => None,
    }
}

/// Gives times of different units one.
fn settle_times(mut sides: Vec<&mut Expr>, kinds: &[DataType]) -> bool {
    if kinds.windows(2).all(|pair| pair[0] == pair[1]) {
        return false;
    }
    let constants: Vec<Option<ScalarValue>> = sides.iter().map(|side| constant(side)).collect();
    let open = || kinds.iter().zip(&constants).filter(|(_, constant)| constant.is_none());
    let columns = open().map(|(kind, _)| kind).max_by_key(|kind| fineness(kind));
    let lossless = |to: &DataType| constants.iter().flatten().all(|value| fits(value, to));
    let finest = kinds.iter().max_by_key(|kind| fineness(kind));
    let Some(to) = columns.filter(|to| lossless(to)).or(finest).cloned() else { return false };
    for ((side, kind), constant) in sides.iter_mut().zip(kinds).zip(constants) {
        if kind == &to {
            continue;
        }
        **side = match constant.and_then(|value| value.cast_to(&to).ok()) {
            Some(value) => Expr::Literal(value, None),
            None => cast((**side).clone(), to.clone()),
        };
    }
    true
}

/// The value of a constant, as `TIME '12:30'` is one.
fn constant(expr: &Expr) -> Option<ScalarValue> {
    match expr {
        Expr::Literal(value, _) => Some(value.clone()),
        Expr::Cast(Cast { expr, field }) => match expr.as_ref() {
            Expr::Literal(value, _) => value.cast_to(field.data_type()).ok(),
            _ => None,
        },
        _ => None,
    }
}

fn fits(value: &ScalarValue, to: &DataType) -> bool {
    let there = value.cast_to(to);
    there.and_then(|there| there.cast_to(&value.data_type())).is_ok_and(|back| &back == value)
}

#[cfg(test)]
mod tests {
    use super::*;
    use datafusion::logical_expr::{col, lit};

    const MICRO: DataType = DataType::Time64(TimeUnit::Microsecond);
    const NANO: DataType = DataType::Time64(TimeUnit::Nanosecond);

    fn schema() -> DFSchema {
        use arrow::datatypes::{Field, Schema};
        let fields = [
            ("us", MICRO),
            ("ns", NANO),
            ("s", DataType::Time32(TimeUnit::Second)),
            ("f", DataType::Float64),
            ("d", DataType::Decimal128(9, 2)),
        ];
        let fields = fields.map(|(name, kind)| Field::new(name, kind, true)).to_vec();
        DFSchema::try_from(Schema::new(fields)).unwrap()
    }

    fn kinds(mut left: Expr, mut right: Expr) -> (DataType, DataType) {
        settle(vec![&mut left, &mut right], &schema());
        (left.get_type(&schema()).unwrap(), right.get_type(&schema()).unwrap())
    }

    fn time(text: &str) -> Expr {
        cast(lit(text), NANO)
    }

    #[test]
    fn a_constant_takes_the_unit_of_the_column_where_it_loses_nothing() {
        assert_eq!(kinds(col("us"), time("12:30:00.000001")), (MICRO, MICRO));
        assert_eq!(kinds(time("12:30"), col("us")), (MICRO, MICRO));
        assert_eq!(kinds(col("us"), time("12:30:00.0000001")), (NANO, NANO));
        assert_eq!(kinds(col("ns"), cast(lit("12:30"), MICRO)), (NANO, NANO));
        assert_eq!(
            kinds(col("us"), Expr::Literal(ScalarValue::Time64Nanosecond(None), None)),
            (MICRO, MICRO)
        );
    }

    #[test]
    fn of_two_columns_the_coarser_takes_the_finer_unit() {
        assert_eq!(kinds(col("us"), col("ns")), (NANO, NANO));
        assert_eq!(kinds(col("s"), col("us")), (MICRO, MICRO));
        assert_eq!(kinds(col("us"), col("us")), (MICRO, MICRO));
    }

    #[test]
    fn a_decimal_is_compared_with_a_float_as_a_double() {
        let half = || Expr::Literal(ScalarValue::Decimal128(Some(5), 1, 1), None);
        assert_eq!(kinds(col("f"), half()), (DataType::Float64, DataType::Float64));
        let (mut left, mut right) = (col("f"), half());
        settle(vec![&mut left, &mut right], &schema());
        assert_eq!((left, right), (col("f"), lit(0.5f64)));
        assert_eq!(kinds(col("d"), col("f")), (DataType::Float64, DataType::Float64));
        assert_eq!(kinds(col("d"), half()).0, DataType::Decimal128(9, 2));
    }

    #[test]
    fn what_is_no_time_stays_as_it_is() {
        let (mut left, mut right) = (col("us"), lit(1));
        assert!(!settle(vec![&mut left, &mut right], &schema()));
        assert_eq!((left, right), (col("us"), lit(1)));
    }
}
