//! Physical plans as bytes that another process of the same build can run.
//!
//! The bytes are a table of protobuf messages (datafusion-proto's), each with a node of the plan and its
//! expressions; where a message would hold another node, or an expression that nests deeply, it holds a
//! number of the table instead, since protobuf reads no message nested deeper than 100. What protobuf has
//! no message for is ours: files, tables of other databases, functions with a state.
//!
//! Reading believes nothing: whatever the bytes are, the outcome is a plan or an error.

use std::cell::{Cell, RefCell};
use std::collections::HashMap;
use std::fmt;
use std::sync::{Arc, Mutex, PoisonError};

use arrow::datatypes::{FieldRef, Schema};
use datafusion::common::format::DEFAULT_CAST_OPTIONS;
use datafusion::common::tree_node::{TreeNode, TreeNodeRecursion};
use datafusion::datasource::sink::DataSinkExec;
use datafusion::datasource::source::DataSourceExec;
use datafusion::error::{DataFusionError, Result as DfResult};
use datafusion::execution::TaskContext;
use datafusion::logical_expr::physical_planning_context::ScalarSubqueryResults;
use datafusion::logical_expr::{AggregateUDF, HigherOrderUDF, ScalarUDF, WindowUDF};
use datafusion::physical_expr::expressions::CastExpr;
use datafusion::physical_expr::scalar_subquery::ScalarSubqueryExpr;
use datafusion::physical_expr::window::{
    PlainAggregateWindowExpr, SlidingAggregateWindowExpr, StandardWindowExpr,
};
use datafusion::physical_expr::PhysicalExpr;
use datafusion::physical_expr_common::physical_expr::proto_decode::PhysicalExprDecodeCtx;
use datafusion::physical_expr_common::physical_expr::proto_encode::PhysicalExprEncodeCtx;
use datafusion::physical_plan::limit::GlobalLimitExec;
use datafusion::physical_plan::memory::LazyMemoryExec;
use datafusion::physical_plan::recursive_query::RecursiveQueryExec;
use datafusion::physical_plan::scalar_subquery::ScalarSubqueryExec;
use datafusion::physical_plan::windows::{BoundedWindowAggExec, WindowAggExec};
use datafusion::physical_plan::work_table::WorkTableExec;
use datafusion::physical_plan::{ExecutionPlan, ExecutionPlanProperties, WindowExpr};
use datafusion_distributed::DistributedCodec;
use datafusion_proto::physical_plan::from_proto::parse_physical_expr_with_converter;
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

use crate::abi::catch;
use crate::damaged::files_of;
use crate::engine::EngineShared;
use crate::error::{Error, Result, Status};
use crate::nullable;
use crate::remote::remote_name;
use crate::stream_table::stream_name;
use crate::yielding::{ask, Over};

mod bytes;
mod files;
mod settings;
#[cfg(test)]
mod tests;

use bytes::{damaged, Reader, Writer};
pub(crate) use settings::{settings_to_pairs, worker_state};

const MAGIC: &[u8] = b"igp";
/// To be raised with every change of what the bytes mean.
const VERSION: u8 = 1;

/// What the bytes of an extension node begin with.
const PART: u8 = 0;
const DISTRIBUTED: u8 = 1;
const FILES: u8 = 2;
const CAST: u8 = 3;

/// What the bytes of a function begin with; one that is known by its name has none.
const NULLABLE: u8 = 1;
const NOT_NULL: u8 = 2;

/// Nodes and expressions within each other: reading recurses on them, on a stack of 16 MiB.
const DEPTH_MAX: usize = 400;
/// Expressions within each other in one message, at most three messages each.
const NESTED_MAX: usize = 12;
/// Partitions of one node: what is larger is no plan of ours.
const PARTITIONS_MAX: usize = 1 << 16;

// ---- the whole ------------------------------------------------------------------------------------

/// The bytes of a plan. UNSUPPORTED where `sendable` says no.
pub(crate) fn encode(engine: &Arc<EngineShared>, plan: &Arc<dyn ExecutionPlan>) -> Result<Vec<u8>> {
    let codec = Codec::new(engine);
    let parts = Writing::default();
    match parts.execution_plan_to_proto(plan, &codec) {
        Ok(_) => parts.finish(),
        Err(error) => Err(codec.told(error)),
    }
}

/// The plan of such bytes, with the files, functions and settings of this process. `task` is the context
/// that it will run in, of the engine's runtime environment; `over` is told when nobody waits for it any
/// more. Fails on bytes that `encode` of the same build does not make.
pub(crate) fn decode(
    engine: &Arc<EngineShared>,
    bytes: &[u8],
    task: &TaskContext,
    over: &Over,
) -> Result<Arc<dyn ExecutionPlan>> {
    let codec = Codec::new(engine);
    let read = || {
        let (parts, root) = Reading::new(bytes)?;
        let node = parts.plan(root)?;
        let context = PhysicalPlanDecodeContext::new(task, &codec);
        let plan = parts.proto_to_execution_plan(&node, &context)?;
        parts.end()?;
        Ok(ask(plan, over)?)
    };
    catch(read).map_err(unreadable)
}

/// Why a plan cannot be sent to another member, in words for EXPLAIN.
pub(crate) fn sendable(
    engine: &Arc<EngineShared>,
    plan: &Arc<dyn ExecutionPlan>,
) -> std::result::Result<(), String> {
    let mut reason = None;
    let walked = plan.apply(|node| {
        reason = refusal(node);
        Ok(if reason.is_some() { TreeNodeRecursion::Stop } else { TreeNodeRecursion::Continue })
    });
    if let Some(reason) = reason {
        return Err(reason);
    }
    let tried = walked.map_err(Box::<Error>::from).and_then(|_| encode(engine, plan));
    let bytes = tried.map_err(|error| error.message)?;
    // Types may nest too deeply for protobuf; who receives the plan would be the first to see it.
    Reading::new(&bytes).and_then(|(parts, _)| parts.check()).map_err(|error| error.message)
}

/// What is wrong with one node.
fn refusal(node: &Arc<dyn ExecutionPlan>) -> Option<String> {
    if let Some(name) = stream_name(node) {
        return Some(format!("\"{name}\" is not made of files"));
    }
    if let Some(name) = remote_name(node) {
        return Some(format!("\"{name}\" is read by the member that was asked"));
    }
    if node.downcast_ref::<RecursiveQueryExec>().is_some()
        || node.downcast_ref::<WorkTableExec>().is_some()
    {
        return Some("a recursive query is not spread".to_string());
    }
    if node.downcast_ref::<DataSinkExec>().is_some() {
        return Some("rows are written by the member that was asked".to_string());
    }
    // The message has no place for them.
    let skip = node.downcast_ref::<GlobalLimitExec>().map_or(0, GlobalLimitExec::skip);
    if node.fetch().is_some_and(too_many) || too_many(skip) {
        return Some("its LIMIT or OFFSET is too large to be sent".to_string());
    }
    if windows_of(node).iter().any(|window| ignores_nulls(window).is_none()) {
        return Some("one of its window functions cannot be sent".to_string());
    }
    if let Some(series) = node.downcast_ref::<LazyMemoryExec>() {
        if series.generators().len() != 1 || series.schema().fields().len() != 1 {
            return Some("a series without its column is not sent".to_string());
        }
    }
    None
}

fn too_many(rows: usize) -> bool {
    u32::try_from(rows).is_err()
}

fn windows_of(node: &Arc<dyn ExecutionPlan>) -> &[Arc<dyn WindowExpr>] {
    if let Some(windows) = node.downcast_ref::<BoundedWindowAggExec>() {
        return windows.window_expr();
    }
    node.downcast_ref::<WindowAggExec>().map_or(&[], |windows| windows.window_expr())
}

/// Whether a window function skips NULL; None where it has what the message has no place for, a filter or
/// a reversed order. Only Debug tells; words that are not known there are none that can be sent.
fn ignores_nulls(window: &Arc<dyn WindowExpr>) -> Option<bool> {
    let aggregate = match window.as_any() {
        any if any.is::<PlainAggregateWindowExpr>() => any
            .downcast_ref::<PlainAggregateWindowExpr>()
            .map(PlainAggregateWindowExpr::get_aggregate_expr),
        any => any
            .downcast_ref::<SlidingAggregateWindowExpr>()
            .map(SlidingAggregateWindowExpr::get_aggregate_expr),
    };
    if let Some(aggregate) = aggregate {
        let whole = format!("{window:?}").ends_with("filter: None }") && !aggregate.is_reversed();
        return whole.then(|| aggregate.ignore_nulls());
    }
    let function = window.as_any().downcast_ref::<StandardWindowExpr>()?.get_standard_func_expr();
    let text = format!("{function:?}");
    match text.rsplit_once("is_reversed: ")?.1 {
        "false, ignore_nulls: false }" => Some(false),
        "false, ignore_nulls: true }" => Some(true),
        _ => None,
    }
}

/// Nodes that the codec writes: protobuf's own way would write their inputs into the same message.
fn is_ours(node: &Arc<dyn ExecutionPlan>) -> bool {
    const DISTRIBUTED: [&str; 6] = [
        "BroadcastExec",
        "ChildrenIsolatorUnionExec",
        "NetworkBroadcastExec",
        "NetworkCoalesceExec",
        "NetworkShuffleExec",
        "SamplerExec",
    ];
    node.downcast_ref::<DataSourceExec>().and_then(files_of).is_some()
        || DISTRIBUTED.contains(&node.name())
}

/// Whatever went wrong with bytes that arrived, it is not the statement's fault.
fn unreadable(error: Box<Error>) -> Box<Error> {
    match error.status {
        Status::OutOfMemory | Status::ResourceExhausted => error,
        Status::Internal if error.message == damaged("").message => error,
        _ => damaged(error.message.trim_end_matches('.')).with_hint(error.detail),
    }
}

// ---- writing --------------------------------------------------------------------------------------

/// The table that is being made.
#[derive(Default)]
struct Writing {
    parts: RefCell<Vec<Vec<u8>>>,
    depth: Depth,
    /// Expressions within each other in the message that is being made.
    nested: Cell<usize>,
    /// Nodes that compute the subqueries of what is below them.
    subqueries: Cell<usize>,
}

#[derive(Default)]
struct Depth(Cell<usize>);

impl Depth {
    fn within<T>(&self, body: impl FnOnce() -> DfResult<T>) -> DfResult<T> {
        if self.0.get() >= DEPTH_MAX {
            return Err(Error::unsupported("the plan nests too deeply to be sent").into());
        }
        self.0.set(self.0.get() + 1);
        let done = body();
        self.0.set(self.0.get() - 1);
        done
    }
}

impl Writing {
    /// The number of a new part.
    fn put(&self, kind: PhysicalPlanType) -> DfResult<Vec<u8>> {
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
    fn finish(&self) -> Result<Vec<u8>> {
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
    let schema = Schema::new(vec![Arc::clone(field)]);
    let node = EmptyExecNode { schema: Some((&schema).try_into()?), ..EmptyExecNode::default() };
    let mut bytes = vec![];
    PhysicalPlanNode { physical_plan_type: Some(PhysicalPlanType::Empty(node)) }
        .try_encode(&mut bytes)?;
    Ok(bytes)
}

fn field_of_bytes(bytes: &[u8]) -> DfResult<FieldRef> {
    if let Some(PhysicalPlanType::Empty(node)) =
        PhysicalPlanNode::try_decode(bytes)?.physical_plan_type
    {
        if let Some(schema) = &node.schema {
            let schema = Schema::try_from(schema)?;
            if let [field] = schema.fields().as_ref() {
                return Ok(Arc::clone(field));
            }
        }
    }
    Err(damaged("A cast has no type").into())
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

// ---- reading --------------------------------------------------------------------------------------

/// A table that arrived.
struct Reading<'a> {
    /// None: already part of the plan. Each part has one place in it, so there are no rings, and no
    /// more nodes than bytes.
    parts: RefCell<Vec<Option<&'a [u8]>>>,
    depth: Depth,
    /// Expressions that several nodes share: a join's filter and the scan that tests it.
    shared: RefCell<HashMap<u64, Arc<dyn PhysicalExpr>>>,
    /// Of the node that is being read: a codec is not told.
    subqueries: RefCell<Option<ScalarSubqueryResults>>,
}

impl<'a> Reading<'a> {
    /// Gives the number of the root too.
    fn new(bytes: &'a [u8]) -> Result<(Reading<'a>, usize)> {
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

    fn plan(&self, number: usize) -> Result<PhysicalPlanNode> {
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
    fn end(&self) -> Result<()> {
        match self.parts.borrow().iter().all(Option::is_none) {
            true => Ok(()),
            false => Err(damaged("A part is not used")),
        }
    }

    /// Whether protobuf can read all parts.
    fn check(&self) -> Result<()> {
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

// ---- what protobuf has no message for -------------------------------------------------------------

/// The nodes and functions of this crate, and those of the distribution.
struct Codec {
    engine: Arc<EngineShared>,
    /// Why a node or function cannot be sent: errors of a codec are told in other words.
    reason: Mutex<Option<String>>,
}

impl fmt::Debug for Codec {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("igloo's codec")
    }
}

impl Codec {
    fn new(engine: &Arc<EngineShared>) -> Codec {
        Codec { engine: Arc::clone(engine), reason: Mutex::new(None) }
    }

    fn refuse<T>(&self, reason: String) -> DfResult<T> {
        let mut noted = self.reason.lock().unwrap_or_else(PoisonError::into_inner);
        noted.get_or_insert_with(|| reason.clone());
        Err(Error::unsupported(reason).into())
    }

    fn told(&self, error: DataFusionError) -> Box<Error> {
        match self.reason.lock().unwrap_or_else(PoisonError::into_inner).take() {
            Some(reason) => Error::unsupported(reason),
            None => match Box::<Error>::from(error) {
                error if error.status == Status::Internal => {
                    Error::unsupported("the plan has a node that cannot be sent")
                        .with_detail(format!("{}.", error.message.trim_end_matches('.')))
                }
                error => error,
            },
        }
    }

    /// A function is known by its name on every member, or it is not sent.
    fn check_known(&self, name: &str, known: bool) -> DfResult<()> {
        match known {
            true => Ok(()),
            false => self.refuse(format!("function {name}() cannot be sent")),
        }
    }
}

fn unknown_function<T>(name: &str) -> DfResult<T> {
    Err(damaged(&format!("There is no function {name}()")).into())
}

impl PhysicalExtensionCodec for Codec {
    fn try_encode(
        &self,
        node: Arc<dyn ExecutionPlan>,
        buf: &mut Vec<u8>,
        converter: &dyn PhysicalProtoConverterExtension,
    ) -> DfResult<()> {
        let scan = node.downcast_ref::<DataSourceExec>();
        if let Some(config) = scan.and_then(files_of) {
            match files::encode(config, self, converter) {
                Ok(bytes) => {
                    buf.push(FILES);
                    buf.extend(bytes);
                    return Ok(());
                }
                Err(error) => return self.refuse(error.message),
            }
        }
        let mut bytes = vec![];
        match DistributedCodec.try_encode(Arc::clone(&node), &mut bytes, converter) {
            Ok(()) => {
                buf.push(DISTRIBUTED);
                buf.extend(bytes);
                Ok(())
            }
            Err(_) => self.refuse(
                refusal(&node).unwrap_or_else(|| format!("{} cannot be sent", node.name())),
            ),
        }
    }

    fn try_decode(
        &self,
        bytes: &[u8],
        inputs: &[Arc<dyn ExecutionPlan>],
        task: &TaskContext,
        converter: &dyn PhysicalProtoConverterExtension,
    ) -> DfResult<Arc<dyn ExecutionPlan>> {
        match (bytes.split_first(), inputs) {
            (Some((&DISTRIBUTED, rest)), _) => {
                DistributedCodec.try_decode(rest, inputs, task, converter)
            }
            (Some((&FILES, rest)), []) => {
                Ok(files::decode(rest, &self.engine, task, self, converter)?)
            }
            _ => Err(damaged("A node is of an unknown kind").into()),
        }
    }

    fn try_encode_expr(
        &self,
        expr: &Arc<dyn PhysicalExpr>,
        _: &mut Vec<u8>,
        _: &PhysicalExprEncodeCtx<'_>,
    ) -> DfResult<()> {
        self.refuse(format!("{expr} cannot be sent"))
    }

    fn try_decode_expr(
        &self,
        bytes: &[u8],
        inputs: &[Arc<dyn PhysicalExpr>],
        _: &PhysicalExprDecodeCtx<'_>,
    ) -> DfResult<Arc<dyn PhysicalExpr>> {
        match (bytes.split_first(), inputs) {
            (Some((&CAST, field)), [input]) => {
                let field = field_of_bytes(field)?;
                let input = Arc::clone(input);
                Ok(Arc::new(CastExpr::new_with_target_field(input, field, None)))
            }
            _ => Err(damaged("An expression is of an unknown kind").into()),
        }
    }

    fn try_encode_udf(&self, function: &ScalarUDF, buf: &mut Vec<u8>) -> DfResult<()> {
        if nullable::is_nullable(function) {
            buf.push(NULLABLE);
            return Ok(());
        }
        if let Some(column) = nullable::column_of_not_null(function) {
            buf.push(NOT_NULL);
            buf.extend(column.as_bytes());
            return Ok(());
        }
        let name = function.name();
        self.check_known(name, self.engine.base.scalar_functions().contains_key(name))
    }

    fn try_decode_udf(&self, name: &str, bytes: &[u8]) -> DfResult<Arc<ScalarUDF>> {
        match bytes.split_first() {
            Some((&NULLABLE, [])) => Ok(nullable::nullable()),
            Some((&NOT_NULL, column)) => match std::str::from_utf8(column) {
                Ok(column) => Ok(nullable::not_null_function(column)),
                Err(_) => Err(damaged("A text is not UTF-8").into()),
            },
            None => match self.engine.base.scalar_functions().get(name) {
                Some(function) => Ok(Arc::clone(function)),
                None => unknown_function(name),
            },
            Some(_) => unknown_function(name),
        }
    }

    fn try_encode_udaf(&self, function: &AggregateUDF, _: &mut Vec<u8>) -> DfResult<()> {
        let name = function.name();
        self.check_known(name, self.engine.base.aggregate_functions().contains_key(name))
    }

    fn try_decode_udaf(&self, name: &str, _: &[u8]) -> DfResult<Arc<AggregateUDF>> {
        let known = self.engine.base.aggregate_functions().get(name);
        known.map_or_else(|| unknown_function(name), |function| Ok(Arc::clone(function)))
    }

    fn try_encode_udwf(&self, function: &WindowUDF, _: &mut Vec<u8>) -> DfResult<()> {
        let name = function.name();
        self.check_known(name, self.engine.base.window_functions().contains_key(name))
    }

    fn try_decode_udwf(&self, name: &str, _: &[u8]) -> DfResult<Arc<WindowUDF>> {
        let known = self.engine.base.window_functions().get(name);
        known.map_or_else(|| unknown_function(name), |function| Ok(Arc::clone(function)))
    }

    fn try_encode_higher_order_function(
        &self,
        function: &HigherOrderUDF,
        _: &mut Vec<u8>,
    ) -> DfResult<()> {
        let name = function.name();
        self.check_known(name, self.engine.base.higher_order_functions().contains_key(name))
    }

    fn try_decode_higher_order_function(
        &self,
        name: &str,
        _: &[u8],
    ) -> DfResult<Arc<HigherOrderUDF>> {
        let known = self.engine.base.higher_order_functions().get(name);
        known.map_or_else(|| unknown_function(name), |function| Ok(Arc::clone(function)))
    }
}
