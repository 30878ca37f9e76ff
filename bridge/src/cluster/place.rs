//! What of a statement runs where.
//!
//! A plan is made for this process first, as ever. Where there are other members and it is worth it, dd
//! cuts it into stages: at hash repartitions, at broadcast sides of joins, and where partitions come
//! together. A stage runs in one task, or in one task on each member.
//!
//! Whatever cannot be cut stays here with a reason, which EXPLAIN tells. What a task of several would
//! do wrong is found twice: the counts below keep it out of such a stage, and `check` looks at the
//! result.
//!
//! Where a plan reads databases this process is the first of the members: see `databases`.

use std::borrow::Cow;
use std::collections::HashMap;
use std::fmt;
use std::sync::{Arc, OnceLock};

use async_trait::async_trait;
use datafusion::catalog::Session;
use datafusion::common::tree_node::{TreeNode, TreeNodeRecursion};
use datafusion::common::DFSchema;
use datafusion::error::Result as DfResult;
use datafusion::execution::context::QueryPlanner;
use datafusion::execution::{
    SendableRecordBatchStream, SessionState, SessionStateBuilder, TaskContext,
};
use datafusion::logical_expr::{EmptyRelation, LogicalPlan};
use datafusion::physical_expr::{Distribution, Partitioning, PhysicalExpr};
use datafusion::physical_plan::coalesce_partitions::CoalescePartitionsExec;
use datafusion::physical_plan::joins::{
    CrossJoinExec, HashJoinExec, NestedLoopJoinExec, PartitionMode,
};
use datafusion::physical_plan::limit::LocalLimitExec;
use datafusion::physical_plan::metrics::MetricsSet;
use datafusion::physical_plan::repartition::RepartitionExec;
use datafusion::physical_plan::scalar_subquery::ScalarSubqueryExec;
use datafusion::physical_plan::sorts::sort_preserving_merge::SortPreservingMergeExec;
use datafusion::physical_plan::stream::RecordBatchStreamAdapter;
use datafusion::physical_plan::{
    DisplayAs, DisplayFormatType, ExecutionPlan, ExecutionPlanProperties, PlanProperties,
    StatisticsArgs, StatisticsContext,
};
use datafusion::prelude::SessionConfig;
use datafusion_distributed::{
    DesiredTaskCountEvent, DesiredTaskCountEventResponse, DistributedConfig, DistributedExec,
    DistributedExt, DistributedLeafExec, NetworkBoundaryExt, NetworkBroadcastExec, RouteTasksEvent,
    RouteTasksEventResponse, ScaleUpLeafNodeEvent, ScaleUpLeafNodeEventResponse,
    SessionStateBuilderExt, Stage, WorkerResolver,
};
use futures::StreamExt;
use url::Url;

use super::channel::{url_of, Channels, Run};
use super::databases::{beside_files, parts_max, reading, reads_databases, shared, tasks_of};
use super::leaves::{can_spread, ranked, read_bytes, scan_of, variants};
use super::narrow::{narrowed, partitions_of};
use super::small::without_small;
use super::{codec, filters, single, windows, Member, Members};
use crate::abi::igb_file_id;
use crate::engine::EngineShared;
use crate::error::{Error, Result};
use crate::file_table::source::path_of;
use crate::passing::has_no_expressions;
use crate::remote::{is_scan, Execution};
use crate::session::task_of;

/// A task is worth this part of what makes a statement worth its members.
const TASKS_PER_STATEMENT: u64 = 4;
/// A side of a join that reads no more than this part of it is read by each task that has the join: as long
/// as that takes, a stage takes that reads nothing.
const SMALL_PER_STATEMENT: u64 = 64;

/// A physical plan and what was decided on it.
pub(crate) struct Placed {
    pub plan: Arc<dyn ExecutionPlan>,
    pub task: Arc<TaskContext>,
    /// Why it runs here alone; empty where nobody asks: there is nobody else, or it runs elsewhere.
    pub local: String,
}

/// A plan for this process alone, and what it runs in.
pub(crate) struct Local {
    pub plan: Arc<dyn ExecutionPlan>,
    pub task: Arc<TaskContext>,
}

/// What physical plans are made of.
#[derive(Clone, Copy)]
pub(crate) struct Logical<'a> {
    pub given: &'a LogicalPlan,
    pub optimized: &'a LogicalPlan,
    /// Where what is optimized for several members stays, of a plan that lasts.
    pub kept: Option<&'a OnceLock<LogicalPlan>>,
}

impl<'a> Logical<'a> {
    /// The optimized plan whose subqueries for a value are joins, as `state` says. None: one is no join.
    fn joined(self, state: &SessionState) -> Result<Option<Cow<'a, LogicalPlan>>> {
        if let Some(made) = self.kept.and_then(OnceLock::get) {
            return Ok(Some(Cow::Borrowed(made)));
        }
        let Ok(made) = state.optimize(&single::one_row_each(self.given)?) else { return Ok(None) };
        Ok(Some(match self.kept {
            Some(kept) => Cow::Borrowed(kept.get_or_init(|| made)),
            None => Cow::Owned(made),
        }))
    }
}

/// What the plan was made of.
struct Made<'a> {
    logical: Logical<'a>,
    state: &'a SessionState,
    plan: &'a Arc<dyn ExecutionPlan>,
}

/// Have other members run what they may of `local`, which `state` made of `logical`. On planning threads,
/// under the same token and execution. `measured`: for EXPLAIN ANALYZE.
pub(crate) fn distribute(
    engine: &Arc<EngineShared>,
    logical: Logical<'_>,
    state: &SessionState,
    local: Local,
    execution: Option<Arc<Execution>>,
    measured: bool,
) -> Result<Placed> {
    let Some(cluster) = engine.cluster() else { return Ok(local.stay(String::new())) };
    let Some(members) = Members::new(&cluster)? else { return Ok(local.stay(String::new())) };
    let run = Run::new(engine, &cluster, execution, measured);
    let made = Made { logical, state, plan: &local.plan };
    match spread(engine, &made, &members, &run) {
        Ok((plan, task)) => Ok(Placed { plan, task, local: String::new() }),
        Err(Stays::Because(reason)) => Ok(local.stay(reason)),
        Err(Stays::Failed(error)) => Err(error),
    }
}

impl Local {
    fn stay(self, reason: String) -> Placed {
        Placed { plan: self.plan, task: self.task, local: reason }
    }
}

enum Stays {
    Because(String),
    /// The statement fails, wherever it runs.
    Failed(Box<Error>),
}

impl Stays {
    fn because(reason: impl Into<String>) -> Stays {
        Stays::Because(reason.into())
    }
}

type Spread = (Arc<dyn ExecutionPlan>, Arc<TaskContext>);

fn spread(
    engine: &Arc<EngineShared>,
    local: &Made<'_>,
    members: &Members,
    run: &Arc<Run>,
) -> std::result::Result<Spread, Stays> {
    let all = shared(local.plan, &members.list);
    let bytes = files_bytes(engine, local.plan) + all.bytes;
    let least = members.cluster.functions().local_bytes;
    let reads_files = local.plan.exists(|node| Ok(scan_of(node).is_some())).unwrap_or(true);
    if !reads_files && all.readers < 2 {
        return Err(Stays::because("it reads no files"));
    }
    if bytes < least {
        return Err(Stays::because(format!("it reads {bytes} bytes, less than {least}")));
    }
    let (mut members, lacking) = chosen(local.plan, members)?;
    let shared = shared(local.plan, &members);
    let (plan, state) = remade(engine, local, run, members.len(), shared.readers)?;
    codec::sendable(engine, &plan).map_err(Stays::Because)?;
    let databases = reads_databases(&plan);
    if databases {
        let here = members.iter().position(|member| member.is_self);
        let here = here.ok_or_else(|| Stays::because("who reads its databases takes no tasks"))?;
        members[..=here].rotate_right(1);
    }
    let placement = Arc::new(Placement {
        engine: Arc::clone(engine),
        task_bytes: (least / TASKS_PER_STATEMENT).max(1),
        members,
        lacking,
        databases,
        kept: shared.kept,
        beside_files: beside_files(&plan),
    });
    let planned = state.config().target_partitions();
    let (plan, task) = cut(engine, plan, state, &placement, run).map_err(Stays::Failed)?;
    if !plan.is::<DistributedExec>() {
        return Err(Stays::because("nothing of it is worth another member"));
    }
    for child in plan.children() {
        check(child, 1).map_err(Stays::because)?;
        windows::check(child).map_err(Stays::because)?;
    }
    let plan = without_small(plan, least / SMALL_PER_STATEMENT, &|scan| read_bytes(engine, scan))
        .map_err(|error| Stays::Failed(error.into()))?;
    let partitions = partitions_of(&placement.members);
    let plan = match partitions < planned {
        true => narrowed(&plan, 1, partitions).map_err(|error| Stays::Failed(error.into()))?,
        false => plan,
    };
    let route = |stage: &Arc<dyn ExecutionPlan>, tasks| {
        placement.route(stage, tasks).into_iter().map(|member| member.id.clone()).collect()
    };
    let plan = filters::cross(plan, &route).map_err(|error| Stays::Failed(error.into()))?;
    let plan = Arc::new(ClusterExec { inner: plan, run: Arc::clone(run), placement });
    Ok((plan, task))
}

const CONNECTIONS: &str = "it reads a database in more parts than it can have connections";

/// The plan as several members can run it. Its subqueries that are one value are joins: an operator that
/// asks them first would have to be in every task. And there is a connection for each part of a database.
fn remade(
    engine: &Arc<EngineShared>,
    local: &Made<'_>,
    run: &Run,
    members: usize,
    readers: usize,
) -> std::result::Result<(Arc<dyn ExecutionPlan>, SessionState), Stays> {
    let mut state = local.state.clone();
    let subqueries = local.plan.exists(|node| Ok(node.is::<ScalarSubqueryExec>())).unwrap_or(true);
    let mut parts = parts_max(local.plan);
    let more = readers > state.config().target_partitions();
    // What has one partition sees all rows, and is in one task.
    let alone = state.config().target_partitions() < PARTITIONS_MIN;
    if alone {
        state.config_mut().options_mut().execution.target_partitions = PARTITIONS_MIN;
    }
    // Each task is sent all of such a side and makes a table of it.
    let optimizer = &mut state.config_mut().options_mut().optimizer;
    let side = optimizer.hash_join_single_partition_threshold / members.max(1);
    optimizer.hash_join_single_partition_threshold = side;
    optimizer.hash_join_single_partition_threshold_rows = side / SIDE_ROW_BYTES;
    let joins = local.plan.exists(|node| Ok(collects_more(node, side))).unwrap_or(true);
    if !subqueries && parts.is_none() && !more && !joins && !alone {
        return Ok((Arc::clone(local.plan), state));
    }
    if let (true, Some(execution)) = (more, run.execution()) {
        execution.want_parts(readers);
    }
    let mut logical = Cow::Borrowed(local.logical.optimized);
    let no_join = || Stays::because("it has a subquery that is no join");
    if subqueries {
        let optimizer = &mut state.config_mut().options_mut().optimizer;
        optimizer.enable_physical_uncorrelated_scalar_subquery = false;
        let joined = local.logical.joined(&state).map_err(Stays::Failed)?;
        logical = joined.ok_or_else(no_join)?;
    }
    for _ in 0..PLANNED_MAX {
        match (parts, run.execution()) {
            (Some(0), _) => break,
            (Some(parts), Some(execution)) => execution.limit_parts(parts),
            _ => {}
        }
        let planner = Arc::clone(state.query_planner());
        let planned = engine.pools.cpu.block_on(planner.create_physical_plan(&logical, &state));
        // It has been planned the other way.
        let plan = planned.map_err(|_| no_join())?;
        parts = parts_max(&plan);
        if parts.is_none() {
            return Ok((plan, state));
        }
    }
    Err(Stays::because(CONNECTIONS))
}

/// Of a plan for several members, however few threads this process has.
const PARTITIONS_MIN: usize = 2;
/// A row of the smaller side of a join as it is sent, at least.
const SIDE_ROW_BYTES: usize = 16;
/// More parts, then fewer: how many there are is known only afterwards.
const PLANNED_MAX: usize = 2;

/// Whether a join has all of a side in one place that is larger than `side`.
fn collects_more(node: &Arc<dyn ExecutionPlan>, side: usize) -> bool {
    let Some(join) = node.downcast_ref::<HashJoinExec>().filter(|_| collects(node)) else {
        return false;
    };
    let known = StatisticsContext::new().compute(&**join.left(), &StatisticsArgs::new());
    let fits = known.is_ok_and(|known| match known.total_byte_size.get_value() {
        Some(bytes) => *bytes < side,
        None => known.num_rows.get_value().is_some_and(|rows| *rows < side / SIDE_ROW_BYTES),
    });
    !fits
}

/// Of files, as far as their footers tell.
fn files_bytes(engine: &EngineShared, plan: &Arc<dyn ExecutionPlan>) -> u64 {
    let mut bytes = 0;
    let _ = plan.apply(|node| {
        bytes += scan_of(node).map_or(0, |scan| read_bytes(engine, scan));
        Ok(TreeNodeRecursion::Continue)
    });
    bytes
}

/// The members that have all of the plan's files, the most wanted first, and what the others lack.
fn chosen(
    plan: &Arc<dyn ExecutionPlan>,
    members: &Members,
) -> std::result::Result<(Vec<Member>, String), Stays> {
    let mut files: Vec<(String, igb_file_id)> = vec![];
    let walked = plan.apply(|node| {
        for file in
            scan_of(node).into_iter().flat_map(|scan| &scan.file_groups).flat_map(|g| g.iter())
        {
            let meta = &file.object_meta;
            let mtime_ns = meta.last_modified.timestamp_nanos_opt().unwrap_or(0);
            files.push((path_of(file), igb_file_id { size: meta.size, mtime_ns, inode: 0 }));
        }
        Ok(TreeNodeRecursion::Continue)
    });
    walked.map_err(|error| Stays::Failed(error.into()))?;
    files.sort_by(|(a, _), (b, _)| a.cmp(b));
    files.dedup_by(|(a, _), (b, _)| a == b);
    let (has, lacking) = members.with_files(&files).map_err(Stays::Failed)?;
    let able = members.list.iter().zip(has).filter(|(member, has)| *has || member.is_self);
    let able: Vec<Member> = able.map(|(member, _)| member.clone()).collect();
    if able.iter().all(|member| member.is_self) {
        let reason = if lacking.is_empty() { "no other member has its files" } else { &lacking };
        return Err(Stays::because(reason));
    }
    let what = files.first().map_or("", |(path, _)| path.as_str());
    let ranked: Vec<Member> = ranked(what, 0, &able).into_iter().cloned().collect();
    let taken = of_hosts(&ranked, members.cluster.functions().host_members as usize);
    let left = ranked.len() - taken.len();
    let lacking = match lacking.is_empty() && left > 0 {
        true => format!("{left} more are on hosts whose processors have tasks"),
        false => lacking,
    };
    Ok((taken, lacking))
}

/// The members that take part where those of a host share its processors: more tasks than those only add
/// rows that change processes. This process does, and of the others the first.
fn of_hosts(ranked: &[Member], host_members: usize) -> Vec<Member> {
    let places = |host: u32| {
        let all = ranked.iter().filter(|member| member.host == host);
        match (host_members, all.map(|member| member.processors as usize).max().unwrap_or(0)) {
            (0, 0) => usize::MAX,
            (0, processors) => processors.max(HOST_MEMBERS_MIN),
            (set, _) => set,
        }
    };
    let mut left: HashMap<u32, usize> = HashMap::new();
    for member in ranked {
        left.entry(member.host).or_insert_with(|| places(member.host));
    }
    let mut take = |member: &Member| match left.get_mut(&member.host) {
        Some(places @ 1..) => {
            *places -= 1;
            true
        }
        _ => false,
    };
    let here = ranked.iter().any(|member| member.is_self && take(member));
    let taken = |member: &&Member| if member.is_self { here } else { take(member) };
    ranked.iter().filter(taken).cloned().collect()
}

/// So that a host of one processor has what it was given several members for.
const HOST_MEMBERS_MIN: usize = 2;

// ---- dd -------------------------------------------------------------------------------------

/// Who does what of one statement.
pub(super) struct Placement {
    engine: Arc<EngineShared>,
    /// What a task reads at least.
    task_bytes: u64,
    /// A stage of several tasks has its first task on the first of them.
    members: Vec<Member>,
    /// Why others are not among them; empty where all are.
    pub lacking: String,
    /// It reads databases, and the first member is this process.
    databases: bool,
    /// Why it alone reads what several could; empty where that is not so.
    pub kept: &'static str,
    beside_files: Vec<Arc<dyn ExecutionPlan>>,
}

impl fmt::Debug for Placement {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Placement").field("members", &self.members).finish()
    }
}

impl Placement {
    fn count(&self, plan: &Arc<dyn ExecutionPlan>) -> Option<DesiredTaskCountEventResponse> {
        if !plan.children().is_empty() {
            let alone = must_be_alone(plan);
            return alone.then(|| DesiredTaskCountEventResponse::maximum(1));
        }
        if is_scan(plan) {
            if let Some(tasks) = tasks_of(plan, &self.members) {
                return Some(DesiredTaskCountEventResponse::desired(tasks));
            }
            let same = |scan: &Arc<dyn ExecutionPlan>| {
                std::ptr::addr_eq(Arc::as_ptr(scan), Arc::as_ptr(plan))
            };
            let beside = self.beside_files.iter().any(same);
            return beside.then(|| DesiredTaskCountEventResponse::desired(1));
        }
        let scan = scan_of(plan).filter(|scan| can_spread(scan))?;
        let tasks =
            usize::try_from(read_bytes(&self.engine, scan) / self.task_bytes).unwrap_or(usize::MAX);
        Some(DesiredTaskCountEventResponse::desired(tasks.clamp(1, self.members.len())))
    }

    /// The members of the tasks of a stage.
    pub fn route(&self, plan: &Arc<dyn ExecutionPlan>, tasks: usize) -> Vec<&Member> {
        if tasks == 1 {
            return vec![self.one(plan)];
        }
        self.members.iter().cycle().take(tasks).collect()
    }

    /// Who reads the databases; nobody where there are none.
    pub fn databases(&self, plan: &Arc<dyn ExecutionPlan>) -> Vec<&str> {
        if !self.databases {
            return vec![];
        }
        let reading = reading(plan, self.members.len()).into_iter().zip(&self.members);
        reading.filter(|(reads, _)| *reads).map(|(_, member)| member.id.as_str()).collect()
    }

    /// A single scan goes where its file was read before, all else stays here, and so does what reads a
    /// database.
    fn one(&self, plan: &Arc<dyn ExecutionPlan>) -> &Member {
        let (mut file, mut database) = (None, false);
        let _ = plan.apply(|node| {
            let groups = scan_of(node).into_iter().flat_map(|scan| &scan.file_groups);
            let first = groups.flat_map(|group| group.iter()).map(path_of).next();
            file = file.take().or(first);
            database = database || is_scan(node);
            Ok(match node.is_network_boundary() {
                true => TreeNodeRecursion::Jump,
                false => TreeNodeRecursion::Continue,
            })
        });
        let file = file.filter(|_| !database);
        let by_file = file.and_then(|file| ranked(&file, 0, &self.members).first().copied());
        let here = || self.members.iter().find(|member| member.is_self);
        by_file.or_else(here).unwrap_or(&self.members[0])
    }
}

impl WorkerResolver for Placement {
    fn get_urls(&self) -> DfResult<Vec<Url>> {
        self.members.iter().map(|member| Ok(url_of(&member.id)?)).collect()
    }
}

/// The plan that dd is to cut.
struct Whole(Arc<dyn ExecutionPlan>);

/// dd plans what another planner gives it: this one gives what there is.
#[derive(Debug)]
struct Given;

#[async_trait]
impl QueryPlanner for Given {
    async fn create_physical_plan(
        &self,
        _: &LogicalPlan,
        session: &dyn Session,
    ) -> DfResult<Arc<dyn ExecutionPlan>> {
        match session.config().get_extension::<Whole>() {
            Some(whole) => Ok(Arc::clone(&whole.0)),
            None => Err(Error::internal("there is no plan to cut").into()),
        }
    }
}

type Planner = Arc<dyn QueryPlanner + Send + Sync>;

/// dd's planner, which is to be had from a session only.
fn planner() -> &'static Planner {
    static PLANNER: OnceLock<Planner> = OnceLock::new();
    PLANNER.get_or_init(|| {
        let builder = SessionStateBuilder::new().with_query_planner(Arc::new(Given));
        Arc::clone(builder.with_distributed_planner().build().query_planner())
    })
}

/// The settings of dd, and what it asks us.
fn configure(
    config: &mut SessionConfig,
    placement: &Arc<Placement>,
    run: &Arc<Run>,
) -> DfResult<()> {
    let mut settings = DistributedConfig::default();
    // A UNION's branches in tasks of their own would make other tasks of its scans.
    settings.children_isolator_unions = false;
    settings.compression = "none".to_string();
    settings.collect_metrics = run.measured;
    config.set_distributed_option_extension(settings);
    config.set_distributed_worker_resolver(Arc::clone(placement) as Arc<dyn WorkerResolver>);
    config.set_distributed_channel_resolver(Channels(Arc::clone(run)));
    let ours = Arc::clone(placement);
    config.set_distributed_desired_task_count_handler(move |event: DesiredTaskCountEvent<'_>| {
        ours.count(event.plan).map(Ok)
    });
    let ours = Arc::clone(placement);
    config.set_distributed_scale_up_leaf_node_handler(move |event: ScaleUpLeafNodeEvent<'_>| {
        if event.task_count == 1 {
            return None;
        }
        let spread = variants(&ours.engine, event.plan, ours.members.get(..event.task_count)?)?;
        Some(spread.map(ScaleUpLeafNodeEventResponse::new))
    });
    let ours = Arc::clone(placement);
    config.set_distributed_route_tasks_handler(move |event: RouteTasksEvent<'_>| {
        let members = ours.route(event.plan, event.task_count).into_iter();
        let urls: DfResult<Vec<Url>> = members.map(|member| Ok(url_of(&member.id)?)).collect();
        Some(urls.map(RouteTasksEventResponse::new))
    });
    Ok(())
}

fn cut(
    engine: &EngineShared,
    plan: Arc<dyn ExecutionPlan>,
    mut state: SessionState,
    placement: &Arc<Placement>,
    run: &Arc<Run>,
) -> Result<Spread> {
    configure(state.config_mut(), placement, run)?;
    let task = task_of(&state);
    state.config_mut().set_extension(Arc::new(Whole(plan)));
    let nothing = EmptyRelation { produce_one_row: false, schema: Arc::new(DFSchema::empty()) };
    let nothing = LogicalPlan::EmptyRelation(nothing);
    let plan = engine.pools.cpu.block_on(planner().create_physical_plan(&nothing, &state))?;
    Ok((plan, task))
}

// ---- what is right in several tasks ---------------------------------------------------------

/// Whether the operator sees all rows of its input in one place, or all rows of a key, because the plan
/// has only one: in several tasks each would see a part.
fn must_be_alone(plan: &Arc<dyn ExecutionPlan>) -> bool {
    // dd puts the boundary below these itself.
    if plan.is::<CoalescePartitionsExec>() || plan.is::<SortPreservingMergeExec>() {
        return false;
    }
    let single = plan.output_partitioning().partition_count() == 1;
    if single && (plan.fetch().is_some() || plan.is::<LocalLimitExec>()) {
        return true;
    }
    let requirements = plan.input_distribution_requirements();
    let children = plan.children();
    requirements.into_per_child().into_iter().zip(children).enumerate().any(
        |(at, (wanted, child))| {
            let gives = child.output_partitioning().clone();
            match wanted {
                Distribution::SinglePartition => !(at == 0 && collects(plan)),
                Distribution::UnspecifiedDistribution => false,
                _ => !matches!(gives, Partitioning::Hash(_, count) if count > 1),
            }
        },
    )
}

/// A join that has all of its first input in each task: dd broadcasts it, or makes one task of it.
pub(super) fn collects(plan: &Arc<dyn ExecutionPlan>) -> bool {
    let hash = plan.downcast_ref::<HashJoinExec>();
    hash.is_some_and(|join| *join.partition_mode() == PartitionMode::CollectLeft)
        || plan.is::<NestedLoopJoinExec>()
        || plan.is::<CrossJoinExec>()
}

/// Looks at each stage of several tasks: every leaf is one for each task, and no operator sees a part
/// where it needs the whole.
fn check(plan: &Arc<dyn ExecutionPlan>, tasks: usize) -> std::result::Result<(), String> {
    if let Some(spread) = plan.downcast_ref::<RepartitionExec>() {
        // Tasks are read as their rows come, also where each has one partition, in order.
        let kept = tasks > 1
            && spread.maintains_input_order() == [true]
            && spread.input().output_ordering().is_some();
        if kept || spread.preserve_order() {
            return Err("rows in order would be spread".to_string());
        }
    }
    if let Some(boundary) = plan.as_network_boundary() {
        return match boundary.input_stage() {
            Stage::Local(stage) => check(&stage.plan, stage.tasks),
            Stage::Remote(_) => Err("a stage is elsewhere already".to_string()),
        };
    }
    if tasks > 1 {
        if plan.children().is_empty() {
            let leaf = plan.downcast_ref::<DistributedLeafExec>();
            if leaf.is_none_or(|leaf| leaf.variants().len() != tasks) {
                return Err(format!("{} cannot be in several tasks", plan.name()));
            }
        }
        if must_be_alone(plan) || plan.is::<CoalescePartitionsExec>() && !is_broadcast(plan) {
            return Err(format!("{} needs all rows in one task", plan.name()));
        }
        if collects(plan) && !plan.children().first().is_some_and(|child| is_broadcast(child)) {
            return Err(format!("{} has a side that is not sent to all tasks", plan.name()));
        }
    }
    plan.children().into_iter().try_for_each(|child| check(child, tasks))
}

/// All rows of a broadcast, in one partition.
pub(super) fn is_broadcast(plan: &Arc<dyn ExecutionPlan>) -> bool {
    plan.is::<CoalescePartitionsExec>()
        && plan.children().first().is_some_and(|child| child.is::<NetworkBroadcastExec>())
}

// ---- the root -------------------------------------------------------------------------------

/// The root of a plan that runs on several members. Ends when a task fails, whoever reads from it.
#[derive(Debug)]
pub(crate) struct ClusterExec {
    inner: Arc<dyn ExecutionPlan>,
    run: Arc<Run>,
    pub(super) placement: Arc<Placement>,
}

impl ClusterExec {
    pub fn inner(&self) -> &Arc<dyn ExecutionPlan> {
        &self.inner
    }

    /// The same over another plan.
    pub fn with(&self, inner: Arc<dyn ExecutionPlan>) -> Arc<dyn ExecutionPlan> {
        let (run, placement) = (Arc::clone(&self.run), Arc::clone(&self.placement));
        Arc::new(ClusterExec { inner, run, placement })
    }
}

impl DisplayAs for ClusterExec {
    fn fmt_as(&self, t: DisplayFormatType, f: &mut fmt::Formatter) -> fmt::Result {
        let members = self.placement.members.len();
        match t {
            DisplayFormatType::TreeRender => write!(f, "members={members}"),
            _ => write!(f, "ClusterExec: members={members}"),
        }
    }
}

impl ExecutionPlan for ClusterExec {
    fn name(&self) -> &str {
        "ClusterExec"
    }

    fn properties(&self) -> &Arc<PlanProperties> {
        self.inner.properties()
    }

    fn children(&self) -> Vec<&Arc<dyn ExecutionPlan>> {
        vec![&self.inner]
    }

    has_no_expressions!();

    fn with_new_children(
        self: Arc<Self>,
        children: Vec<Arc<dyn ExecutionPlan>>,
    ) -> DfResult<Arc<dyn ExecutionPlan>> {
        let inner = children.into_iter().next();
        Ok(self.with(inner.unwrap_or_else(|| Arc::clone(&self.inner))))
    }

    fn execute(
        &self,
        partition: usize,
        context: Arc<TaskContext>,
    ) -> DfResult<SendableRecordBatchStream> {
        let rows = self.inner.execute(partition, context)?;
        let run = Arc::clone(&self.run);
        let failed = Box::pin(async move { run.failure().await });
        let next = |(rows, failed)| async move {
            let (mut rows, mut failed): (Option<SendableRecordBatchStream>, _) = (rows, failed);
            let Some(stream) = &mut rows else { return None };
            let next = tokio::select! {
                biased;
                error = &mut failed => Some(Err(Box::<Error>::into(error))),
                next = stream.next() => next,
            };
            match next {
                Some(Ok(batch)) => Some((Ok(batch), (rows, failed))),
                Some(Err(error)) => Some((Err(error), (None, failed))),
                None => None,
            }
        };
        let stream = futures::stream::unfold((Some(rows), failed), next);
        Ok(Box::pin(RecordBatchStreamAdapter::new(self.schema(), stream)))
    }

    fn metrics(&self) -> Option<MetricsSet> {
        None
    }
}
