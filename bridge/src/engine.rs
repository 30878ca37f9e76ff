//! `igb_engine`: the runtimes, the memory pool, the spill files, the caches, and the one door to
//! files. Everything that sessions share.

use std::cell::Cell;
use std::num::NonZeroUsize;
use std::sync::{mpsc, Arc, Mutex, RwLock};
use std::time::Duration;

use datafusion::execution::cache::cache_manager::CacheManagerConfig;
use datafusion::execution::disk_manager::{DiskManagerBuilder, DiskManagerMode};
use datafusion::execution::memory_pool::{FairSpillPool, MemoryPool, TrackConsumersPool};
use datafusion::execution::runtime_env::{RuntimeEnv, RuntimeEnvBuilder};
use datafusion::execution::SessionState;
use tokio::runtime::{Handle, Runtime};
use tokio::sync::Semaphore;

use crate::abi::{
    boundary, boundary_void, igb_engine_options, igb_engine_stats, igb_error, igb_files,
    install_panic_hook, swallow, IGB_ABI_VERSION,
};
use crate::cluster::{Cluster, Tasks};
use crate::error::{Error, Result, Status};
use crate::file_cache::FileCache;
use crate::memory::{self, Allowance};
use crate::session;
use crate::store;

/// Plans nest as deep as the SQL they come from; DataFusion's recursion on them needs room.
const WORKER_STACK_BYTES: usize = 16 << 20;
/// Stack of the thread that drops plans: as large as the planning threads that made them.
const DROP_STACK_BYTES: usize = 64 << 20;
/// How long starting the threads of both runtimes may take.
const START_WAIT: Duration = Duration::from_secs(5);
/// How long igb_engine_free waits for what still runs, both runtimes together.
const SHUTDOWN: Duration = Duration::from_secs(5);

// ---- threads ------------------------------------------------------------------------------

#[derive(Clone, Copy, PartialEq, Eq)]
enum ThreadKind {
    /// A thread of C, or of nobody: may block.
    Foreign,
    /// A tokio worker: must not block, nor enter a C callback that may.
    Worker,
    /// A runtime thread that runs one of our blocking closures: may block.
    Blocking,
}

thread_local! {
    static THREAD: Cell<ThreadKind> = const { Cell::new(ThreadKind::Foreign) };
}

/// Refuse on a runtime's worker thread. Called before every C callback that may block and at every
/// entry that waits.
pub(crate) fn check_may_block(what: &str) -> Result<()> {
    if THREAD.with(Cell::get) == ThreadKind::Worker {
        return Err(Error::internal(format!(
            "{what} may block and was called on a runtime thread"
        )));
    }
    Ok(())
}

/// The two runtimes, as whoever spawns work sees them.
#[derive(Clone, Debug)]
pub(crate) struct Pools {
    /// Runs the operators of queries.
    pub cpu: Handle,
    /// Runs reads and writes; its blocking pool is the only place where C's files are touched.
    pub io: Handle,
}

impl Pools {
    /// Run `body` on the bounded blocking pool, where C callbacks may block.
    pub fn spawn_blocking<T: Send + 'static>(
        &self,
        body: impl FnOnce() -> T + Send + 'static,
    ) -> tokio::task::JoinHandle<T> {
        self.io.spawn_blocking(move || {
            struct Restore(ThreadKind);
            impl Drop for Restore {
                fn drop(&mut self) {
                    THREAD.with(|kind| kind.set(self.0));
                }
            }
            let _restore = Restore(THREAD.with(|kind| kind.replace(ThreadKind::Blocking)));
            body()
        })
    }

    /// Drop `thing` on the blocking pool, for a drop that may run on any thread and while a panic
    /// unwinds. Never a panic: where the system gives no thread the job stays with the pool, whose
    /// next thread does it, or its end.
    pub fn drop_blocking(&self, thing: impl Send + 'static) {
        swallow(|| drop(self.spawn_blocking(move || drop(thing))));
    }
}

fn no_threads(cause: impl std::fmt::Display) -> Box<Error> {
    Error::new(Status::ResourceExhausted, "53000", "could not start the engine's threads")
        .with_detail(format!("{cause}."))
}

/// Whether so many threads can be had now. tokio panics where one cannot be made, and then waits for
/// ever for those that were.
fn try_threads(count: u32) -> std::io::Result<()> {
    let gate = std::sync::RwLock::new(());
    std::thread::scope(|scope| {
        let _closed = gate.write();
        for _ in 0..count {
            let waiting = || drop(gate.read());
            std::thread::Builder::new()
                .stack_size(WORKER_STACK_BYTES)
                .spawn_scoped(scope, waiting)?;
        }
        Ok(())
    })
}

fn new_runtime(
    name: &'static str,
    threads: u32,
    blocking_threads: u32,
) -> std::io::Result<Runtime> {
    tokio::runtime::Builder::new_multi_thread()
        .worker_threads(threads as usize)
        .max_blocking_threads(blocking_threads.max(1) as usize)
        .thread_name(name)
        .thread_stack_size(WORKER_STACK_BYTES)
        .on_thread_start(|| THREAD.with(|kind| kind.set(ThreadKind::Worker)))
        .enable_time()
        .build()
}

/// The runtime of operators, and that of reads and writes.
type Runtimes = (Runtime, Runtime);

/// Runtimes that are being started.
struct Starting(mpsc::Receiver<std::io::Result<Runtimes>>);

impl Starting {
    /// Starts both on a thread that may be left behind: others may take the threads that were there a
    /// moment ago.
    fn new(options: &igb_engine_options) -> Result<Starting> {
        let (cpu, io) = (options.cpu_threads.max(1), options.io_threads.max(1));
        let blocking = options.blocking_threads;
        let build = move || {
            try_threads(cpu + io)?;
            Ok((new_runtime("igb-cpu", cpu, blocking)?, new_runtime("igb-io", io, blocking)?))
        };
        let (send, receive) = mpsc::channel();
        std::thread::Builder::new()
            .name("igb-start".to_string())
            .spawn(move || send.send(build()))
            .map_err(no_threads)?;
        Ok(Starting(receive))
    }

    fn wait(self) -> Result<Runtimes> {
        match self.0.recv_timeout(START_WAIT) {
            Ok(built) => built.map_err(no_threads),
            Err(_) => Err(no_threads("The system gives fewer threads than are needed")),
        }
    }
}

/// A thread with a large stack that drops what nests deeply, so that no caller's stack overflows.
#[derive(Debug)]
struct Undertaker {
    /// None once the engine is gone; then things are dropped where they are.
    send: Mutex<Option<mpsc::Sender<Box<dyn Send>>>>,
}

impl Undertaker {
    fn new() -> Result<Undertaker> {
        let (send, receive) = mpsc::channel::<Box<dyn Send>>();
        std::thread::Builder::new()
            .name("igb-drop".to_string())
            .stack_size(DROP_STACK_BYTES)
            .spawn(move || {
                for thing in receive {
                    boundary_void(move || drop(thing));
                }
            })
            .map_err(|e| {
                Error::new(Status::ResourceExhausted, "53000", "could not start a thread")
                    .with_detail(format!("{e}."))
            })?;
        Ok(Undertaker { send: Mutex::new(Some(send)) })
    }
}

// ---- the engine ---------------------------------------------------------------------------

/// What sessions, plans and queries share and keep alive.
#[derive(Debug)]
pub(crate) struct EngineShared {
    pub pools: Pools,
    /// C's file functions.
    pub files: Arc<store::Files>,
    /// Where tables of files register their store.
    pub registry: Arc<store::Registry>,
    pub runtime_env: Arc<RuntimeEnv>,
    /// The session state that every session starts from: functions, rules, configuration.
    pub base: SessionState,
    pub sessions: session::Sessions,
    pub cpu_threads: usize,
    pub channel_bytes: usize,
    /// limits.plan_nodes
    pub plan_nodes: usize,
    /// Parts of remote tables that are opened at once, so that those that wait for a connection leave
    /// blocking threads to those that have one: the first parts of executions, and all others.
    pub opening: Arc<[Semaphore; 2]>,
    /// The parser's recursion limit.
    pub parser_depth: usize,
    /// Text of version().
    pub version: String,
    /// Where statements run beside this process; None: nowhere.
    pub cluster: RwLock<Option<Arc<Cluster>>>,
    /// What runs here for others.
    pub tasks: Tasks,
    pool_bytes: u64,
    undertaker: Undertaker,
    _allowance: Allowance,
}

impl EngineShared {
    /// Drop `thing` (a plan, a query) on the large-stack thread.
    pub fn bury(&self, thing: Box<dyn Send>) {
        if let Ok(send) = self.undertaker.send.lock() {
            if let Some(send) = send.as_ref() {
                // The thread lives as long as the sender; a failed send drops here.
                let _ = send.send(thing);
            }
        }
    }
}

/// The engine's handle; sessions and queries hold what is inside.
#[allow(non_camel_case_types)]
pub struct igb_engine {
    pub(crate) shared: Arc<EngineShared>,
    /// Taken by igb_engine_free.
    runtimes: Option<Runtimes>,
}

/// Spilled files that one merge of a sort reads side by side. Left alone it takes as many as memory is
/// left for, and the operator above finds none.
fn merge_fan_in(options: &igb_engine_options) -> usize {
    const FILE_BYTES: usize = 24 << 20;
    let share = to_usize(options.pool_bytes) / options.cpu_threads.max(1) as usize;
    (share / FILE_BYTES).clamp(4, 64)
}

/// # Safety
/// `options` is valid.
unsafe fn new_engine(options: &igb_engine_options, files: igb_files) -> Result<Box<igb_engine>> {
    if options.abi_version != IGB_ABI_VERSION {
        return Err(Error::new(
            Status::InvalidArgument,
            "22023",
            format!(
                "the engine's ABI is {IGB_ABI_VERSION}, the caller's is {}",
                options.abi_version
            ),
        ));
    }
    memory::prepare();
    install_panic_hook();
    let starting = Starting::new(options)?; // takes as long as all that follows
    let spill_dir = unsafe { options.spill_dir.text() }?.to_string();
    let version = unsafe { options.version.text() }?.to_string();
    let cpu_threads = options.cpu_threads.max(1);

    let pool: Arc<dyn MemoryPool> = Arc::new(TrackConsumersPool::new(
        FairSpillPool::new(to_usize(options.pool_bytes)),
        NonZeroUsize::MIN.saturating_add(4),
    ));
    let disk = DiskManagerBuilder::default()
        .with_mode(DiskManagerMode::Directories(vec![spill_dir.into()]))
        .with_max_temp_directory_size(options.spill_bytes)
        .with_max_spill_merge_fan_in(merge_fan_in(options));
    // Listings come from C and are never cached here; footers are what is worth the memory.
    let cache = to_usize(options.cache_bytes);
    let (footers, statistics) = (cache / 4 * 3, cache / 4);
    let caches = CacheManagerConfig::default()
        .with_file_metadata_cache(Some(Arc::new(FileCache::new(footers))))
        .with_metadata_cache_limit(footers)
        .with_file_statistics_cache(Some(Arc::new(FileCache::new(statistics))))
        .with_file_statistics_cache_limit(statistics)
        .with_list_files_cache_limit(0);
    // The only stores are ours: no scheme reaches a disk or a network by another way.
    let registry = Arc::new(store::Registry::default());
    let runtime_env = RuntimeEnvBuilder::new()
        .with_memory_pool(pool)
        .with_disk_manager_builder(disk)
        .with_cache_manager(caches)
        .with_object_store_registry(Arc::clone(&registry) as _)
        .build_arc()?;

    let base = session::base_state(&runtime_env, options)?;
    let (cpu, io) = starting.wait()?;
    let pools = Pools { cpu: cpu.handle().clone(), io: io.handle().clone() };
    let shared = Arc::new(EngineShared {
        pools,
        files: Arc::new(store::Files::new(files)),
        registry,
        runtime_env: Arc::clone(&runtime_env),
        base,
        sessions: session::Sessions::default(),
        cpu_threads: cpu_threads as usize,
        channel_bytes: to_usize(options.channel_bytes),
        plan_nodes: options.plan_nodes as usize,
        opening: Arc::new(
            [2, 4].map(|share| Semaphore::new((options.blocking_threads as usize / share).max(1))),
        ),
        parser_depth: parser_depth(options.sql_nesting),
        version,
        cluster: RwLock::default(),
        tasks: Tasks::new(&runtime_env),
        pool_bytes: options.pool_bytes,
        undertaker: Undertaker::new()?,
        _allowance: Allowance::new(to_usize(options.memory_bytes), options.owns_process),
    });
    Ok(Box::new(igb_engine { shared, runtimes: Some((cpu, io)) }))
}

/// One level of limits.sql_nesting (which C counts) takes the parser several levels of recursion: a
/// subquery in parentheses takes four.
pub(crate) fn parser_depth(sql_nesting: u32) -> usize {
    sql_nesting as usize * 4 + 50
}

pub(crate) fn to_usize(value: u64) -> usize {
    usize::try_from(value).unwrap_or(usize::MAX)
}

/// Start an engine: its threads, memory pool and caches. `files` is copied; its ctx outlives the
/// engine and everything made from it.
/// Returns 0 and gives *ret_engine (igb_engine_free); INVALID_ARGUMENT for another ABI version;
/// RESOURCE_EXHAUSTED when threads cannot be started; IO_ERROR when spill_dir cannot be used.
///
/// # Safety
/// `options`, `files` and `ret_engine` are valid; `ret_error` is NULL or valid.
#[no_mangle]
pub unsafe extern "C" fn igb_engine_new(
    options: *const igb_engine_options,
    files: *const igb_files,
    ret_engine: *mut *mut igb_engine,
    ret_error: *mut igb_error,
) -> i32 {
    unsafe {
        boundary(ret_error, || {
            check_may_block("igb_engine_new")?;
            ret_engine.write(Box::into_raw(new_engine(&*options, *files)?));
            Ok(())
        })
    }
}

/// Cancels nothing by itself: call it after every query is freed. Waits at most 5 s for the
/// runtimes. NULL is allowed.
///
/// # Safety
/// `engine` is NULL or came from igb_engine_new and is not used again.
#[no_mangle]
pub unsafe extern "C" fn igb_engine_free(engine: *mut igb_engine) {
    if engine.is_null() {
        return;
    }
    boundary_void(|| {
        let mut engine = unsafe { Box::from_raw(engine) };
        // The drop thread ends when it has dropped what it was sent.
        if let Ok(mut send) = engine.shared.undertaker.send.lock() {
            send.take();
        }
        if let Some((cpu, io)) = engine.runtimes.take() {
            let started = std::time::Instant::now();
            cpu.shutdown_timeout(SHUTDOWN / 2);
            io.shutdown_timeout(SHUTDOWN.saturating_sub(started.elapsed()));
        }
    });
}

/// What the engine holds now. Never blocks.
///
/// # Safety
/// `engine` and `ret_stats` are valid.
#[no_mangle]
pub unsafe extern "C" fn igb_engine_stats_get(
    engine: *const igb_engine,
    ret_stats: *mut igb_engine_stats,
) {
    boundary_void(|| {
        let shared = unsafe { &(*engine).shared };
        let env = &shared.runtime_env;
        let caches = &env.cache_manager;
        let footers = caches.get_file_metadata_cache();
        let cached = footers.list_entries().values().map(|entry| entry.size_bytes).sum::<usize>()
            + caches.get_file_statistic_cache().map_or(0, |cache| {
                cache.list_entries().values().map(|entry| entry.size_bytes).sum::<usize>()
            });
        let stats = igb_engine_stats {
            pool_used_bytes: env.memory_pool.reserved() as u64,
            pool_limit_bytes: shared.pool_bytes,
            spilled_bytes_now: env.disk_manager.used_disk_space(),
            cache_used_bytes: cached as u64,
        };
        unsafe { ret_stats.write(stats) };
    });
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::abi::catch;

    #[test]
    fn a_drop_without_a_thread_to_be_had_keeps_the_panic_that_unwinds_and_is_made_up_for() {
        struct Told(mpsc::Sender<()>);
        impl Drop for Told {
            fn drop(&mut self) {
                let _ = self.0.send(());
            }
        }
        struct Held(Pools, Option<Told>);
        impl Drop for Held {
            fn drop(&mut self) {
                self.0.drop_blocking(self.1.take());
            }
        }
        install_panic_hook();
        // No system has such a stack to give.
        let runtime = tokio::runtime::Builder::new_current_thread()
            .thread_stack_size(1 << 60)
            .build()
            .unwrap();
        let pools = Pools { cpu: runtime.handle().clone(), io: runtime.handle().clone() };
        let (send, receive) = mpsc::channel();
        let done = catch(|| -> Result<()> {
            let _held = Held(pools.clone(), Some(Told(send)));
            panic!("the first panic");
        });
        assert!(done.unwrap_err().detail.contains("the first panic"));
        let refused = catch(|| Ok(drop(pools.spawn_blocking(|| ())))).unwrap_err();
        assert_eq!((refused.sqlstate.as_str(), receive.try_recv().is_err()), ("53000", true));
        drop((runtime, pools));
        receive.recv_timeout(Duration::from_secs(20)).unwrap();
    }
}
