//! The code positions that goroutines name (`gopc`, `startpc`), resolved once each and interned, so that analysis
//! compares ids. Which goroutines are the runtime's own is decided by the start function's name.

use std::collections::HashMap;

use super::goroutines::{Goroutine, Goroutines};
use super::variants::{is_cleanup_function, is_finalizer_function, is_system_function};

/// `goid` of the goroutine that runs `main`.
const MAIN_GOROUTINE: u64 = 1;

/// A position in the program's source.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Position {
    /// Full name of the function, `path/pkg.(*T).Method`.
    pub function: String,
    /// Source file as the compiler wrote it; empty when unknown.
    pub file: String,
    /// Line; 0 when unknown.
    pub line: u32,
}

/// What kind of goroutine a start function makes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum StartKind {
    /// The program's.
    User,
    /// The runtime's.
    System,
    /// The runtime's, unless it is running a finalizer.
    Finalizer,
    /// The runtime's, unless it is running a cleanup.
    Cleanup,
}

/// Where the answers to "which function, file and line is this pc" come from.
pub trait Symbolizer {
    /// Position of the `go` statement whose return address is `gopc`.
    fn creation(&self, gopc: u64) -> Option<Position>;
    /// Name of the function that begins at or holds `pc`.
    fn function(&self, pc: u64) -> Option<String>;
}

/// Interned positions of all goroutines of a scan.
#[derive(Clone, Debug, Default)]
pub struct FrameTable {
    positions: Vec<Position>,
    creators: HashMap<u64, Option<u32>>,
    starts: HashMap<u64, Option<StartKind>>,
}

impl FrameTable {
    /// Resolves every distinct pc once.
    pub fn resolve(goroutines: &Goroutines, symbols: &dyn Symbolizer) -> FrameTable {
        let mut table = FrameTable::default();
        let mut ids: HashMap<Position, u32> = HashMap::new();
        for g in &goroutines.all {
            if g.gopc != 0 && !table.creators.contains_key(&g.gopc) {
                let id = symbols.creation(g.gopc).map(|position| {
                    *ids.entry(position.clone()).or_insert_with(|| {
                        table.positions.push(position);
                        (table.positions.len() - 1) as u32
                    })
                });
                table.creators.insert(g.gopc, id);
            }
            table
                .starts
                .entry(g.startpc)
                .or_insert_with(|| symbols.function(g.startpc).map(|name| kind(&name)));
        }
        table
    }

    /// Whether start functions could be named at all; without names nobody can tell the runtime's goroutines apart.
    pub fn is_known(&self) -> bool {
        self.starts.values().any(Option::is_some)
    }

    /// Frame id of the place that created `g`; `None` for the main goroutine, and where the pc is in no function.
    pub fn creator(&self, g: &Goroutine) -> Option<u32> {
        // The main goroutine is made by assembly before any Go code runs; the runtime's own tracebacks name no creator.
        if g.id == MAIN_GOROUTINE {
            return None;
        }
        self.creators.get(&g.gopc).copied().flatten()
    }

    /// The position behind a frame id.
    pub fn position(&self, id: u32) -> Option<&Position> {
        self.positions.get(id as usize)
    }

    /// What kind of goroutine `g` is; `None` where its start function has no name.
    pub fn start(&self, g: &Goroutine) -> Option<StartKind> {
        self.starts.get(&g.startpc).copied().flatten()
    }

    /// Whether the program, not the runtime, owns `g` at this instant (runtime/traceback.go `isSystemGoroutine`).
    /// Where the start function has no name, it counts as the program's.
    pub fn is_user(&self, g: &Goroutine, finalizer_running: bool) -> bool {
        match self.start(g) {
            Some(StartKind::System) => false,
            Some(StartKind::Finalizer) => finalizer_running,
            Some(StartKind::Cleanup) => g.running_cleanups,
            Some(StartKind::User) | None => true,
        }
    }

    /// Whether the runtime counts `g` in `sched.ngsys`: decided once, when it is started.
    pub fn counts_as_system(&self, g: &Goroutine) -> bool {
        !matches!(self.start(g), Some(StartKind::User) | None)
    }
}

fn kind(function: &str) -> StartKind {
    if is_finalizer_function(function) {
        StartKind::Finalizer
    } else if is_cleanup_function(function) {
        StartKind::Cleanup
    } else if is_system_function(function) {
        StartKind::System
    } else {
        StartKind::User
    }
}
