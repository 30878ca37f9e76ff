//! Late materialisation, chosen per scan of Parquet.
//!
//! A scan can test its predicate before it decodes the other columns. That pays where hardly any row
//! passes, and costs up to twice the time where more do (TPC-H: q17 to a third; q4, q6 and q12 half
//! as long again), so it cannot be a setting. In practice only a join's dynamic filter is that
//! selective: a build side with so few keys that one row in a hundred of the other side matches. How
//! many keys there will be is guessed from the shape of the build side's predicates.
//!
//! The filter above the scan stays, so that a wrong guess costs time, never rows.

use std::collections::HashSet;
use std::sync::Arc;

use datafusion::common::tree_node::{Transformed, TreeNode, TreeNodeRecursion};
use datafusion::common::{JoinType, ScalarValue};
use datafusion::config::ConfigOptions;
use datafusion::datasource::physical_plan::{FileScanConfigBuilder, FileSource, ParquetSource};
use datafusion::datasource::source::DataSourceExec;
use datafusion::error::Result;
use datafusion::logical_expr::Operator;
use datafusion::physical_expr::expressions::{
    BinaryExpr, CastExpr, Column, DynamicFilterPhysicalExpr, InListExpr, IsNotNullExpr, IsNullExpr,
    LikeExpr, Literal, NotExpr,
};
use datafusion::physical_expr::PhysicalExpr;
use datafusion::physical_optimizer::PhysicalOptimizerRule;
use datafusion::physical_plan::aggregates::AggregateExec;
use datafusion::physical_plan::filter::FilterExec;
use datafusion::physical_plan::joins::HashJoinExec;
use datafusion::physical_plan::ExecutionPlan;

/// The share of rows up to which late materialisation pays (0.5 to 1 % gain, 4 % lose).
const SHARE_MAX: f64 = 0.0101;
/// Shares of rows that pass a test, where nothing is known of the values.
const EQUALS: f64 = 0.1;
const LIKE_PREFIX: f64 = 0.01;
const LIKE: f64 = 0.25;
const HALF: f64 = 0.5;
/// A prefix of LIKE that is as long as this is rare.
const PREFIX_CHARS: usize = 4;
/// HAVING keeps few groups, or nobody would write it.
const HAVING: f64 = 0.01;

/// Runs after the dynamic filters have reached the scans.
#[derive(Debug)]
pub(crate) struct LateRows;

impl PhysicalOptimizerRule for LateRows {
    fn optimize(
        &self,
        plan: Arc<dyn ExecutionPlan>,
        _: &ConfigOptions,
    ) -> Result<Arc<dyn ExecutionPlan>> {
        let mut rare = HashSet::new();
        plan.apply(|node| {
            if let Some(join) = node.downcast_ref::<HashJoinExec>() {
                if share(join.left()) <= SHARE_MAX {
                    let filters = node.dynamic_expressions_produced();
                    rare.extend(filters.iter().filter_map(|filter| filter.expression_id()));
                }
            }
            Ok(TreeNodeRecursion::Continue)
        })?;
        if rare.is_empty() {
            return Ok(plan);
        }
        Ok(plan.transform_up(|node| choose(node, &rare))?.data)
    }

    fn name(&self) -> &str {
        "late_rows"
    }

    fn schema_check(&self) -> bool {
        true
    }
}

/// A scan that waits for one of the filters reads the other columns late.
fn choose(
    node: Arc<dyn ExecutionPlan>,
    rare: &HashSet<u64>,
) -> Result<Transformed<Arc<dyn ExecutionPlan>>> {
    let scan = node.downcast_ref::<DataSourceExec>();
    let Some((config, source)) = scan.and_then(|s| s.downcast_to_file_source::<ParquetSource>())
    else {
        return Ok(Transformed::no(node));
    };
    let waits = source.filter().is_some_and(|predicate| {
        let is_rare = |expr: &Arc<dyn PhysicalExpr>| {
            Ok(expr.expression_id().is_some_and(|id| rare.contains(&id)))
        };
        predicate.exists(is_rare).unwrap_or(false) && cannot_fail(&predicate)
    });
    if !waits {
        return Ok(Transformed::no(node));
    }
    let source = Arc::new(source.clone().with_pushdown_filters(true));
    let config = FileScanConfigBuilder::from(config.clone()).with_source(source).build();
    Ok(Transformed::yes(DataSourceExec::from_data_source(config)))
}

/// Whether a predicate has no error of its own: the reader would tell it as a damaged file.
fn cannot_fail(predicate: &Arc<dyn PhysicalExpr>) -> bool {
    let fails = |node: &Arc<dyn PhysicalExpr>| {
        let binary = node.downcast_ref::<BinaryExpr>();
        let tests = binary.is_some_and(|b| {
            matches!(
                b.op(),
                Operator::Eq
                    | Operator::NotEq
                    | Operator::Lt
                    | Operator::LtEq
                    | Operator::Gt
                    | Operator::GtEq
                    | Operator::IsDistinctFrom
                    | Operator::IsNotDistinctFrom
                    | Operator::And
                    | Operator::Or
            )
        });
        Ok(!(tests
            || node.downcast_ref::<Column>().is_some()
            || node.downcast_ref::<Literal>().is_some()
            || node.downcast_ref::<InListExpr>().is_some()
            || node.downcast_ref::<IsNullExpr>().is_some()
            || node.downcast_ref::<IsNotNullExpr>().is_some()
            || node.downcast_ref::<NotExpr>().is_some()
            || node.downcast_ref::<LikeExpr>().is_some()
            || node.downcast_ref::<DynamicFilterPhysicalExpr>().is_some()))
    };
    !predicate.exists(fails).unwrap_or(true)
}

/// The share of a relation's rows that its filters leave.
fn share(plan: &Arc<dyn ExecutionPlan>) -> f64 {
    if let Some(filter) = plan.downcast_ref::<FilterExec>() {
        let passes = match is_grouped(filter.input()) {
            true => HAVING,
            false => passes(filter.predicate()),
        };
        return passes * share(filter.input());
    }
    if let Some(join) = plan.downcast_ref::<HashJoinExec>() {
        let (left, right) = (share(join.left()), share(join.right()));
        return match join.join_type() {
            JoinType::Inner | JoinType::LeftSemi | JoinType::RightSemi => left.min(right),
            JoinType::Left | JoinType::LeftAnti | JoinType::LeftMark => left,
            JoinType::Right | JoinType::RightAnti | JoinType::RightMark => right,
            JoinType::Full => 1.0,
        };
    }
    match plan.children().as_slice() {
        [child] => share(child),
        _ => 1.0,
    }
}

/// Whether the rows come from an aggregation, in whatever packing.
fn is_grouped(plan: &Arc<dyn ExecutionPlan>) -> bool {
    if plan.downcast_ref::<AggregateExec>().is_some() {
        return true;
    }
    if plan.downcast_ref::<FilterExec>().is_some() {
        return false;
    }
    matches!(plan.children().as_slice(), [child] if is_grouped(child))
}

/// The share of rows that pass a test.
fn passes(test: &Arc<dyn PhysicalExpr>) -> f64 {
    if let Some(binary) = test.downcast_ref::<BinaryExpr>() {
        let sides = (binary.left(), binary.right());
        return match binary.op() {
            Operator::And => passes(sides.0) * passes(sides.1),
            Operator::Or => (passes(sides.0) + passes(sides.1)).min(1.0),
            Operator::Eq if constant(sides.0).is_some() || constant(sides.1).is_some() => EQUALS,
            Operator::Lt | Operator::LtEq | Operator::Gt | Operator::GtEq | Operator::Eq => HALF,
            _ => 1.0,
        };
    }
    if let Some(list) = test.downcast_ref::<InListExpr>() {
        return if list.negated() { 1.0 } else { (EQUALS * list.len() as f64).min(1.0) };
    }
    if let Some(like) = test.downcast_ref::<LikeExpr>() {
        let prefix = constant(like.pattern()).map_or(0, |pattern| prefix_chars(&pattern));
        return match like.negated() {
            true => 1.0,
            false if prefix >= PREFIX_CHARS => LIKE_PREFIX,
            false => LIKE,
        };
    }
    if test.downcast_ref::<IsNullExpr>().is_some() {
        return EQUALS;
    }
    1.0
}

/// The value of a constant, seen through casts; None for what reads a column.
fn constant(expr: &Arc<dyn PhysicalExpr>) -> Option<ScalarValue> {
    if let Some(cast) = expr.downcast_ref::<CastExpr>() {
        return constant(cast.expr());
    }
    if expr.downcast_ref::<Column>().is_some() {
        return None;
    }
    expr.downcast_ref::<Literal>().map(|literal| literal.value().clone())
}

fn prefix_chars(pattern: &ScalarValue) -> usize {
    let text = pattern.try_as_str().flatten().unwrap_or("");
    text.chars().take_while(|c| !matches!(c, '%' | '_' | '\\')).count()
}

#[cfg(test)]
mod tests {
    use arrow::array::{Int32Array, RecordBatch, StringArray};
    use datafusion::dataframe::DataFrame;
    use datafusion::prelude::{col, lit, Expr};

    use super::*;
    use crate::abi::IGB_FORMAT_PARQUET;
    use crate::damaged::files_of;
    use crate::file_table::tests::{rows_of, session, Folder, Given};

    /// 1,000 parts, and 20 lines for each.
    fn lines_of(folder: &Folder, parts: Option<Expr>) -> DataFrame {
        let column = |number: &dyn Fn(i32) -> i32, rows| -> Arc<dyn arrow::array::Array> {
            Arc::new((0..rows).map(|row| number(row)).collect::<Int32Array>())
        };
        let name = |row: i32| format!("{:03} forest", row % 500);
        let names = Arc::new((0..1000).map(|row| Some(name(row))).collect::<StringArray>());
        let part = RecordBatch::try_from_iter([
            ("part", column(&|row| row, 1000)),
            ("brand", column(&|row| row % 10, 1000)),
            ("box", column(&|row| row % 7, 1000)),
            ("name", names as _),
        ]);
        let line = RecordBatch::try_from_iter([
            ("of_part", column(&|row| row % 1000, 20_000)),
            ("quantity", column(&|row| row, 20_000)),
        ]);
        let part = folder.parquet("part.parquet", &part.unwrap());
        let line = folder.parquet("line.parquet", &line.unwrap());
        let table = |path| Given::new(IGB_FORMAT_PARQUET, &[path]).frame();
        let mut parts_frame = table(&part).alias("p").unwrap();
        if let Some(test) = parts {
            parts_frame = parts_frame.filter(test).unwrap();
        }
        let lines = table(&line).alias("l").unwrap();
        let joined = parts_frame.join(lines, JoinType::Inner, &["part"], &["of_part"], None);
        joined.unwrap().select(vec![col("quantity"), col("brand")]).unwrap()
    }

    /// The first columns of the scans that read the others late.
    fn late(frame: DataFrame) -> Vec<String> {
        let plan = session().engine.pools.cpu.block_on(frame.create_physical_plan()).unwrap();
        let mut found = vec![];
        plan.apply(|node| {
            let scan = node.downcast_ref::<DataSourceExec>();
            let config = scan.and_then(files_of);
            let source = config.and_then(|c| c.file_source().downcast_ref::<ParquetSource>());
            if let (Some(config), Some(source)) = (config, source) {
                if source.table_parquet_options().global.pushdown_filters {
                    found.push(config.file_schema().field(0).name().clone());
                }
            }
            Ok(TreeNodeRecursion::Continue)
        })
        .unwrap();
        found
    }

    fn rare() -> Expr {
        col("brand").eq(lit(3)).and(col("box").eq(lit(5)))
    }

    #[test]
    fn scan_reads_late_where_a_join_keeps_one_row_in_a_hundred() {
        let folder = Folder::new();
        assert_eq!(late(lines_of(&folder, Some(rare()))), ["of_part"]);
        let named = col("name").like(lit("123 forest%"));
        assert_eq!(late(lines_of(&folder, Some(named))), ["of_part"]);
    }

    #[test]
    fn scan_does_not_read_late_where_more_rows_pass() {
        let folder = Folder::new();
        let tests = [
            None,
            Some(col("brand").eq(lit(3))),
            Some(rare().or(col("box").gt(lit(5)))),
            Some(col("name").like(lit("%forest"))),
            Some(col("brand").in_list((0..3).map(lit).collect(), false)),
        ];
        for test in tests {
            assert_eq!(late(lines_of(&folder, test.clone())), [""; 0], "{test:?}");
        }
    }

    #[test]
    fn rows_are_the_same_late_or_not() {
        let folder = Folder::new();
        let rows = rows_of(lines_of(&folder, Some(rare()))).unwrap();
        let matching = |row: &i32| (row % 1000) % 10 == 3 && (row % 1000) % 7 == 5;
        let mut found: Vec<i32> =
            rows.column(0).as_any().downcast_ref::<Int32Array>().unwrap().values().to_vec();
        found.sort_unstable();
        assert_eq!(found, (0..20_000).filter(matching).collect::<Vec<_>>());
    }
}
