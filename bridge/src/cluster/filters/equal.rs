//! Keys that a join has from further below, for the side that is sent to it.
//!
//! Of `a JOIN (b JOIN c ON b.k = c.k) ON a.k = c.k` no row of `a` is wanted whose key `b` has not: each key
//! of `c` that is left has a row in `b`. So the stage that sends `b` notes its keys, and the stage that
//! reads `a` waits for them, if `b` is a part of fewer rows than `a` has.
//!
//! Nobody waits in a ring: a stage whose keys are waited for has no filter of a join to wait for itself,
//! and may only wait for stages of joins still further below. It runs as soon as the join is there, whoever
//! reads it (`BroadcastExec` keeps what was not read), and the join is there with the one above it.

use std::collections::HashMap;
use std::sync::Arc;

use datafusion::common::tree_node::{TreeNode, TreeNodeRecursion};
use datafusion::common::{JoinSide, JoinType, NullEquality};
use datafusion::physical_expr::expressions::{lit, Column, DynamicFilterPhysicalExpr};
use datafusion::physical_plan::filter::FilterExec;
use datafusion::physical_plan::joins::utils::build_join_schema;
use datafusion::physical_plan::joins::HashJoinExec;
use datafusion::physical_plan::projection::ProjectionExec;
use datafusion::physical_plan::repartition::RepartitionExec;
use datafusion::physical_plan::{ExecutionPlan, StatisticsArgs, StatisticsContext};
use datafusion_distributed::DistributedLeafExec;

use super::keys::can_travel;
use super::{id_of, Route, Wanted};
use crate::cluster::leaves::scan_of;
use crate::cluster::small::{is_plain, sent, Sent};
use crate::pacing::PacedExec;

type Plan = Arc<dyn ExecutionPlan>;

/// The side that waits has so many times the rows of what is noted, before those are filtered.
const TIMES: usize = 2;

/// What stages note, and what they wait for, by their numbers.
#[derive(Default)]
pub(super) struct Equal {
    /// A column of the rows that are sent, and whom it is told as.
    pub noted: HashMap<usize, Vec<(Column, u64)>>,
    pub wanted: HashMap<usize, Vec<Arc<Wanted>>>,
}

impl Equal {
    /// Looks at a join whose sides are as they were cut.
    pub fn look(&mut self, node: &Plan, route: Route<'_>) {
        let Some(join) = node.downcast_ref::<HashJoinExec>() else { return };
        // Of the others rows without a match are wanted too.
        let matched = matches!(
            join.join_type(),
            JoinType::Inner | JoinType::Right | JoinType::LeftSemi | JoinType::RightSemi
        );
        let Some(stage) = sent(join.left()).filter(|_| matched && by_values(join)) else { return };
        for (left, right) in join.on() {
            let (Some(left), Some(right)) = (left.downcast_ref(), right.downcast_ref()) else {
                continue;
            };
            if have_one_type(join, left, right) {
                self.look_at_key(&stage, left, join.right(), right.index(), route);
            }
        }
    }

    /// `at`: the column of `below` that has the same values.
    fn look_at_key(
        &mut self,
        stage: &Sent<'_>,
        key: &Column,
        below: &Plan,
        at: usize,
        route: Route<'_>,
    ) -> Option<()> {
        let waits = read(stage, key.index())?;
        let tells = source_of(below, at)?;
        let column = tells.stage.input.schema().field(tells.at).clone();
        let schema = waits.leaf.schema();
        let of = schema.field(waits.at).data_type();
        if column.data_type() != of || !can_travel(of) || tells.rows > waits.rows / TIMES {
            return None;
        }
        let key = Arc::new(Column::new(schema.field(waits.at).name(), waits.at));
        let filter = Arc::new(DynamicFilterPhysicalExpr::new(vec![key], lit(true)));
        let noted = (Column::new(column.name(), tells.at), id_of(&filter));
        self.noted.entry(tells.stage.number).or_default().push(noted);
        let members = route(tells.stage.plan, tells.stage.tasks);
        let wanted = Wanted { filter, schema, stage: tells.stage.number, members, of_rows: true };
        self.wanted.entry(stage.number).or_default().push(Arc::new(wanted));
        Some(())
    }
}

/// Whether the two keys of a pair match by their values alone.
fn by_values(join: &HashJoinExec) -> bool {
    !join.null_aware && join.null_equality() == NullEquality::NullEqualsNothing
}

fn have_one_type(join: &HashJoinExec, left: &Column, right: &Column) -> bool {
    let (build, probe) = (join.left().schema(), join.right().schema());
    build.field(left.index()).data_type() == probe.field(right.index()).data_type()
}

/// A column of rows that are only read, filtered and sent.
struct Read {
    leaf: Plan,
    /// Of the leaf.
    at: usize,
    /// Of the leaf.
    rows: usize,
    filtered: bool,
    /// By filters of joins, at a scan.
    waits: bool,
}

/// The column `at` of what the stage sends, where it is read.
fn read(stage: &Sent<'_>, mut at: usize) -> Option<Read> {
    let mut node = Arc::clone(stage.input);
    let (mut filtered, mut waits) = (false, false);
    loop {
        if node.fetch().is_some() {
            return None;
        }
        node.apply_expressions(&mut |root| {
            waits = waits || root.exists(|expr| Ok(expr.expression_id().is_some()))?;
            Ok(TreeNodeRecursion::Continue)
        })
        .ok()?;
        filtered = filtered || node.is::<FilterExec>();
        let Some((input, column)) = passed(&node, at) else { break };
        at = column;
        node = Arc::clone(input);
    }
    let original = node.downcast_ref::<DistributedLeafExec>().map(DistributedLeafExec::original);
    let scan = original.unwrap_or(&node);
    scan_of(scan).filter(|_| scan.fetch().is_none())?;
    let known = StatisticsContext::new().compute(&**scan, &StatisticsArgs::new()).ok()?;
    let rows = *known.num_rows.get_value()?;
    Some(Read { leaf: node, at, rows, filtered, waits })
}

/// The input of an operator that gives rows of its input as they are, and which column of it is `at`.
fn passed(node: &Plan, at: usize) -> Option<(&Plan, usize)> {
    if let Some(filter) = node.downcast_ref::<FilterExec>() {
        let from = filter.projection().as_ref().map_or(Some(at), |taken| taken.get(at).copied());
        return Some((filter.input(), from?));
    }
    if let Some(projection) = node.downcast_ref::<ProjectionExec>() {
        let column = projection.expr().get(at)?.expr.downcast_ref::<Column>()?;
        return Some((projection.input(), column.index()));
    }
    let passes = is_plain(node) || node.is::<PacedExec>();
    node.children().first().filter(|_| passes).map(|input| (*input, at))
}

/// A stage whose column has each value that the column of a plan above it has.
struct Source<'a> {
    stage: Sent<'a>,
    /// Of what it sends.
    at: usize,
    /// Of its leaf.
    rows: usize,
}

/// Of the column `at` of what a join reads, where it is filtered. All that lies between is there as soon as
/// the join is.
fn source_of(node: &Plan, at: usize) -> Option<Source<'_>> {
    let Some(join) = node.downcast_ref::<HashJoinExec>() else {
        let at_once = !node.is::<RepartitionExec>();
        let (input, at) = passed(node, at).filter(|_| at_once)?;
        return source_of(input, at);
    };
    let inner = matches!(join.join_type(), JoinType::Inner | JoinType::RightSemi);
    if !inner || !by_values(join) {
        return None;
    }
    let at = join.projection.as_ref().map_or(Some(at), |taken| taken.get(at).copied())?;
    let (left, right) = (join.left().schema(), join.right().schema());
    let column = build_join_schema(&left, &right, join.join_type()).1.into_iter().nth(at)?;
    let from_right = column.side == JoinSide::Right;
    let here = match from_right {
        false => Some(column.index),
        true => join.on().iter().find_map(|(left, right)| {
            let (left, right) = (left.downcast_ref::<Column>()?, right.downcast_ref::<Column>()?);
            let equal = right.index() == column.index && have_one_type(join, left, right);
            equal.then(|| left.index())
        }),
    };
    let here = here.and_then(|at| {
        let stage = sent(join.left())?;
        let read = read(&stage, at).filter(|read| read.filtered && !read.waits)?;
        Some(Source { stage, at, rows: read.rows })
    });
    match from_right {
        true => here.or_else(|| source_of(join.right(), column.index)),
        false => here,
    }
}
