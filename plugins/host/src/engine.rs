//! One engine for all plugins of a program, and the thread that moves its epoch.
//!
//! Deterministic: fuel decides what a rule may use, NaN is canonical, relaxed SIMD and threads are
//! off. The epoch is a wall-clock stop for hangs only.

use std::path::PathBuf;
use std::sync::Arc;
use std::sync::mpsc::{RecvTimeoutError, Sender, channel};
use std::thread::JoinHandle;
use std::time::Duration;

use wasmtime::component::Linker;
use wasmtime::{Config, Engine, InstanceAllocationStrategy, PoolingAllocationConfig};

use crate::cache::Cache;
use crate::instance::{Inside, link};
use crate::limits::TABLE_ELEMENTS;
use crate::manifest::MAX_MEMORY;

/// Instances of all plugins, versions and quarters at once. Each reserves address space, not memory.
const INSTANCES: u32 = 512;
/// Core instances of one component at most: its module and the two that wit-component adds for
/// imports; of one whose WASI was stubbed, those of the stubs too; of one in Python 38.
const CORE_PER_COMPONENT: u32 = 64;
/// Core instances of all components at once.
const CORE_INSTANCES: u32 = INSTANCES * 8;
/// Memories of one component at most: its own; of one whose WASI was stubbed, those of the stubs too.
/// The quota is on their sum.
const MEMORIES_PER_COMPONENT: u32 = 4;
/// Memories of all components at once.
const MEMORIES: u32 = INSTANCES * 2;
/// Stack of a guest, bytes.
const STACK: usize = 512 << 10;
/// How often the epoch moves.
pub(crate) const TICK: Duration = Duration::from_millis(10);

/// The engine could not be made.
#[derive(Debug, thiserror::Error)]
pub enum HostError {
    /// This machine or its limits on address space do not allow it.
    #[error("the plugin engine does not start: {0}; is the address space limited (ulimit -v)?")]
    Engine(String),
    /// No thread.
    #[error("the plugin engine's clock does not start: {0}")]
    Clock(#[from] std::io::Error),
    /// The folder for compiled plugins.
    #[error("{}: {error}", path.display())]
    Cache {
        /// The folder.
        path: PathBuf,
        /// Why it cannot be used.
        error: std::io::Error,
    },
}

/// Runs plugins; cheap to clone, one for a program.
#[derive(Clone)]
pub struct Host {
    inner: Arc<Inner>,
}

struct Inner {
    engine: Engine,
    linker: Linker<Inside>,
    cache: Option<Cache>,
    _clock: Option<Clock>,
}

impl std::fmt::Debug for Host {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Host").finish_non_exhaustive()
    }
}

impl Host {
    /// Starts the engine and its clock; compiles every plugin anew.
    ///
    /// # Errors
    /// The machine does not allow it.
    pub fn new() -> Result<Self, HostError> {
        Self::start(|_| Ok(None), true)
    }

    /// Like [`new`](Self::new), and no call ends for its deadline: fuel alone bounds it, so that the
    /// answers do not depend on how busy the machine is. For what nobody waits for.
    ///
    /// # Errors
    /// The machine does not allow it.
    pub fn without_deadlines() -> Result<Self, HostError> {
        Self::start(|_| Ok(None), false)
    }

    /// Starts the engine and its clock; compiled plugins are kept in the folder `dir`, which is
    /// made where it is not there.
    ///
    /// # Errors
    /// The machine does not allow it, or the folder cannot be used.
    pub fn with_cache(dir: PathBuf) -> Result<Self, HostError> {
        let cache = |engine: &Engine| {
            let cache = Cache::open(dir.clone(), engine);
            cache
                .map(Some)
                .map_err(|error| HostError::Cache { path: dir, error })
        };
        Self::start(cache, true)
    }

    fn start(
        cache: impl FnOnce(&Engine) -> Result<Option<Cache>, HostError>,
        deadlines: bool,
    ) -> Result<Self, HostError> {
        let failed = |error: wasmtime::Error| HostError::Engine(format!("{error:#}"));
        let engine = Engine::new(&config()).map_err(failed)?;
        let mut linker = Linker::new(&engine);
        link(&mut linker).map_err(failed)?;
        let cache = cache(&engine)?;
        let clock = deadlines.then(|| Clock::start(&engine)).transpose()?;
        Ok(Self {
            inner: Arc::new(Inner {
                engine,
                linker,
                cache,
                _clock: clock,
            }),
        })
    }

    pub(crate) fn engine(&self) -> &Engine {
        &self.inner.engine
    }

    pub(crate) fn cache(&self) -> Option<&Cache> {
        self.inner.cache.as_ref()
    }

    pub(crate) fn linker(&self) -> &Linker<Inside> {
        &self.inner.linker
    }
}

fn config() -> Config {
    let mut pool = PoolingAllocationConfig::default();
    pool.total_component_instances(INSTANCES)
        .total_core_instances(CORE_INSTANCES)
        .max_core_instances_per_component(CORE_PER_COMPONENT)
        .total_memories(MEMORIES)
        .max_memories_per_component(MEMORIES_PER_COMPONENT)
        .max_memories_per_module(1)
        .total_tables(INSTANCES * 4)
        .max_tables_per_component(4)
        .max_tables_per_module(1)
        .table_elements(TABLE_ELEMENTS)
        .max_memory_size(MAX_MEMORY as usize);
    // Memories of several components in one: without multi-memory, code between them that wasmtime
    // makes itself does not validate, and it panics. A module still has one.
    let mut config = Config::new();
    config
        .concurrency_support(false)
        .allocation_strategy(InstanceAllocationStrategy::Pooling(pool))
        .consume_fuel(true)
        .epoch_interruption(true)
        .cranelift_nan_canonicalization(true)
        .wasm_relaxed_simd(false)
        .max_wasm_stack(STACK)
        .wasm_backtrace_max_frames(None)
        .parallel_compilation(true);
    config
}

/// Moves the epoch every [`TICK`] until it is dropped.
struct Clock {
    stop: Option<Sender<()>>,
    thread: Option<JoinHandle<()>>,
}

impl Clock {
    fn start(engine: &Engine) -> std::io::Result<Self> {
        let (stop, stopped) = channel();
        let engine = engine.weak();
        let tick = move || {
            while stopped.recv_timeout(TICK) == Err(RecvTimeoutError::Timeout) {
                let Some(engine) = engine.upgrade() else {
                    return;
                };
                engine.increment_epoch();
            }
        };
        let thread = std::thread::Builder::new()
            .name("plugin-clock".to_owned())
            .spawn(tick)?;
        Ok(Self {
            stop: Some(stop),
            thread: Some(thread),
        })
    }
}

impl Drop for Clock {
    fn drop(&mut self) {
        drop(self.stop.take());
        if let Some(thread) = self.thread.take() {
            // The thread only counts; there is nothing to learn from how it ended.
            let _ = thread.join();
        }
    }
}
