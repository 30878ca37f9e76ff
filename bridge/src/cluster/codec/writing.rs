//! A plan becomes a table of messages.

use std::cell::{Cell, RefCell};
use std::sync::Arc;

use arrow::datatypes::{FieldRef, Schema};
use datafusion::common::format::DEFAULT_CAST_OPTIONS;
use datafusion::datasource::source::DataSourceExec;
use datafusion::error::Result as DfResult;
use datafusion::physical_expr::expressions::CastExpr;
use datafusion::physical_expr::scalar_subquery::ScalarSubqueryExpr;
use datafusion::physical_expr::PhysicalExpr;
use datafusion::physical_plan::scalar_subquery::ScalarSubqueryExec;
use datafusion::physical_plan::ExecutionPlan;
use datafusion_proto::physical_plan::to_proto::serialize_physical_expr_with_converter;
use datafusion_proto::physical_plan::{
    AsExecutionPlan, PhysicalExtensionCodec, PhysicalPlanDecodeContext, PhysicalPlanNodeExt,
    PhysicalProtoConverterExtension,
};
use datafusion_proto::protobuf::physical_expr_node::ExprType;
use datafusion_proto::protobuf::physical_plan_node::PhysicalPlanType;
use datafusion_proto::protobuf::{
    EmptyExecNode, FilterExecNode, PhysicalExprNode, PhysicalExtensionExprNode,
    PhysicalExtensionNode, PhysicalPlanNode,
};

use super::bytes::{damaged, Writer};
use super::{ignores_nulls, refusal, windows_of, Depth, CAST, MAGIC, PART, VERSION};
use crate::damaged::files_of;
use crate::error::{Error, Result};
use crate::remote::is_scan;
use crate::remote::leased::ShareExec;

/// Expressions within each other in one message, at most three messages each.
const NESTED_MAX: usize = 12;

/// The table that is being made.
#[derive(Default)]
pub(super) struct Writing {
    pub(super) parts: RefCell<Vec<Vec<u8>>>,
    depth: Depth,
    /// Expressions within each other in the message that is being made.
    nested: Cell<usize>,
    /// Nodes that compute the subqueries of what is below them.
    subqueries: Cell<usize>,
}

/// Nodes that the codec writes: protobuf's own way would write their inputs into the same message.
fn is_ours(node: &Arc<dyn ExecutionPlan>) -> bool {
    const DISTRIBUTED: [&str; 9] = [
        "AwaitsFiltersExec",
        "BroadcastExec",
        "ChildrenIsolatorUnionExec",
        "GivesFilterExec",
        "NetworkBroadcastExec",
        "NetworkCoalesceExec",
        "NetworkShuffleExec",
        "NotesKeysExec",
        "SamplerExec",
    ];
    node.downcast_ref::<DataSourceExec>().and_then(files_of).is_some()
        || is_scan(node)
        || node.is::<ShareExec>()
        || DISTRIBUTED.contains(&node.name())
}

impl Writing {
    /// The number of a new part.
    pub(super) fn put(&self, kind: PhysicalPlanType) -> DfResult<Vec<u8>> {
        let mut bytes = vec![];
        PhysicalPlanNode { physical_plan_type: Some(kind) }.try_encode(&mut bytes)?;
        let mut parts = self.parts.borrow_mut();
        parts.push(bytes);
        let mut number = Writer::default();
        number.u8(PART);
        number.u32(parts.len() - 1)?;
        Ok(number.bytes)
    }

    /// The last part is the root.
    pub(super) fn finish(&self) -> Result<Vec<u8>> {
        let parts = self.parts.borrow();
        let mut out = Writer::default();
        out.bytes.extend(MAGIC);
        out.u8(VERSION);
        out.u32(parts.len())?;
        for part in parts.iter() {
            out.data(part)?;
        }
        Ok(out.bytes)
    }
}

impl Writing {
    /// A cast that says whether its column may be NULL; protobuf's does not.
    fn cast(
        &self,
        cast: &CastExpr,
        codec: &dyn PhysicalExtensionCodec,
    ) -> DfResult<PhysicalExprNode> {
        let mut expr = vec![CAST];
        expr.extend(field_to_bytes(cast.target_field())?);
        let inputs = vec![self.physical_expr_to_proto(cast.expr(), codec)?];
        let node = PhysicalExtensionExprNode { expr, inputs };
        Ok(PhysicalExprNode { expr_id: None, expr_type: Some(ExprType::Extension(node)) })
    }

    fn ours(
        &self,
        plan: &Arc<dyn ExecutionPlan>,
        codec: &dyn PhysicalExtensionCodec,
    ) -> DfResult<PhysicalPlanType> {
        let mut node = vec![];
        codec.try_encode(Arc::clone(plan), &mut node, self)?;
        let children = plan.children().into_iter();
        let inputs = children.map(|child| self.execution_plan_to_proto(child, codec));
        let inputs = inputs.collect::<DfResult<Vec<_>>>()?;
        Ok(PhysicalPlanType::Extension(PhysicalExtensionNode { node, inputs }))
    }

    fn theirs(
        &self,
        plan: &Arc<dyn ExecutionPlan>,
        codec: &dyn PhysicalExtensionCodec,
    ) -> DfResult<PhysicalPlanType> {
        let given = Arc::clone(plan);
        let node = PhysicalPlanNode::try_from_physical_plan_with_converter(given, codec, self)?;
        let mut kind = node.physical_plan_type.ok_or_else(|| damaged("A node is empty"))?;
        if let PhysicalPlanType::Window(windows) = &mut kind {
            // It has a place for it, and nobody fills it in.
            for (message, window) in windows.window_expr.iter_mut().zip(windows_of(plan)) {
                message.ignore_nulls |= ignores_nulls(window).unwrap_or(false);
            }
        }
        Ok(kind)
    }
}

/// A field as a message that there is.
fn field_to_bytes(field: &FieldRef) -> DfResult<Vec<u8>> {
    schema_to_bytes(&Schema::new(vec![Arc::clone(field)]))
}

pub(super) fn schema_to_bytes(schema: &Schema) -> DfResult<Vec<u8>> {
    let node = EmptyExecNode { schema: Some(schema.try_into()?), ..EmptyExecNode::default() };
    let mut bytes = vec![];
    PhysicalPlanNode { physical_plan_type: Some(PhysicalPlanType::Empty(node)) }
        .try_encode(&mut bytes)?;
    Ok(bytes)
}

impl PhysicalProtoConverterExtension for Writing {
    fn execution_plan_to_proto(
        &self,
        plan: &Arc<dyn ExecutionPlan>,
        codec: &dyn PhysicalExtensionCodec,
    ) -> DfResult<PhysicalPlanNode> {
        if let Some(reason) = refusal(plan) {
            return Err(Error::unsupported(reason).into());
        }
        let nested = self.nested.replace(0);
        let computes = usize::from(plan.downcast_ref::<ScalarSubqueryExec>().is_some());
        self.subqueries.set(self.subqueries.get() + computes);
        let kind = self.depth.within(|| match is_ours(plan) {
            true => self.ours(plan, codec),
            false => self.theirs(plan, codec),
        });
        self.subqueries.set(self.subqueries.get() - computes);
        self.nested.set(nested);
        let node = self.put(kind?)?;
        let part = PhysicalExtensionNode { node, inputs: vec![] };
        Ok(PhysicalPlanNode { physical_plan_type: Some(PhysicalPlanType::Extension(part)) })
    }

    fn physical_expr_to_proto(
        &self,
        expr: &Arc<dyn PhysicalExpr>,
        codec: &dyn PhysicalExtensionCodec,
    ) -> DfResult<PhysicalExprNode> {
        if expr
            .downcast_ref::<CastExpr>()
            .is_some_and(|c| c.cast_options() != &DEFAULT_CAST_OPTIONS)
        {
            return Err(Error::unsupported("one of its casts cannot be sent").into());
        }
        if expr.downcast_ref::<ScalarSubqueryExpr>().is_some() && self.subqueries.get() == 0 {
            return Err(Error::unsupported("it needs a subquery's value from elsewhere").into());
        }
        let cast = expr.downcast_ref::<CastExpr>();
        let write = || match cast.filter(|cast| cast.has_explicit_nullability()) {
            Some(cast) => self.cast(cast, codec),
            None => serialize_physical_expr_with_converter(expr, codec, self),
        };
        let nested = self.nested.get();
        let apart = nested >= NESTED_MAX;
        self.nested.set(if apart { 1 } else { nested + 1 });
        let node = self.depth.within(write);
        self.nested.set(nested);
        let node = node?;
        if !apart {
            return Ok(node);
        }
        let holder = FilterExecNode { expr: Some(node), ..FilterExecNode::default() };
        let expr = self.put(PhysicalPlanType::Filter(Box::new(holder)))?;
        let part = PhysicalExtensionExprNode { expr, inputs: vec![] };
        Ok(PhysicalExprNode { expr_id: None, expr_type: Some(ExprType::Extension(part)) })
    }

    fn proto_to_execution_plan(
        &self,
        _: &PhysicalPlanNode,
        _: &PhysicalPlanDecodeContext<'_>,
    ) -> DfResult<Arc<dyn ExecutionPlan>> {
        Err(Error::internal("a plan is read while one is written").into())
    }

    fn proto_to_physical_expr(
        &self,
        _: &PhysicalExprNode,
        _: &Schema,
        _: &PhysicalPlanDecodeContext<'_>,
    ) -> DfResult<Arc<dyn PhysicalExpr>> {
        Err(Error::internal("an expression is read while one is written").into())
    }
}
