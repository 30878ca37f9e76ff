//! EXPLAIN: plans as text, and as a JSON document of our own (docs/explain.md says which).

use std::ffi::{c_char, CString};
use std::fmt::Write;
use std::sync::atomic::Ordering;
use std::sync::Arc;
use std::time::Duration;

use datafusion::error::DataFusionError;
use datafusion::physical_plan::display::DisplayableExecutionPlan;
use datafusion::physical_plan::{execute_stream, DisplayFormatType, ExecutionPlan};
use futures::StreamExt;
use tokio::time::timeout;

use crate::abi::{
    boundary, boundary_void, igb_cancel, igb_error, Cancel, IGB_EXPLAIN_ANALYZE,
    IGB_EXPLAIN_INDENT, IGB_EXPLAIN_JSON, IGB_EXPLAIN_TREE, IGB_EXPLAIN_VERBOSE,
};
use crate::cluster;
use crate::engine::Pools;
use crate::error::{Error, Result};
use crate::names::scrub;
use crate::plan::{igb_plan, Physical, Plan};
use crate::remote::abi::igb_execution;
use crate::remote::{self, json_text, Execution};
use crate::rules::guarded;
use crate::translate::from_join;

/// How often EXPLAIN ANALYZE asks the cancel token.
const CANCEL_INTERVAL: Duration = Duration::from_millis(20);

fn explain(
    plan: &Plan,
    flags: u32,
    cancel: Cancel,
    execution: Option<Arc<Execution>>,
) -> Result<String> {
    let verbose = flags & IGB_EXPLAIN_VERBOSE != 0;
    let analyze = flags & IGB_EXPLAIN_ANALYZE != 0;
    let mut physical = plan.place(cancel, execution, analyze)?;
    if analyze {
        let pools = &plan.session.engine.pools;
        run(&physical, pools, cancel)?;
        physical.plan = cluster::measured(&physical.plan, pools);
    }
    let text = if flags & IGB_EXPLAIN_JSON != 0 {
        json(&physical, analyze)
    } else {
        let operators = text(plan, &physical, flags, verbose, analyze, cancel)?;
        let stages = cluster::text(&physical.plan, &physical.local, analyze);
        operators + &remote::text(&physical.plan, analyze) + &stages
    };
    Ok(scrub(&text))
}

/// Run the plan to its end and drop its rows.
fn run(physical: &Physical, pools: &Pools, cancel: Cancel) -> Result<()> {
    let (plan, task) = (Arc::clone(&physical.plan), Arc::clone(&physical.task));
    let mut running = pools.cpu.spawn(async move {
        let mut rows = execute_stream(plan, task)?;
        while let Some(batch) = rows.next().await {
            batch?;
        }
        Ok::<(), DataFusionError>(())
    });
    pools.cpu.block_on(async {
        loop {
            if let Ok(done) = timeout(CANCEL_INTERVAL, &mut running).await {
                return Ok(done.map_err(from_join)??);
            }
            if let Err(stopped) = cancel.check() {
                physical.over.store(true, Ordering::Relaxed);
                running.abort();
                return Err(stopped);
            }
        }
    })
}

fn text(
    plan: &Plan,
    physical: &Physical,
    flags: u32,
    verbose: bool,
    analyze: bool,
    cancel: Cancel,
) -> Result<String> {
    let operators = physical.plan.as_ref();
    if analyze {
        // The tree has no room for metrics.
        let shown = match verbose {
            true => DisplayableExecutionPlan::with_full_metrics(operators),
            false => DisplayableExecutionPlan::with_metrics(operators),
        };
        return Ok(shown.indent(verbose).to_string());
    }
    let shown = DisplayableExecutionPlan::new(operators);
    if verbose {
        let logical = plan.rows()?;
        let state = plan.session.execution_state();
        let optimized =
            guarded(cancel, plan.session.engine.plan_nodes, || state.optimize(logical))?;
        return Ok(format!(
            "logical plan\n{}\n\noptimized logical plan\n{}\n\nphysical plan\n{}",
            logical.display_indent(),
            optimized.display_indent(),
            shown.indent(true)
        ));
    }
    if flags & IGB_EXPLAIN_INDENT != 0 && flags & IGB_EXPLAIN_TREE == 0 {
        return Ok(shown.indent(false).to_string());
    }
    Ok(shown.tree_render().to_string())
}

/// `{"plan": {"operator", "detail", "metrics", "children"}, "analyzed"}`
fn json(physical: &Physical, analyze: bool) -> String {
    let mut out = String::from("{\"plan\":");
    json_operator(&mut out, &physical.plan, analyze);
    let _ = write!(out, ",\"analyzed\":{analyze}");
    cluster::json(&mut out, &physical.plan, &physical.local, analyze);
    out.push('}');
    out
}

struct Detail<'a>(&'a dyn ExecutionPlan);

impl std::fmt::Display for Detail<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        self.0.fmt_as(DisplayFormatType::Default, f)
    }
}

fn json_operator(out: &mut String, plan: &Arc<dyn ExecutionPlan>, analyze: bool) {
    let name = plan.name();
    let detail = Detail(plan.as_ref()).to_string();
    let detail = detail.strip_prefix(name).unwrap_or(&detail).trim_start_matches(':').trim();
    out.push_str("{\"operator\":");
    json_text(out, name);
    out.push_str(",\"detail\":");
    json_text(out, detail);
    if analyze {
        out.push_str(",\"metrics\":{");
        let metrics = plan.metrics().map(|metrics| metrics.aggregate_by_name()).unwrap_or_default();
        let mut first = true;
        for metric in metrics.iter() {
            if !first {
                out.push(',');
            }
            first = false;
            json_text(out, metric.value().name());
            let _ = write!(out, ":{}", metric.value().as_usize());
        }
        out.push('}');
    }
    remote::json(out, plan, analyze);
    out.push_str(",\"children\":[");
    for (at, child) in plan.children().into_iter().enumerate() {
        if at > 0 {
            out.push(',');
        }
        json_operator(out, child, analyze);
    }
    out.push_str("]}");
}

/// Text of the plan (ANALYZE runs it to the end and shows metrics). Gives *ret_text
/// (igb_text_free). Planning threads only. `execution` as for igb_query_start.
///
/// # Safety
/// All pointers are valid; `cancel`, `execution` and `ret_error` may be NULL.
#[no_mangle]
pub unsafe extern "C" fn igb_plan_explain(
    plan: *const igb_plan,
    flags: u32,
    cancel: *const igb_cancel,
    execution: *const igb_execution,
    ret_text: *mut *mut c_char,
    ret_error: *mut igb_error,
) -> i32 {
    unsafe {
        boundary(ret_error, || {
            let plan = &(*plan).shared;
            let execution = Execution::from_abi(execution, &plan.session.engine);
            let text = explain(plan, flags, Cancel::from_abi(cancel), execution)?;
            let text = CString::new(text.replace('\0', " "))
                .map_err(|_| Error::internal("the plan's text holds a NUL"))?;
            ret_text.write(text.into_raw());
            Ok(())
        })
    }
}

/// Free a text that this library gave. NULL is allowed.
///
/// # Safety
/// `text` is NULL or came from igb_plan_explain and is not used again.
#[no_mangle]
pub unsafe extern "C" fn igb_text_free(text: *mut c_char) {
    if !text.is_null() {
        boundary_void(|| drop(unsafe { CString::from_raw(text) }));
    }
}
