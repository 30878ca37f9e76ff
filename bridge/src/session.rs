//! `igb_session`: the settings a statement is planned under. Immutable; a SET makes a new one.

use std::collections::HashMap;
use std::num::NonZeroUsize;
use std::ops::Deref;
use std::sync::{Arc, Mutex, Weak};

use datafusion::arrow::array::timezone::Tz;
use datafusion::catalog::MemoryCatalogProviderList;
use datafusion::common::config::ConfigNonZeroUsize;
use datafusion::config::SpillCompression;
use datafusion::execution::runtime_env::RuntimeEnv;
use datafusion::execution::{SessionState, SessionStateBuilder, TaskContext};
use datafusion::logical_expr::registry::FunctionRegistry;
use datafusion::optimizer::{Analyzer, Optimizer};
use datafusion::physical_optimizer::optimizer::PhysicalOptimizer;
use datafusion::prelude::SessionConfig;

use crate::abi::{boundary, boundary_void, igb_engine_options, igb_error, igb_session_options};
use crate::arithmetic::CheckedArithmetic;
use crate::comparing::Comparing;
use crate::damaged::TellDamage;
use crate::engine::{igb_engine, parser_depth, to_usize, EngineShared};
use crate::error::{Error, Result, Status};
use crate::grouping::GroupingColumns;
use crate::late_rows::LateRows;
use crate::names::DerivedNames;
use crate::remote::PlanRemote;
use crate::sorted::Sorted;
use crate::time_text::{self, TimeText};
use crate::yielding::Yielding;
use crate::{dialect, functions, names_twice, rules, session_functions, volatile_filters};

/// The largest build side of a join that is not partitioned, and what a row of it is taken for
/// where only the rows are known.
const BUILD_SIDE_BYTES: usize = 100 << 20;
const BUILD_SIDE_ROW_BYTES: usize = 10;

/// What plans and queries keep of a session.
#[derive(Debug)]
pub(crate) struct SessionShared {
    pub engine: Arc<EngineShared>,
    /// Functions, rules and configuration; cloned per execution for its own now().
    pub state: SessionState,
    /// Copies of the state that no execution has: copying its maps of functions takes longer than
    /// planning a small statement.
    spare: Mutex<Vec<SessionState>>,
    /// What operators run in.
    pub task: Arc<TaskContext>,
    /// igloo.views: results keep utf8_view and binary_view.
    pub views: bool,
}

/// More statements than this are seldom planned at the same time under the same settings.
const SPARE_STATES_MAX: usize = 4;

/// What a session is made of, besides the engine. Sessions of the same settings share all they have: its
/// maps of functions are as large as thousands of plans.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
struct Settings {
    time_zone: String,
    views: bool,
    user: String,
    catalog: String,
    schema: String,
    target_partitions: u32,
}

impl Settings {
    /// # Safety
    /// `options` is valid.
    unsafe fn new(options: &igb_session_options) -> Result<Settings> {
        unsafe {
            Ok(Settings {
                time_zone: options.time_zone.text()?.to_string(),
                views: options.views,
                user: options.user.text()?.to_string(),
                catalog: options.catalog.text()?.to_string(),
                schema: options.schema.text()?.to_string(),
                target_partitions: options.target_partitions,
            })
        }
    }
}

/// The sessions that there are, by their settings.
#[derive(Debug, Default)]
pub(crate) struct Sessions(Mutex<HashMap<Settings, Weak<SessionShared>>>);

impl Sessions {
    fn find(&self, settings: &Settings) -> Option<Arc<SessionShared>> {
        self.0.lock().ok()?.get(settings)?.upgrade()
    }

    fn add(&self, settings: Settings, session: &Arc<SessionShared>) {
        let Ok(mut sessions) = self.0.lock() else { return };
        sessions.retain(|_, session| session.strong_count() > 0);
        sessions.insert(settings, Arc::downgrade(session));
    }
}

/// Settings; immutable once made: a SET makes a new one (cheap).
pub struct igb_session {
    pub(crate) shared: Arc<SessionShared>,
}

impl SessionShared {
    /// A state for one execution: now() is the moment of this call.
    pub fn execution_state(&self) -> ExecutionState<'_> {
        let spare = self.spare.lock().ok().and_then(|mut spare| spare.pop());
        let mut state = spare.unwrap_or_else(|| self.state.clone());
        state.mark_start_execution();
        ExecutionState { session: self, state: Some(state) }
    }
}

/// A session's state, lent to one execution.
pub(crate) struct ExecutionState<'a> {
    session: &'a SessionShared,
    /// None only while it is given back.
    state: Option<SessionState>,
}

impl Deref for ExecutionState<'_> {
    type Target = SessionState;

    fn deref(&self) -> &SessionState {
        self.state.as_ref().unwrap_or(&self.session.state)
    }
}

impl Drop for ExecutionState<'_> {
    fn drop(&mut self) {
        let Ok(mut spare) = self.session.spare.lock() else { return };
        if spare.len() < SPARE_STATES_MAX {
            spare.extend(self.state.take());
        }
    }
}

/// Operators ask for no function by its name: a task needs no copy of the maps of them.
pub(crate) fn task_of(state: &SessionState) -> Arc<TaskContext> {
    Arc::new(TaskContext::new(
        None,
        state.session_id().to_string(),
        state.config().clone(),
        HashMap::new(),
        HashMap::new(),
        HashMap::new(),
        HashMap::new(),
        Arc::clone(state.runtime_env()),
    ))
}

/// The state that all sessions of an engine start from.
///
/// # Safety
/// `options` is valid.
pub(crate) fn base_state(
    runtime_env: &Arc<RuntimeEnv>,
    options: &igb_engine_options,
) -> Result<SessionState> {
    let partitions = options.cpu_threads.max(1) as usize;
    let mut config = SessionConfig::new()
        .with_target_partitions(partitions)
        .with_information_schema(false) // C answers it
        .with_create_default_catalog_and_schema(false) // no name is DataFusion's
        .with_collect_statistics(true);
    let tuned = config.options_mut();
    if let Some(rows) = NonZeroUsize::new(options.batch_rows as usize) {
        tuned.execution.batch_size = ConfigNonZeroUsize::try_new(rows.get())?;
    }
    tuned.sql_parser.recursion_limit =
        ConfigNonZeroUsize::try_new(parser_depth(options.sql_nesting))?;
    dialect::apply_config(tuned);
    tuned.sql_parser.parse_float_as_decimal = true; // 0.1 + 0.2 = 0.3
    tuned.execution.time_zone = Some("+00:00".to_string());
    tuned.execution.planning_concurrency = partitions;
    tuned.execution.spill_compression = SpillCompression::Lz4Frame;
    // One process: a build side of this size is read by all partitions sooner than it is cut into
    // them.
    let build_side = (to_usize(options.pool_bytes) / 8).min(BUILD_SIDE_BYTES);
    tuned.optimizer.hash_join_single_partition_threshold = build_side;
    tuned.optimizer.hash_join_single_partition_threshold_rows = build_side / BUILD_SIDE_ROW_BYTES;
    // A file for each batch that a repartition spills. In a larger one two inputs write side by side, and
    // the reader, who takes files in the order of their making, waits for the end of the first while
    // the batch it was promised lies in the second: nobody moves any more.
    tuned.execution.max_spill_file_size_bytes = ConfigNonZeroUsize::try_new(1)?;
    // Reserved by every sort in every partition, whether it spills or not: at most an eighth of
    // the pool for one sort.
    let share = to_usize(options.pool_bytes) / (8 * partitions);
    tuned.execution.sort_spill_reservation_bytes = share.clamp(64 << 10, 10 << 20);

    let mut analyzer = Analyzer::new().rules;
    analyzer.insert(0, Arc::new(GroupingColumns));
    analyzer.insert(1, Arc::new(Comparing));
    analyzer.push(Arc::new(TimeText));
    analyzer.push(Arc::new(CheckedArithmetic));
    let mut physical = names_twice::known(PhysicalOptimizer::new().rules);
    physical.insert(0, Arc::new(PlanRemote));
    // After the dynamic filters are where they belong, before the last check.
    physical.insert(physical.len().saturating_sub(1), Arc::new(LateRows));
    physical.insert(physical.len().saturating_sub(1), Arc::new(Sorted));
    physical.push(Arc::new(TellDamage));
    physical.push(Arc::new(Yielding));
    let builder = SessionStateBuilder::new()
        .with_config(config)
        .with_runtime_env(Arc::clone(runtime_env))
        .with_catalog_list(Arc::new(MemoryCatalogProviderList::new()))
        .with_default_features()
        .with_relation_planners(vec![Arc::new(DerivedNames)])
        .with_analyzer_rules(rules::analyzer(analyzer))
        .with_optimizer_rules(rules::optimizer(volatile_filters::keep(Optimizer::new().rules)))
        .with_physical_optimizer_rules(rules::physical(physical));
    let mut state = functions::register(builder).build();
    state.register_udf(time_text::function())?;
    Ok(state)
}

fn new_session(engine: &Arc<EngineShared>, settings: &Settings) -> Result<SessionShared> {
    let time_zone = settings.time_zone.as_str();
    let target_partitions = match settings.target_partitions {
        0 => engine.cpu_threads,
        given => given as usize,
    };
    let mut state = engine.base.clone();
    let tuned = state.config_mut().options_mut();
    tuned.execution.target_partitions = target_partitions;
    if !time_zone.is_empty() {
        if time_zone.parse::<Tz>().is_err() {
            return Err(Error::new(
                Status::InvalidArgument,
                "22023",
                format!("invalid value for parameter \"time_zone\": \"{time_zone}\""),
            )
            .with_hint("Give a name such as Europe/Berlin, or an offset such as +02:00."));
        }
        tuned.execution.time_zone = Some(time_zone.to_string());
    }
    let Settings { user, catalog, schema, .. } = settings;
    for function in session_functions::all(&engine.version, user, catalog, schema) {
        state.register_udf(function)?;
    }
    Ok(SessionShared {
        engine: Arc::clone(engine),
        spare: Mutex::default(),
        task: task_of(&state),
        state,
        views: settings.views,
    })
}

/// Make a session. Returns 0 and gives *ret_session (igb_session_free); INVALID_ARGUMENT for an
/// unknown time zone.
///
/// # Safety
/// All pointers are valid; `ret_error` may be NULL.
#[no_mangle]
pub unsafe extern "C" fn igb_session_new(
    engine: *mut igb_engine,
    options: *const igb_session_options,
    ret_session: *mut *mut igb_session,
    ret_error: *mut igb_error,
) -> i32 {
    unsafe {
        boundary(ret_error, || {
            let engine = &(*engine).shared;
            let settings = Settings::new(&*options)?;
            let shared = match engine.sessions.find(&settings) {
                Some(shared) => shared,
                None => {
                    let shared = Arc::new(new_session(engine, &settings)?);
                    engine.sessions.add(settings, &shared);
                    shared
                }
            };
            ret_session.write(Box::into_raw(Box::new(igb_session { shared })));
            Ok(())
        })
    }
}

/// Plans and queries keep what they need. NULL is allowed.
///
/// # Safety
/// `session` is NULL or came from igb_session_new and is not used again.
#[no_mangle]
pub unsafe extern "C" fn igb_session_free(session: *mut igb_session) {
    if !session.is_null() {
        boundary_void(|| drop(unsafe { Box::from_raw(session) }));
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::smoke::{new_engine, session_in};

    fn shared(session: *mut igb_session) -> Arc<SessionShared> {
        Arc::clone(unsafe { &(*session).shared })
    }

    #[test]
    fn sessions_of_the_same_settings_share_what_they_have_as_long_as_one_lives() {
        let engine = new_engine();
        let [one, two, other] =
            ["Europe/Berlin", "Europe/Berlin", "UTC"].map(|zone| session_in(engine, zone));
        assert!(Arc::ptr_eq(&shared(one), &shared(two)));
        assert!(!Arc::ptr_eq(&shared(one), &shared(other)));
        let zone = |session| shared(session).state.config_options().execution.time_zone.clone();
        assert_eq!(zone(two).as_deref(), Some("Europe/Berlin"));
        assert_eq!(zone(other).as_deref(), Some("UTC"));
        let kept = Arc::downgrade(&shared(one));
        for session in [one, two] {
            assert!(kept.upgrade().is_some());
            unsafe { igb_session_free(session) };
        }
        assert!(kept.upgrade().is_none());
        let again = session_in(engine, "Europe/Berlin");
        assert_eq!(zone(again).as_deref(), Some("Europe/Berlin"));
        let listed = unsafe { &(*engine).shared }.sessions.0.lock().unwrap().len();
        assert_eq!(listed, 2);
        for session in [other, again] {
            unsafe { igb_session_free(session) };
        }
    }
}
