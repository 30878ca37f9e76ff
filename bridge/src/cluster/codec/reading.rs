//! A table of messages becomes a plan.

use std::cell::RefCell;
use std::collections::HashMap;
use std::sync::Arc;

use arrow::datatypes::{FieldRef, Schema};
use datafusion::error::Result as DfResult;
use datafusion::logical_expr::physical_planning_context::ScalarSubqueryResults;
use datafusion::physical_expr::PhysicalExpr;
use datafusion::physical_plan::{ExecutionPlan, ExecutionPlanProperties};
use datafusion_proto::physical_plan::from_proto::parse_physical_expr_with_converter;
use datafusion_proto::physical_plan::{
    AsExecutionPlan, PhysicalExtensionCodec, PhysicalPlanDecodeContext, PhysicalPlanNodeExt,
    PhysicalProtoConverterExtension,
};
use datafusion_proto::protobuf::physical_expr_node::ExprType;
use datafusion_proto::protobuf::physical_plan_node::PhysicalPlanType;
use datafusion_proto::protobuf::{EmptyExecNode, PhysicalExprNode, PhysicalPlanNode};

use super::bytes::{damaged, Reader};
use super::{Depth, MAGIC, PART, VERSION};
use crate::error::{Error, Result};

/// Partitions of one node: what is larger is no plan of ours.
const PARTITIONS_MAX: usize = 1 << 16;

/// A table that arrived.
pub(super) struct Reading<'a> {
    /// None: already part of the plan. Each part has one place in it, so there are no rings, and no
    /// more nodes than bytes.
    pub(super) parts: RefCell<Vec<Option<&'a [u8]>>>,
    depth: Depth,
    /// Expressions that several nodes share: a join's filter and the scan that tests it.
    shared: RefCell<HashMap<u64, Arc<dyn PhysicalExpr>>>,
    /// Of the node that is being read: a codec is not told.
    subqueries: RefCell<Option<ScalarSubqueryResults>>,
}

impl<'a> Reading<'a> {
    /// Gives the number of the root too.
    pub(super) fn new(bytes: &'a [u8]) -> Result<(Reading<'a>, usize)> {
        let mut from = Reader::new(bytes);
        if from.take(MAGIC.len())? != MAGIC {
            return Err(damaged("It is something else"));
        }
        if from.u8()? != VERSION {
            return Err(damaged("It is of another version"));
        }
        let count = from.count(4)?;
        let mut parts = Vec::with_capacity(count);
        for _ in 0..count {
            parts.push(Some(from.data()?));
        }
        from.end()?;
        let root = count.checked_sub(1).ok_or_else(|| damaged("It is empty"))?;
        let reading = Reading {
            parts: RefCell::new(parts),
            depth: Depth::default(),
            shared: RefCell::default(),
            subqueries: RefCell::default(),
        };
        Ok((reading, root))
    }

    pub(super) fn plan(&self, number: usize) -> Result<PhysicalPlanNode> {
        let mut parts = self.parts.borrow_mut();
        let part = parts.get_mut(number).and_then(Option::take);
        let part = part.ok_or_else(|| damaged("A part is missing, or used twice"))?;
        Ok(PhysicalPlanNode::try_decode(part)?)
    }

    /// The part that bytes of an extension node stand for, if they do.
    fn part(&self, bytes: &[u8], inputs: bool) -> Result<Option<PhysicalPlanNode>> {
        let mut from = Reader::new(bytes);
        if from.u8()? != PART {
            return Ok(None);
        }
        let number = from.u32()?;
        from.end()?;
        if inputs {
            return Err(damaged("A part has inputs of its own"));
        }
        self.plan(number).map(Some)
    }

    /// Fails on parts that nothing refers to.
    pub(super) fn end(&self) -> Result<()> {
        match self.parts.borrow().iter().all(Option::is_none) {
            true => Ok(()),
            false => Err(damaged("A part is not used")),
        }
    }

    /// Whether protobuf can read all parts.
    pub(super) fn check(&self) -> Result<()> {
        for part in self.parts.borrow().iter().flatten() {
            PhysicalPlanNode::try_decode(part)
                .map_err(|_| Error::unsupported("its types nest too deeply to be sent"))?;
        }
        Ok(())
    }
}

/// What a plan of ours is made of. Of the others some cannot be, and some panic when they are read.
fn is_known(kind: &PhysicalPlanType) -> bool {
    use PhysicalPlanType::*;
    matches!(
        kind,
        Aggregate(_)
            | CoalesceBatches(_)
            | Cooperative(_)
            | CrossJoin(_)
            | Empty(_)
            | Extension(_)
            | Filter(_)
            | GenerateSeries(_)
            | GlobalLimit(_)
            | HashJoin(_)
            | Interleave(_)
            | LocalLimit(_)
            | MemoryScan(_)
            | Merge(_)
            | NestedLoopJoin(_)
            | PlaceholderRow(_)
            | Projection(_)
            | Repartition(_)
            | ScalarSubquery(_)
            | Sort(_)
            | SortMergeJoin(_)
            | SortPreservingMerge(_)
            | Union(_)
            | Unnest(_)
            | Window(_)
    )
}

impl PhysicalProtoConverterExtension for Reading<'_> {
    fn proto_to_execution_plan(
        &self,
        node: &PhysicalPlanNode,
        context: &PhysicalPlanDecodeContext<'_>,
    ) -> DfResult<Arc<dyn ExecutionPlan>> {
        self.depth.within(|| {
            let part = match &node.physical_plan_type {
                Some(PhysicalPlanType::Extension(extension)) => {
                    self.part(&extension.node, !extension.inputs.is_empty())?
                }
                _ => None,
            };
            let node = part.as_ref().unwrap_or(node);
            if !node.physical_plan_type.as_ref().is_some_and(is_known) {
                return Err(damaged("A node is of an unknown kind").into());
            }
            let subqueries = context.scalar_subquery_results().cloned();
            let above = self.subqueries.replace(subqueries);
            let plan = node.try_into_physical_plan_with_context(context, self);
            self.subqueries.replace(above);
            let plan = plan?;
            match plan.output_partitioning().partition_count() <= PARTITIONS_MAX {
                true => Ok(plan),
                false => Err(damaged("It has too many partitions").into()),
            }
        })
    }

    fn proto_to_physical_expr(
        &self,
        node: &PhysicalExprNode,
        schema: &Schema,
        context: &PhysicalPlanDecodeContext<'_>,
    ) -> DfResult<Arc<dyn PhysicalExpr>> {
        let subqueries = self.subqueries.borrow().clone();
        let within = subqueries.map(|results| context.with_scalar_subquery_results(results));
        let context = within.as_ref().unwrap_or(context);
        self.depth.within(|| {
            let part = match &node.expr_type {
                Some(ExprType::Extension(extension)) => {
                    self.part(&extension.expr, !extension.inputs.is_empty())?
                }
                _ => None,
            };
            let Some(part) = part else { return self.expr(node, schema, context) };
            match part.physical_plan_type {
                Some(PhysicalPlanType::Filter(holder)) => match &holder.expr {
                    Some(node) => self.expr(node, schema, context),
                    None => Err(damaged("An expression is empty").into()),
                },
                _ => Err(damaged("An expression is something else").into()),
            }
        })
    }

    fn execution_plan_to_proto(
        &self,
        _: &Arc<dyn ExecutionPlan>,
        _: &dyn PhysicalExtensionCodec,
    ) -> DfResult<PhysicalPlanNode> {
        Err(Error::internal("a plan is written while one is read").into())
    }

    fn physical_expr_to_proto(
        &self,
        _: &Arc<dyn PhysicalExpr>,
        _: &dyn PhysicalExtensionCodec,
    ) -> DfResult<PhysicalExprNode> {
        Err(Error::internal("an expression is written while one is read").into())
    }
}

impl Reading<'_> {
    /// Expressions that know who they are stay one: what is told to one is known to all.
    fn expr(
        &self,
        node: &PhysicalExprNode,
        schema: &Schema,
        context: &PhysicalPlanDecodeContext<'_>,
    ) -> DfResult<Arc<dyn PhysicalExpr>> {
        let read = parse_physical_expr_with_converter(node, schema, context, self)?;
        let Some(id) = node.expr_id else { return Ok(read) };
        let known = self.shared.borrow().get(&id).cloned();
        match known {
            Some(known) => {
                let children = read.children().into_iter().map(Arc::clone).collect();
                known.with_new_children(children)
            }
            None => {
                self.shared.borrow_mut().insert(id, Arc::clone(&read));
                Ok(read)
            }
        }
    }
}

/// The field of a cast; see `writing::field_to_bytes`.
pub(super) fn field_of_bytes(bytes: &[u8]) -> DfResult<FieldRef> {
    match schema_of_bytes(bytes)?.fields().as_ref() {
        [field] => Ok(Arc::clone(field)),
        _ => Err(damaged("A cast has no type").into()),
    }
}

/// See `writing::schema_to_bytes`.
pub(super) fn schema_of_bytes(bytes: &[u8]) -> DfResult<Schema> {
    let node = PhysicalPlanNode::try_decode(bytes)?.physical_plan_type;
    match node {
        Some(PhysicalPlanType::Empty(EmptyExecNode { schema: Some(schema), .. })) => {
            Ok(Schema::try_from(&schema)?)
        }
        _ => Err(damaged("There is no schema").into()),
    }
}
