//! What EXPLAIN says of stages: their tasks, the members that run them, and what they did.

use std::fmt::Write;
use std::sync::Arc;
use std::time::Duration;

use datafusion::common::tree_node::{TreeNode, TreeNodeRecursion};
use datafusion::physical_plan::metrics::{MetricValue, MetricsSet};
use datafusion::physical_plan::ExecutionPlan;
use datafusion_distributed::{
    rewrite_distributed_plan_with_metrics, DistributedMetricsFormat, NetworkBoundaryExt,
};
use tokio::time::timeout;

use super::place::ClusterExec;
use crate::engine::Pools;
use crate::remote::json_text;

/// How long the metrics of members are waited for, once all rows are there.
const METRICS_WAIT: Duration = Duration::from_secs(5);

/// A stage of a plan that runs on several members.
struct Shown {
    number: usize,
    members: Vec<String>,
    /// Only after ANALYZE: what left it, and the time that its operators worked.
    rows: usize,
    bytes: usize,
    time: Duration,
}

/// The plan with the metrics that its members gave; as it is where one of them has given none.
pub(crate) fn measured(plan: &Arc<dyn ExecutionPlan>, pools: &Pools) -> Arc<dyn ExecutionPlan> {
    let Some(root) = plan.downcast_ref::<ClusterExec>() else { return Arc::clone(plan) };
    let inner = Arc::clone(root.inner());
    let rewritten = pools.cpu.block_on(async {
        let format = DistributedMetricsFormat::Aggregated;
        timeout(METRICS_WAIT, rewrite_distributed_plan_with_metrics(inner, format)).await
    });
    match rewritten {
        Ok(Ok(inner)) => root.with(inner),
        _ => Arc::clone(plan),
    }
}

/// The first stage first.
fn stages(plan: &Arc<dyn ExecutionPlan>) -> Vec<Shown> {
    let Some(root) = plan.downcast_ref::<ClusterExec>() else { return vec![] };
    let mut found = vec![];
    let _ = plan.apply(|node| {
        let Some(boundary) = node.as_network_boundary() else {
            return Ok(TreeNodeRecursion::Continue);
        };
        let stage = boundary.input_stage();
        let Some(stage_plan) = stage.local_plan() else { return Ok(TreeNodeRecursion::Continue) };
        let members = root.placement.route(stage_plan, stage.task_count());
        let metrics = node.metrics().unwrap_or_default();
        found.push(Shown {
            number: stage.num(),
            members: members.into_iter().map(|member| member.id.clone()).collect(),
            rows: metrics.output_rows().unwrap_or(0),
            bytes: output_bytes(&metrics),
            time: worked(stage_plan),
        });
        Ok(TreeNodeRecursion::Continue)
    });
    found.sort_by_key(|stage| stage.number);
    found
}

fn output_bytes(metrics: &MetricsSet) -> usize {
    let bytes = metrics.sum(|metric| matches!(metric.value(), MetricValue::OutputBytes(_)));
    bytes.map_or(0, |bytes| bytes.as_usize())
}

/// The time of all operators of a stage.
fn worked(stage: &Arc<dyn ExecutionPlan>) -> Duration {
    let mut nanos = 0;
    let _ = stage.apply(|node| {
        let metrics: MetricsSet = node.metrics().unwrap_or_default();
        nanos += metrics.elapsed_compute().unwrap_or(0);
        Ok(match node.is_network_boundary() {
            true => TreeNodeRecursion::Jump,
            false => TreeNodeRecursion::Continue,
        })
    });
    Duration::from_nanos(nanos as u64)
}

/// Why members have no tasks of the plan.
fn lacking(plan: &Arc<dyn ExecutionPlan>) -> &str {
    plan.downcast_ref::<ClusterExec>().map_or("", |root| &root.placement.lacking)
}

/// The members that read its databases, and why no others do.
fn databases(plan: &Arc<dyn ExecutionPlan>) -> (Vec<&str>, &str) {
    let Some(root) = plan.downcast_ref::<ClusterExec>() else { return (vec![], "") };
    let members = root.placement.databases(plan);
    let kept = if members.len() == 1 { root.placement.kept } else { "" };
    (members, kept)
}

/// A line for each stage, or why there are none; empty where there are no other members.
pub(crate) fn text(plan: &Arc<dyn ExecutionPlan>, local: &str, analyze: bool) -> String {
    // Writing to a String cannot fail.
    let mut out = String::new();
    for stage in stages(plan) {
        let _ = write!(out, "\nstage {}: tasks {}: ", stage.number, stage.members.len());
        out.push_str(&stage.members.join(", "));
        if analyze {
            let (rows, bytes, time) = (stage.rows, stage.bytes, stage.time.as_secs_f64() * 1e3);
            let _ = write!(out, ", rows {rows}, bytes {bytes}, time {time:.3} ms");
        }
    }
    let lacking = lacking(plan);
    if !lacking.is_empty() {
        let _ = write!(out, "\nnot on all members: {lacking}");
    }
    let (members, kept) = databases(plan);
    if !members.is_empty() {
        let _ = write!(out, "\ndatabases: {}", members.join(", "));
    }
    if !kept.is_empty() {
        let _ = write!(out, "\ndatabases are not read by other members: {kept}");
    }
    if !local.is_empty() {
        let _ = write!(out, "\nlocal: {local}");
    }
    if !out.is_empty() {
        out.push('\n');
    }
    out
}

/// Members of the document of EXPLAIN (FORMAT json), each with a comma before it.
pub(crate) fn json(out: &mut String, plan: &Arc<dyn ExecutionPlan>, local: &str, analyze: bool) {
    let stages = stages(plan);
    if !stages.is_empty() {
        out.push_str(",\"stages\":[");
        for (at, stage) in stages.iter().enumerate() {
            let comma = if at > 0 { "," } else { "" };
            let (number, tasks) = (stage.number, stage.members.len());
            let _ = write!(out, "{comma}{{\"stage\":{number},\"tasks\":{tasks},\"members\":[");
            for (at, member) in stage.members.iter().enumerate() {
                if at > 0 {
                    out.push(',');
                }
                json_text(out, member);
            }
            out.push(']');
            if analyze {
                let (rows, bytes, time) = (stage.rows, stage.bytes, stage.time.as_secs_f64() * 1e3);
                let _ = write!(out, ",\"rows\":{rows},\"bytes\":{bytes},\"time_ms\":{time:.3}");
            }
            out.push('}');
        }
        out.push(']');
    }
    let lacking = lacking(plan);
    if !lacking.is_empty() {
        out.push_str(",\"lacking\":");
        json_text(out, lacking);
    }
    let (members, kept) = databases(plan);
    if !members.is_empty() {
        out.push_str(",\"databases\":[");
        for (at, member) in members.into_iter().enumerate() {
            if at > 0 {
                out.push(',');
            }
            json_text(out, member);
        }
        out.push(']');
    }
    if !kept.is_empty() {
        out.push_str(",\"databases_kept\":");
        json_text(out, kept);
    }
    if !local.is_empty() {
        out.push_str(",\"local_reason\":");
        json_text(out, local);
    }
}
