//! Filters of joins that reach scans of other stages.
//!
//! A hash join knows all keys of its build side before it reads the first row of the other side, and a
//! scan there that tests them reads fewer rows. DataFusion has the join and the scan share the filter;
//! once a plan is cut they may be in different processes. So the filter of a join's task is one more thing
//! that is read from the task, as a partition is: the tasks of the scan ask those of the join.
//!
//! Nobody waits in a ring: a scan waits for joins whose other side it is on, and those have all their keys
//! before they need a row of it. Nor can it change rows: only scans have a filter that had it before the
//! plan was cut (or keys that `equal` finds), and a row is left out only if no task's build side has its
//! key. Whatever goes wrong on the way, and more time than a filter is worth, ends in a scan that reads all.

use std::any::Any;
use std::collections::HashMap;
use std::fmt;
use std::sync::{Arc, Mutex, Weak};
use std::time::Duration;

use arrow::array::RecordBatch;
use arrow::compute::concat_batches;
use arrow::datatypes::{Schema, SchemaRef};
use datafusion::common::tree_node::{Transformed, TransformedResult, TreeNode, TreeNodeRecursion};
use datafusion::common::Statistics;
use datafusion::error::{DataFusionError, Result as DfResult};
use datafusion::execution::{SendableRecordBatchStream, TaskContext};
use datafusion::physical_expr::expressions::DynamicFilterPhysicalExpr;
use datafusion::physical_expr::PhysicalExpr;
use datafusion::physical_plan::empty::EmptyExec;
use datafusion::physical_plan::joins::HashJoinExec;
use datafusion::physical_plan::metrics::{
    Count, ExecutionPlanMetricsSet, MetricBuilder, MetricsSet,
};
use datafusion::physical_plan::stream::RecordBatchStreamAdapter;
use datafusion::physical_plan::{
    replace_children_if_necessary, DisplayAs, DisplayFormatType, ExecutionPlan, PlanProperties,
    StatisticsArgs,
};
use datafusion_distributed::{BroadcastExec, DistributedLeafExec, NetworkBoundaryExt, Stage};
use futures::future::try_join_all;
use futures::stream::FuturesUnordered;
use futures::{StreamExt, TryStreamExt};
use tokio::sync::watch;
use tokio::task::AbortHandle;
use tokio::time::timeout;

use super::abi::igb_task;
use super::channel::{lock, Read, Run};
use super::leaves::scan_of;
use super::place::{collects, is_broadcast};
use crate::error::{Error, Result};
use crate::passing::{has_no_expressions, passes_on};
use crate::translate::from_join;

mod bloom;
mod equal;
mod keys;
mod noting;
mod sifting;
#[cfg(test)]
mod tests;

pub(super) use noting::NotesKeysExec;

use equal::Equal;
use keys::{can_travel, damaged, Keys, Over};
use sifting::{keys_of_rows, sifted};

/// How long a scan waits before it reads without a filter, which it prunes files by all the same once it
/// comes. A build side that takes longer was worth more than what the scan reads too much meanwhile.
const WAIT: Duration = Duration::from_secs(10);
/// A filter is looked at so often: who completes it tells those who wait, but for one that has just looked.
const LOOK: Duration = Duration::from_millis(100);

/// A filter as what it can do.
pub(super) fn dynamic(filter: Arc<dyn PhysicalExpr>) -> Option<Arc<DynamicFilterPhysicalExpr>> {
    (filter as Arc<dyn Any + Send + Sync>).downcast().ok()
}

fn id_of(filter: &Arc<DynamicFilterPhysicalExpr>) -> u64 {
    filter.expression_id().unwrap_or(0)
}

/// The keys that it is over.
fn keys_of(filter: &Arc<DynamicFilterPhysicalExpr>) -> Vec<Arc<dyn PhysicalExpr>> {
    filter.children().into_iter().map(Arc::clone).collect()
}

// ---- where the plan is cut ------------------------------------------------------------------

/// A stage and who runs its tasks.
struct Place {
    stage: usize,
    members: Vec<String>,
}

/// Names the members of the tasks of a stage: its plan, and how many they are.
type Route<'a> = &'a dyn Fn(&Arc<dyn ExecutionPlan>, usize) -> Vec<String>;

/// Has joins and scans of different stages that share a filter say so.
pub(super) fn cross(
    plan: Arc<dyn ExecutionPlan>,
    route: Route<'_>,
) -> DfResult<Arc<dyn ExecutionPlan>> {
    let (made, wanted, equal) = (HashMap::new(), HashMap::new(), Equal::default());
    let mut crossing = Crossing { route, made, wanted, equal };
    // The first stage has no tasks that could be asked.
    let first = Place { stage: 0, members: vec![] };
    crossing.rewrite(plan, &first)
}

struct Crossing<'a> {
    route: Route<'a>,
    /// Filters of the joins above.
    made: HashMap<u64, Arc<Wanted>>,
    /// The stages that want them.
    wanted: HashMap<u64, Vec<usize>>,
    equal: Equal,
}

impl Crossing<'_> {
    fn rewrite(
        &mut self,
        node: Arc<dyn ExecutionPlan>,
        place: &Place,
    ) -> DfResult<Arc<dyn ExecutionPlan>> {
        if node.children().is_empty() {
            return self.scan(node, place);
        }
        let below = match node.as_network_boundary().map(|boundary| boundary.input_stage()) {
            Some(Stage::Local(stage)) => {
                let members = (self.route)(&stage.plan, stage.tasks);
                Some(Place { stage: stage.num, members })
            }
            _ => None,
        };
        self.equal.look(&node, self.route);
        let made = made_by(&node, place);
        let id = made.as_ref().map(|made| id_of(&made.filter));
        if let (Some(id), Some(made)) = (id, made) {
            self.made.insert(id, Arc::new(made));
        }
        let children: Vec<_> = node.children().into_iter().map(Arc::clone).collect();
        let children =
            children.into_iter().map(|c| self.rewrite(c, below.as_ref().unwrap_or(place)));
        let mut children = children.collect::<DfResult<Vec<_>>>()?;
        let wanted = id.and_then(|id| self.wanted.remove(&id).zip(self.made.remove(&id)));
        if let Some((mut stages, made)) = wanted {
            stages.sort_unstable();
            stages.dedup();
            if let (Some(probe), Some(build)) = (children.pop(), children.pop()) {
                children.push(match build_keys_of(&node) {
                    Some(keys) => Arc::new(NotesKeysExec::new(build, keys, made.members.len())),
                    None => build,
                });
                children.push(Arc::new(GivesFilterExec {
                    input: probe,
                    filter: Arc::clone(&made.filter),
                    stages,
                }));
            }
        }
        if node.is::<BroadcastExec>() {
            let tasks = place.members.len();
            for (column, id) in self.equal.noted.remove(&place.stage).into_iter().flatten() {
                let Some(input) = children.pop() else { break };
                let notes = NotesKeysExec::new(input, vec![Arc::new(column)], tasks);
                children.push(Arc::new(notes.told_as(Some(id))));
            }
        }
        replace_children_if_necessary(node, children)
    }

    /// A scan of files with what it waits for.
    fn scan(
        &mut self,
        leaf: Arc<dyn ExecutionPlan>,
        place: &Place,
    ) -> DfResult<Arc<dyn ExecutionPlan>> {
        let spread = leaf.downcast_ref::<DistributedLeafExec>().map(DistributedLeafExec::original);
        // What runs where the rows are wanted has no task that could ask.
        if scan_of(spread.unwrap_or(&leaf)).is_none() || place.members.is_empty() {
            return Ok(leaf);
        }
        let mut ids = vec![];
        leaf.apply_expressions(&mut |root| {
            root.apply(|expr| {
                ids.extend(expr.expression_id());
                Ok(TreeNodeRecursion::Continue)
            })
        })?;
        ids.sort_unstable();
        ids.dedup();
        let mut waits_for = self.equal.wanted.remove(&place.stage).unwrap_or_default();
        for id in ids {
            let made = self.made.get(&id).filter(|made| made.stage != place.stage);
            let Some(made) = made else { continue };
            waits_for.push(Arc::clone(made));
            self.wanted.entry(id).or_default().push(place.stage);
        }
        match waits_for.is_empty() {
            true => Ok(leaf),
            false => Ok(Arc::new(AwaitsFiltersExec::new(leaf, waits_for))),
        }
    }
}

/// The filter of a join whose keys can travel.
fn made_by(node: &Arc<dyn ExecutionPlan>, place: &Place) -> Option<Wanted> {
    let join = node.downcast_ref::<HashJoinExec>()?;
    let filter = node.dynamic_expressions_produced().pop().and_then(dynamic)?;
    let schema = join.right().schema();
    let travels =
        |key: &Arc<dyn PhysicalExpr>| key.data_type(&schema).is_ok_and(|of| can_travel(&of));
    if join.null_aware || place.members.is_empty() || !keys_of(&filter).iter().all(travels) {
        return None;
    }
    let mut members = place.members.clone();
    if collects(node) && is_broadcast(join.left()) {
        // Each task has all of the build side. One that it reads itself may lack what filters of joins in
        // the same task leave out.
        members.truncate(1);
    }
    Some(Wanted { filter, schema, stage: place.stage, members, of_rows: false })
}

/// The keys of a join's build side; None where those of the other side are of other types, as then a key
/// is not noted as it is looked up.
fn build_keys_of(join: &Arc<dyn ExecutionPlan>) -> Option<Vec<Arc<dyn PhysicalExpr>>> {
    let join = join.downcast_ref::<HashJoinExec>()?;
    let (left, right) = (join.left().schema(), join.right().schema());
    let same = |(build, probe): &(Arc<dyn PhysicalExpr>, Arc<dyn PhysicalExpr>)| {
        let (build, probe) = (build.data_type(&left), probe.data_type(&right));
        build.is_ok_and(|build| probe.is_ok_and(|probe| build == probe))
    };
    let keys = join.on().iter();
    join.on().iter().all(same).then(|| keys.map(|(build, _)| Arc::clone(build)).collect())
}

/// A box of a tree has the name already.
fn name_unless_tree(
    node: &dyn ExecutionPlan,
    t: DisplayFormatType,
    f: &mut fmt::Formatter<'_>,
) -> fmt::Result {
    match t {
        DisplayFormatType::TreeRender => Ok(()),
        _ => write!(f, "{}: ", node.name()),
    }
}

// ---- a join's side --------------------------------------------------------------------------

/// Gives what its input gives, the side of a join that its filter is for. The join makes it only if
/// somebody below it wants it, which this node says.
#[derive(Debug)]
pub(super) struct GivesFilterExec {
    pub input: Arc<dyn ExecutionPlan>,
    pub filter: Arc<DynamicFilterPhysicalExpr>,
    /// Who wants it; only known where the plan was cut.
    pub stages: Vec<usize>,
}

impl DisplayAs for GivesFilterExec {
    fn fmt_as(&self, t: DisplayFormatType, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        name_unless_tree(self, t, f)?;
        write!(f, "to_stages={:?}", self.stages)
    }
}

impl ExecutionPlan for GivesFilterExec {
    fn name(&self) -> &str {
        "GivesFilterExec"
    }

    passes_on!();

    fn apply_expressions(
        &self,
        see: &mut dyn FnMut(&Arc<dyn PhysicalExpr>) -> DfResult<TreeNodeRecursion>,
    ) -> DfResult<TreeNodeRecursion> {
        let filter: Arc<dyn PhysicalExpr> = Arc::<DynamicFilterPhysicalExpr>::clone(&self.filter);
        see(&filter)
    }

    fn with_new_children(
        self: Arc<Self>,
        children: Vec<Arc<dyn ExecutionPlan>>,
    ) -> DfResult<Arc<dyn ExecutionPlan>> {
        let input = children.into_iter().next().unwrap_or_else(|| Arc::clone(&self.input));
        let (filter, stages) = (Arc::clone(&self.filter), self.stages.clone());
        Ok(Arc::new(GivesFilterExec { input, filter, stages }))
    }

    fn execute(
        &self,
        partition: usize,
        context: Arc<TaskContext>,
    ) -> DfResult<SendableRecordBatchStream> {
        self.input.execute(partition, context)
    }
}

/// What a reader names who wants the filter with this id: where readers of partitions name nothing.
fn head_of(id: u64) -> [u8; 8] {
    id.to_le_bytes()
}

/// The filter that a reader names; None where it names none.
pub(super) fn named(head: &[u8]) -> Result<Option<u64>> {
    match head {
        [] => Ok(None),
        head => Ok(Some(u64::from_le_bytes(head.try_into().map_err(|_| damaged())?))),
    }
}

/// What the join of this plan lets through, once it has all of its build side; or the keys that the plan
/// notes, once it has read all rows.
pub(super) async fn report(plan: &Arc<dyn ExecutionPlan>, id: u64) -> Result<RecordBatch> {
    let (mut found, mut notes) = (None, None);
    plan.apply(|node| {
        if node.downcast_ref::<NotesKeysExec>().is_some_and(|notes| notes.told_as == Some(id)) {
            notes = Some(Arc::clone(node));
            return Ok(TreeNodeRecursion::Stop);
        }
        let [build, probe] = node.children()[..] else { return Ok(TreeNodeRecursion::Continue) };
        let gives = probe.downcast_ref::<GivesFilterExec>();
        if let Some(gives) = gives.filter(|gives| id_of(&gives.filter) == id) {
            found = Some((Arc::clone(&gives.filter), gives.input.schema(), Arc::clone(build)));
            return Ok(TreeNodeRecursion::Stop);
        }
        Ok(TreeNodeRecursion::Continue)
    })?;
    if let Some(notes) = notes.as_ref().and_then(|node| node.downcast_ref::<NotesKeysExec>()) {
        let told = notes.all().await.map_or_else(Keys::everything, Keys::noted);
        return Ok(told.to_batch(&Over { keys: &notes.keys, schema: &notes.schema() })?);
    }
    let found = found.ok_or_else(|| Error::internal("a task has no such filter"))?;
    let (filter, schema, build) = found;
    while timeout(LOOK, filter.wait_complete()).await.is_err() {}
    let keys = keys_of(&filter);
    let over = Over { keys: &keys, schema: &schema };
    let mut told = Keys::of(&filter.current()?, &over);
    if let Some(noted) = build.downcast_ref::<NotesKeysExec>().and_then(NotesKeysExec::noted) {
        told = told.within(noted);
    }
    Ok(told.to_batch(&over)?)
}

// ---- a scan's side --------------------------------------------------------------------------

/// A filter of a join in another stage.
#[derive(Debug)]
pub(super) struct Wanted {
    pub filter: Arc<DynamicFilterPhysicalExpr>,
    /// What the filter is over: the join's side.
    pub schema: SchemaRef,
    pub stage: usize,
    /// Who runs the tasks of the stage that have parts of it, in their order.
    pub members: Vec<String>,
    /// It is over the rows that the scan gives, and the scan does not know of it.
    pub of_rows: bool,
}

/// Starts its input once the filters are there.
pub(super) struct AwaitsFiltersExec {
    pub input: Arc<dyn ExecutionPlan>,
    pub wanted: Vec<Arc<Wanted>>,
    /// Of the partitions that are being read.
    asking: Mutex<Weak<Asking>>,
    metrics: ExecutionPlanMetricsSet,
}

impl AwaitsFiltersExec {
    pub fn new(input: Arc<dyn ExecutionPlan>, wanted: Vec<Arc<Wanted>>) -> AwaitsFiltersExec {
        let metrics = ExecutionPlanMetricsSet::new();
        AwaitsFiltersExec { input, wanted, asking: Mutex::default(), metrics }
    }

    /// One for all partitions.
    fn ask(&self, run: Arc<Run>) -> Result<Arc<Asking>> {
        let mut asking = lock(&self.asking);
        if let Some(asking) = asking.upgrade() {
            return Ok(asking);
        }
        let keys_of_rows = |wanted: &Arc<Wanted>| {
            let keys = match wanted.of_rows {
                true => Some(keys_of(&wanted.filter)),
                false => keys_of_rows(&self.input, id_of(&wanted.filter)),
            };
            (Arc::clone(wanted), keys)
        };
        let wanted = self.wanted.iter().map(keys_of_rows).collect();
        let new = Arc::new(Asking::start(run, wanted, &self.metrics)?);
        *asking = Arc::downgrade(&new);
        Ok(new)
    }
}

impl fmt::Debug for AwaitsFiltersExec {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "AwaitsFiltersExec over {:?}", self.input)
    }
}

impl DisplayAs for AwaitsFiltersExec {
    fn fmt_as(&self, t: DisplayFormatType, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let stages: Vec<usize> = self.wanted.iter().map(|wanted| wanted.stage).collect();
        name_unless_tree(self, t, f)?;
        write!(f, "from_stages={stages:?}")
    }
}

impl ExecutionPlan for AwaitsFiltersExec {
    fn name(&self) -> &str {
        "AwaitsFiltersExec"
    }

    passes_on!();

    // Its input has them: who looks for a filter's users finds the scan.
    has_no_expressions!();

    fn with_new_children(
        self: Arc<Self>,
        children: Vec<Arc<dyn ExecutionPlan>>,
    ) -> DfResult<Arc<dyn ExecutionPlan>> {
        let input = children.into_iter().next().unwrap_or_else(|| Arc::clone(&self.input));
        Ok(Arc::new(AwaitsFiltersExec::new(input, self.wanted.clone())))
    }

    fn statistics_from_inputs(
        &self,
        inputs: &[Arc<Statistics>],
        _: &StatisticsArgs,
    ) -> DfResult<Arc<Statistics>> {
        let input = inputs.first().cloned();
        Ok(input.unwrap_or_else(|| Arc::new(Statistics::new_unknown(&self.schema()))))
    }

    fn execute(
        &self,
        partition: usize,
        context: Arc<TaskContext>,
    ) -> DfResult<SendableRecordBatchStream> {
        let run = context.session_config().get_extension::<Run>();
        let Some(run) = run.filter(|_| !self.input.is::<EmptyExec>()) else {
            return self.input.execute(partition, context);
        };
        let asking = self.ask(run)?;
        let left_out = MetricBuilder::new(&self.metrics).counter("rows_left_out", partition);
        let waited = MetricBuilder::new(&self.metrics).subset_time("filters_wait_time", partition);
        let input = Arc::clone(&self.input);
        let rows = async move {
            let timer = waited.timer();
            let tests = asking.told().await?;
            timer.done();
            let batch_rows = context.session_config().batch_size();
            let rows = input.execute(partition, context)?;
            let rows = sifted(rows, tests, batch_rows, left_out);
            // A filter that comes late is of use as long as somebody reads, and is asked for as long.
            Ok::<_, DataFusionError>(rows.inspect(move |_| {
                let _held = &asking;
            }))
        };
        let rows = futures::stream::once(rows).try_flatten();
        Ok(Box::pin(RecordBatchStreamAdapter::new(self.schema(), rows)))
    }

    fn metrics(&self) -> Option<MetricsSet> {
        Some(self.metrics.clone_inner())
    }
}

/// What is tested of each row that the scan gives.
type Tests = Vec<Arc<dyn PhysicalExpr>>;

/// What members have told so far.
struct Told {
    tests: Result<Tests>,
    is_all: bool,
}

/// Asks for filters until they are there, or nobody reads any more.
struct Asking {
    told: watch::Receiver<Told>,
    task: AbortHandle,
}

impl Drop for Asking {
    fn drop(&mut self) {
        self.task.abort();
    }
}

impl Asking {
    /// `wanted`: with the keys of each over the scan's rows, where they are among them.
    fn start(
        run: Arc<Run>,
        wanted: Vec<(Arc<Wanted>, Option<Vec<Arc<dyn PhysicalExpr>>>)>,
        metrics: &ExecutionPlanMetricsSet,
    ) -> Result<Asking> {
        let come = MetricBuilder::new(metrics).global_counter("filters_come");
        let (tell, told) = watch::channel(Told { tests: Ok(vec![]), is_all: false });
        let engine = run.engine()?;
        let task = engine.pools.cpu.spawn(async move {
            let (run, come) = (&run, &come);
            let each = wanted.iter().map(|(wanted, keys)| async move {
                Ok(match (learn(run, wanted, come).await?, keys) {
                    (Some(test), Some(keys)) => Some(over_rows(test, wanted, keys)?),
                    _ => None,
                })
            });
            let mut each: FuturesUnordered<_> = each.collect();
            while let Some(test) = each.next().await {
                tell.send_modify(|told| match (test, &mut told.tests) {
                    (Ok(test), Ok(tests)) => tests.extend(test),
                    (Err(error), tests) => *tests = Err(error),
                    (Ok(_), Err(_)) => {}
                });
            }
            tell.send_modify(|told| told.is_all = true);
        });
        Ok(Asking { told, task: task.abort_handle() })
    }

    /// All that can be waited for, or what has come after a while. Fails if a member has told what none
    /// tells.
    async fn told(&self) -> Result<Tests> {
        let mut told = self.told.clone();
        // It takes too long, or has panicked, as was told.
        let _ = timeout(WAIT, told.wait_for(|told| told.is_all || told.tests.is_err())).await;
        let tests = told.borrow().tests.clone();
        tests
    }
}

/// The same test of other keys.
fn over_rows(
    test: Arc<dyn PhysicalExpr>,
    wanted: &Wanted,
    keys: &[Arc<dyn PhysicalExpr>],
) -> Result<Arc<dyn PhysicalExpr>> {
    let of = keys_of(&wanted.filter);
    let moved = test.transform_down(|expr| {
        let at = of.iter().position(|key| key.as_ref() == expr.as_ref());
        Ok(match at.and_then(|at| keys.get(at)) {
            Some(key) => Transformed::new(Arc::clone(key), true, TreeNodeRecursion::Jump),
            None => Transformed::no(expr),
        })
    });
    Ok(moved.data()?)
}

/// Has the scan use what the tasks of the join say, if anything, which is counted in `come`. Gives what else
/// can be tested of each row.
async fn learn(
    run: &Arc<Run>,
    wanted: &Wanted,
    come: &Count,
) -> Result<Option<Arc<dyn PhysicalExpr>>> {
    let keys = keys_of(&wanted.filter);
    let over = Over { keys: &keys, schema: &wanted.schema };
    let tasks = wanted.members.iter().enumerate();
    let told = try_join_all(tasks.map(|(number, member)| async move {
        match read(run, member, wanted, number).await {
            Ok(batch) => Ok(Some(batch)),
            // Whoever reads its rows is told why. Only what was said wrong is told here.
            Err(_) => Ok::<_, Box<Error>>(None),
        }
    }));
    let mut all = Keys::nothing();
    for batch in told.await? {
        let Some(batch) = batch else { return Ok(None) };
        all = all.or(Keys::of_batch(&batch, &over)?);
    }
    let test = all.test(&over)?;
    let comes = test.is_some();
    if let Some(test) = test {
        wanted.filter.update(test)?;
    }
    wanted.filter.mark_complete();
    come.add(usize::from(comes));
    match comes {
        true => Ok(all.quick_test(&over)?),
        false => Ok(None),
    }
}

async fn read(run: &Arc<Run>, member: &str, wanted: &Wanted, number: usize) -> Result<RecordBatch> {
    let number_of = |number: usize| u32::try_from(number).map_err(|_| damaged());
    let (stage, number) = (number_of(wanted.stage)?, number_of(number)?);
    let task = igb_task { query_id: *run.query_id(), stage, number };
    let head = head_of(id_of(&wanted.filter));
    let (run, member) = (Arc::clone(run), member.to_string());
    let pools = run.engine()?.pools.clone();
    let start = move || Read::start(&run, &member, &task, 0, &head);
    let rows = pools.spawn_blocking(start).await.map_err(from_join)??;
    let batches: Vec<RecordBatch> = rows.try_collect().await?;
    let schema = batches.first().map_or_else(|| Arc::new(Schema::empty()), RecordBatch::schema);
    Ok(concat_batches(&schema, &batches)?)
}
