//! Physical plans as bytes that another process of the same build can run.
//!
//! The bytes are a table of protobuf messages (datafusion-proto's), each with a node of the plan and its
//! expressions; where a message would hold another node, or an expression that nests deeply, it holds a
//! number of the table instead, since protobuf reads no message nested deeper than 100. What protobuf has
//! no message for is ours: files, functions with a state. A scan of a database is a number, by which the
//! process that planned it finds it, or the parts of it that another member is to read.
//!
//! Reading believes nothing: whatever the bytes are, the outcome is a plan or an error.

use std::cell::Cell;
use std::sync::Arc;

use datafusion::common::tree_node::{TreeNode, TreeNodeRecursion};
use datafusion::datasource::sink::DataSinkExec;
use datafusion::error::Result as DfResult;
use datafusion::execution::TaskContext;
use datafusion::physical_expr::window::{
    PlainAggregateWindowExpr, SlidingAggregateWindowExpr, StandardWindowExpr,
};
use datafusion::physical_plan::limit::GlobalLimitExec;
use datafusion::physical_plan::memory::LazyMemoryExec;
use datafusion::physical_plan::recursive_query::RecursiveQueryExec;
use datafusion::physical_plan::windows::{BoundedWindowAggExec, WindowAggExec};
use datafusion::physical_plan::work_table::WorkTableExec;
use datafusion::physical_plan::{ExecutionPlan, WindowExpr};
use datafusion_proto::physical_plan::{PhysicalPlanDecodeContext, PhysicalProtoConverterExtension};

use crate::abi::catch;
use crate::engine::EngineShared;
use crate::error::{Error, Result, Status};
use crate::stream_table::stream_name;
use crate::yielding::{ask, Over};

mod bytes;
mod extension;
mod files;
mod filters;
mod reading;
mod settings;
#[cfg(test)]
mod tests;
mod writing;

use bytes::damaged;
use extension::Codec;
use reading::Reading;
pub(crate) use settings::{settings_to_pairs, task_config};
use writing::Writing;

const MAGIC: &[u8] = b"igp";
/// To be raised with every change of what the bytes mean.
const VERSION: u8 = 5;

/// What the bytes of an extension begin with.
const PART: u8 = 0;
const DISTRIBUTED: u8 = 1;
const FILES: u8 = 2;
const CAST: u8 = 3;
const PACED: u8 = 4;
const LENT: u8 = 5;
const LEASED: u8 = 6;
const GIVES_FILTER: u8 = 7;
const AWAITS_FILTERS: u8 = 8;
const NOTES_KEYS: u8 = 9;

/// The bytes of a plan. UNSUPPORTED where `sendable` says no.
pub(crate) fn encode(engine: &Arc<EngineShared>, plan: &Arc<dyn ExecutionPlan>) -> Result<Vec<u8>> {
    let codec = Codec::new(engine);
    let parts = Writing::default();
    match parts.execution_plan_to_proto(plan, &codec) {
        Ok(_) => parts.finish(),
        Err(error) => Err(codec.told(error)),
    }
}

/// The plan of such bytes, with the files, functions and settings of this process. `task` has the functions
/// that the plan names and what it is configured with; `over` is told when nobody waits for it any more. Fails
/// on bytes that `encode` of the same build does not make.
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

/// Whatever went wrong with bytes that arrived, it is not the statement's fault.
fn unreadable(error: Box<Error>) -> Box<Error> {
    match error.status {
        Status::OutOfMemory | Status::ResourceExhausted => error,
        Status::Internal if error.message == damaged("").message => error,
        _ => damaged(error.message.trim_end_matches('.')).with_hint(error.detail),
    }
}

/// Nodes and expressions within each other: reading recurses on them, on a stack of 16 MiB.
const DEPTH_MAX: usize = 400;

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
