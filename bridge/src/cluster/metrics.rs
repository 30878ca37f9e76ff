//! The metrics of a task as bytes, from a member to the coordinator. Both are of one build.

use std::borrow::Cow;
use std::sync::Arc;
use std::time::Duration;

use datafusion::physical_plan::metrics::{
    Count, Gauge, Metric, MetricValue, MetricsSet, PruningMetrics, Time,
};
use datafusion_distributed::TaskMetrics;

use crate::error::{Error, Result};

/// Metrics of one node, and nodes of one plan: more are no metrics of ours.
const COUNT_MAX: usize = 1 << 16;

/// How a number is meant.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Kind {
    OutputRows = 1,
    OutputBytes,
    OutputBatches,
    ElapsedCompute,
    SpillCount,
    SpilledBytes,
    SpilledRows,
    Count,
    Gauge,
    Peak,
    Time,
    Pruned,
    Matched,
}

const KINDS: [Kind; 13] = [
    Kind::OutputRows,
    Kind::OutputBytes,
    Kind::OutputBatches,
    Kind::ElapsedCompute,
    Kind::SpillCount,
    Kind::SpilledBytes,
    Kind::SpilledRows,
    Kind::Count,
    Kind::Gauge,
    Kind::Peak,
    Kind::Time,
    Kind::Pruned,
    Kind::Matched,
];

/// A metric as what travels; several for one of two numbers. None of points in time, whose clocks
/// differ, and of dd's own.
fn numbers(value: &MetricValue) -> Vec<(Kind, &str, usize)> {
    let one = |kind, name, value| vec![(kind, name, value)];
    match value {
        MetricValue::OutputRows(count) => one(Kind::OutputRows, "", count.value()),
        MetricValue::OutputBytes(count) => one(Kind::OutputBytes, "", count.value()),
        MetricValue::OutputBatches(count) => one(Kind::OutputBatches, "", count.value()),
        MetricValue::ElapsedCompute(time) => one(Kind::ElapsedCompute, "", time.value()),
        MetricValue::SpillCount(count) => one(Kind::SpillCount, "", count.value()),
        MetricValue::SpilledBytes(count) => one(Kind::SpilledBytes, "", count.value()),
        MetricValue::SpilledRows(count) => one(Kind::SpilledRows, "", count.value()),
        MetricValue::Count { name, count } => one(Kind::Count, name, count.value()),
        MetricValue::Gauge { name, gauge } => one(Kind::Gauge, name, gauge.value()),
        MetricValue::PeakMemoryUsage { name, gauge } => one(Kind::Peak, name, gauge.value()),
        MetricValue::Time { name, time } => one(Kind::Time, name, time.value()),
        MetricValue::PruningMetrics { name, pruning_metrics } => vec![
            (Kind::Pruned, name, pruning_metrics.pruned()),
            (Kind::Matched, name, pruning_metrics.matched()),
        ],
        _ => vec![],
    }
}

fn metric(kind: Kind, name: String, value: usize) -> MetricValue {
    let name = Cow::Owned(name);
    let count = || {
        let count = Count::new();
        count.add(value);
        count
    };
    let gauge = || {
        let gauge = Gauge::new();
        gauge.set(value);
        gauge
    };
    let time = || {
        let time = Time::new();
        // A counter that was read starts at its value; adding nothing would add a nanosecond.
        time.add_duration(Duration::from_nanos(value as u64));
        time
    };
    let pruning = |pruned: usize, matched: usize| {
        let metrics = PruningMetrics::new();
        metrics.add_pruned(pruned);
        metrics.add_matched(matched);
        metrics
    };
    match kind {
        Kind::OutputRows => MetricValue::OutputRows(count()),
        Kind::OutputBytes => MetricValue::OutputBytes(count()),
        Kind::OutputBatches => MetricValue::OutputBatches(count()),
        Kind::ElapsedCompute => MetricValue::ElapsedCompute(time()),
        Kind::SpillCount => MetricValue::SpillCount(count()),
        Kind::SpilledBytes => MetricValue::SpilledBytes(count()),
        Kind::SpilledRows => MetricValue::SpilledRows(count()),
        Kind::Count => MetricValue::Count { name, count: count() },
        Kind::Gauge => MetricValue::Gauge { name, gauge: gauge() },
        Kind::Peak => MetricValue::PeakMemoryUsage { name, gauge: gauge() },
        Kind::Time => MetricValue::Time { name, time: time() },
        Kind::Pruned => MetricValue::PruningMetrics { name, pruning_metrics: pruning(value, 0) },
        Kind::Matched => MetricValue::PruningMetrics { name, pruning_metrics: pruning(0, value) },
    }
}

/// Of each node in pre-order, its partitions added up.
pub(super) fn encode(task: &TaskMetrics) -> Vec<u8> {
    let mut out = vec![];
    let put = |out: &mut Vec<u8>, number: usize| {
        out.extend(u32::try_from(number).unwrap_or(u32::MAX).to_le_bytes());
    };
    put(&mut out, task.pre_order_plan_metrics.len());
    for node in &task.pre_order_plan_metrics {
        let node = node.aggregate_by_name();
        let all: Vec<_> = node.iter().flat_map(|metric| numbers(metric.value())).collect();
        put(&mut out, all.len());
        for (kind, name, value) in all {
            out.push(kind as u8);
            put(&mut out, name.len());
            out.extend(name.as_bytes());
            out.extend((value as u64).to_le_bytes());
        }
    }
    out
}

struct Reader<'a>(&'a [u8]);

impl<'a> Reader<'a> {
    fn take(&mut self, count: usize) -> Result<&'a [u8]> {
        let (taken, rest) = self.0.split_at_checked(count).ok_or_else(damaged)?;
        self.0 = rest;
        Ok(taken)
    }

    fn number(&mut self) -> Result<usize> {
        let bytes = self.take(4)?.try_into().map_err(|_| damaged())?;
        Ok(u32::from_le_bytes(bytes) as usize)
    }

    fn count(&mut self) -> Result<usize> {
        let count = self.number()?;
        if count > COUNT_MAX {
            Err(damaged())
        } else {
            Ok(count)
        }
    }
}

fn damaged() -> Box<Error> {
    Error::internal("the metrics of a task cannot be read")
}

pub(super) fn decode(bytes: &[u8]) -> Result<TaskMetrics> {
    let mut from = Reader(bytes);
    let mut nodes = vec![];
    for _ in 0..from.count()? {
        let mut node = MetricsSet::new();
        for _ in 0..from.count()? {
            let kind = from.take(1)?[0];
            let kind = KINDS.into_iter().find(|known| *known as u8 == kind).ok_or_else(damaged)?;
            let len = from.number()?;
            let name = String::from_utf8(from.take(len)?.to_vec()).map_err(|_| damaged())?;
            let value = from.take(8)?.try_into().map_err(|_| damaged())?;
            let value = usize::try_from(u64::from_le_bytes(value)).map_err(|_| damaged())?;
            node.push(Arc::new(Metric::new(metric(kind, name, value), None)));
        }
        nodes.push(node);
    }
    match from.0 {
        [] => Ok(TaskMetrics { pre_order_plan_metrics: nodes, task_metrics: MetricsSet::new() }),
        _ => Err(damaged()),
    }
}
