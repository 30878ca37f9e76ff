//! Remote scans in EXPLAIN: what the source is asked, and why not more.

use std::fmt::Write;
use std::sync::Arc;

use datafusion::common::tree_node::{TreeNode, TreeNodeRecursion};
use datafusion::physical_plan::metrics::MetricsSet;
use datafusion::physical_plan::ExecutionPlan;

use super::abi::{igb_sort, IGB_PUSH_EXACT, IGB_PUSH_INEXACT};
use super::scan::{Decision, Planned, RemoteExec};
use super::scan_of;

/// More parts than these are counted, after the first.
const PARTS_SHOWN: usize = 4;

fn word(push: i32) -> &'static str {
    match push {
        IGB_PUSH_EXACT => "exact",
        IGB_PUSH_INEXACT => "inexact",
        _ => "no",
    }
}

fn fetched(node: &Arc<dyn ExecutionPlan>, scan: &RemoteExec) -> (usize, usize) {
    let of = |metrics: Option<MetricsSet>| {
        let metrics = metrics.unwrap_or_default();
        let bytes = metrics.sum_by_name("bytes_fetched").map_or(0, |value| value.as_usize());
        (metrics.output_rows().unwrap_or(0), bytes)
    };
    // Of all members that read it, this one too, where they have told theirs.
    of(scan.metrics()).max(of(node.metrics()))
}

fn order(scan: &RemoteExec, sort: &[igb_sort]) -> String {
    let fields = scan.remote.schema.fields();
    let key = |key: &igb_sort| {
        let name = usize::try_from(key.column).ok().and_then(|at| fields.get(at));
        format!(
            "{}{}{}",
            name.map_or("", |field| field.name()),
            if key.descending { " DESC" } else { "" },
            if key.nulls_first { " NULLS FIRST" } else { " NULLS LAST" }
        )
    };
    sort.iter().map(key).collect::<Vec<_>>().join(", ")
}

fn decided(planned: &Planned) -> impl Iterator<Item = &Decision> {
    planned.decisions.iter().chain(&planned.others)
}

/// One paragraph for each remote scan of the plan, after an empty line; empty where there is none.
pub(crate) fn text(plan: &Arc<dyn ExecutionPlan>, analyze: bool) -> String {
    let mut out = String::new();
    let _ = plan.apply(|node| {
        if let Some(scan) = scan_of(node) {
            paragraph(&mut out, node, scan, analyze);
        }
        Ok(TreeNodeRecursion::Continue)
    });
    out
}

// Writing to a String cannot fail.
fn paragraph(out: &mut String, node: &Arc<dyn ExecutionPlan>, scan: &RemoteExec, analyze: bool) {
    let Some(planned) = &scan.planned else { return };
    let parts = planned.parts.len();
    let _ = write!(out, "\nremote scan of {}: {parts} part", scan.remote.name);
    if parts != 1 {
        out.push('s');
    }
    match planned.snapshot().as_str() {
        "" => {}
        "not atomic" => out.push_str(", not atomic"),
        "at execution" => out.push_str(", snapshot taken at execution"),
        snapshot => {
            let _ = write!(out, ", snapshot {snapshot}");
        }
    }
    out.push('\n');
    let shown = if parts > PARTS_SHOWN { 1 } else { parts };
    for (at, part) in planned.parts.iter().take(shown).enumerate() {
        let _ = writeln!(out, "  part {}: {}", at + 1, part.text);
    }
    if parts > shown {
        let _ = writeln!(out, "  and {} more", parts - shown);
    }
    for decision in decided(planned) {
        let _ = match decision.push {
            IGB_PUSH_EXACT => writeln!(out, "  pushed: {}", decision.text),
            IGB_PUSH_INEXACT => {
                writeln!(out, "  pushed, tested again: {} ({})", decision.text, decision.reason)
            }
            _ => writeln!(out, "  not pushed: {} ({})", decision.text, decision.reason),
        };
    }
    if let Some(limit) = planned.wanted.limit {
        let done = |done| if done { "pushed" } else { "not pushed" };
        if !planned.wanted.sort.is_empty() {
            let order = order(scan, &planned.wanted.sort);
            let _ = writeln!(out, "  {}: ORDER BY {order}", done(planned.sort_done));
        }
        let _ = writeln!(out, "  {}: LIMIT {limit}", done(planned.limit_done));
    }
    if analyze {
        let (rows, bytes) = fetched(node, scan);
        let _ = writeln!(out, "  fetched: {rows} rows, {bytes} bytes");
    }
}

/// The member "remote" of an operator's JSON; nothing for other operators.
pub(crate) fn json(out: &mut String, plan: &Arc<dyn ExecutionPlan>, analyze: bool) {
    let Some(scan) = scan_of(plan) else { return };
    let Some(planned) = &scan.planned else { return };
    out.push_str(",\"remote\":{\"table\":");
    json_text(out, &scan.remote.name);
    out.push_str(",\"snapshot\":");
    json_text(out, &planned.snapshot());
    out.push_str(",\"parts\":[");
    for (at, part) in planned.parts.iter().enumerate() {
        if at > 0 {
            out.push(',');
        }
        json_text(out, &part.text);
    }
    out.push_str("],\"conjuncts\":[");
    for (at, decision) in decided(planned).enumerate() {
        if at > 0 {
            out.push(',');
        }
        out.push_str("{\"text\":");
        json_text(out, &decision.text);
        let _ = write!(out, ",\"pushed\":\"{}\",\"reason\":", word(decision.push));
        json_text(out, &decision.reason);
        out.push('}');
    }
    out.push(']');
    if let Some(limit) = planned.wanted.limit {
        let _ = write!(out, ",\"limit\":{limit},\"limit_pushed\":{}", planned.limit_done);
        if !planned.wanted.sort.is_empty() {
            out.push_str(",\"order\":");
            json_text(out, &order(scan, &planned.wanted.sort));
            let _ = write!(out, ",\"order_pushed\":{}", planned.sort_done);
        }
    }
    if analyze {
        let (rows, bytes) = fetched(plan, scan);
        let _ = write!(out, ",\"rows_fetched\":{rows},\"bytes_fetched\":{bytes}");
    }
    out.push('}');
}

pub(crate) fn json_text(out: &mut String, text: &str) {
    out.push('"');
    for c in text.chars() {
        match c {
            '"' => out.push_str("\\\""),
            '\\' => out.push_str("\\\\"),
            '\n' => out.push_str("\\n"),
            c if (c as u32) < 0x20 => {
                let _ = write!(out, "\\u{:04x}", c as u32);
            }
            c => out.push(c),
        }
    }
    out.push('"');
}
