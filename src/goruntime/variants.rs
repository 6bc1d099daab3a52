//! The one table of what differs in *meaning* between Go releases, beyond where fields lie. Everything else above
//! reads a [`Layout`](super::layout::Layout) and knows no version.

pub use crate::image::Arch;
use crate::image::types::TypeSource;

/// First minor version of Go 1 whose runtime this tool reads.
pub const OLDEST_MINOR: u32 = 19;
/// Last minor version of Go 1 that this tool was verified on; newer ones are read with a warning.
pub const NEWEST_MINOR: u32 = 27;

/// `_PageSize`, bytes: a runtime page, whatever the size of the machine's pages (runtime/sizeclasses.go).
pub const PAGE_BYTES: u64 = 8192;
/// `pallocChunkPages`: runtime pages that one `pallocData` describes (runtime/mpagealloc.go).
pub const CHUNK_PAGES: u64 = 512;
/// `pallocChunkBytes`.
pub const CHUNK_BYTES: u64 = CHUNK_PAGES * PAGE_BYTES;
/// `heapArenaBytes` on 64-bit Linux (runtime/malloc.go).
pub const ARENA_BYTES: u64 = 64 << 20;
/// `_NumSizeClasses`: the same in every release read here; class 0 is for large objects.
pub const SIZE_CLASSES: usize = 68;
/// `numSpanClasses`: a scan and a noscan variant of every size class.
pub const SPAN_CLASSES: usize = SIZE_CLASSES << 1;
/// `maxTinySize`: bytes of a tiny block (runtime/malloc.go).
pub const TINY_BLOCK_BYTES: u64 = 16;
/// `_FixAllocChunk`: bytes that a fixalloc cuts into structures at a time (runtime/malloc.go).
pub const FIXALLOC_CHUNK_BYTES: u64 = 16 << 10;
/// `pageCachePages`: pages a P claims at a time (runtime/mpagecache.go).
pub const PAGE_CACHE_PAGES: u64 = 64;
/// `pallocChunksL2Bits`: the second level of the chunk map has `1 << 13` entries.
pub const CHUNKS_L2_BITS: u32 = 13;
/// `heapGoalMinTriggerDistance`-like slack added to `triggered` (runtime/mgcpacer.go `heapGoalInternal`).
pub const TRIGGER_SLACK_BYTES: u64 = 64 << 10;

/// Bytes of an object slot per size class (runtime/sizeclasses.go `class_to_size`); identical in Go 1.19 to 1.27.
pub const CLASS_TO_SIZE: [u64; SIZE_CLASSES] = [
    0, 8, 16, 24, 32, 48, 64, 80, 96, 112, 128, 144, 160, 176, 192, 208, 224, 240, 256, 288, 320, 352, 384, 416, 448,
    480, 512, 576, 640, 704, 768, 896, 1024, 1152, 1280, 1408, 1536, 1792, 2048, 2304, 2688, 3072, 3200, 3456, 4096,
    4864, 5376, 6144, 6528, 6784, 6912, 8192, 9472, 9728, 10240, 10880, 12288, 13568, 14336, 16384, 18432, 19072,
    20480, 21760, 24576, 27264, 28672, 32768,
];

/// What the same bytes mean in this target's runtime.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Variant {
    /// `arenaBaseOffset`: subtracted from an address before it is divided into arenas and chunks.
    pub arena_base_offset: u64,
    /// Up to Go 1.19 the memory limit's headroom is a fixed 1 MiB; later 3 % of the goal, at least 1 MiB
    /// (runtime/mgcpacer.go `memoryLimitHeapGoal`).
    pub limit_headroom: LimitHeadroom,
    /// Objects of 16 to 512 bytes keep mark bits inside their span (Green Tea collector).
    pub inline_marks: Option<InlineMarkRule>,
    /// Goroutine status names by number.
    pub status: StatusNames,
    /// Function that runs finalizers, and the status value that says that one is running.
    pub finalizer: FinalizerGoroutine,
}

/// See [`Variant::limit_headroom`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum LimitHeadroom {
    /// Always this many bytes.
    Fixed(u64),
    /// This many percent of the goal, and at least so many bytes.
    Percent(u64, u64),
}

/// Which spans have inline mark bits (runtime/mgcmark_greenteagc.go `gcUsesSpanInlineMarkBits`), bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct InlineMarkRule {
    /// Smallest element size with inline marks.
    pub min_elem_bytes: u64,
    /// Largest.
    pub max_elem_bytes: u64,
}

/// How to tell that the finalizer goroutine is running user code (runtime/mfinal.go).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum FinalizerGoroutine {
    /// A flag variable of its own (`runtime.fingRunning`).
    Flag,
    /// A bit of `runtime.fingStatus`.
    Bit(u32),
}

/// Values of `g.atomicstatus` (runtime/runtime2.go), read from the target's own constants.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[allow(missing_docs, reason = "named after the constants")]
pub struct StatusNames {
    pub idle: u32,
    pub runnable: u32,
    pub running: u32,
    pub syscall: u32,
    pub waiting: u32,
    pub dead: u32,
    pub copystack: u32,
    pub preempted: u32,
    pub leaked: Option<u32>,
    pub dead_extra: Option<u32>,
    pub scan_bit: u32,
}

impl StatusNames {
    fn read(types: &dyn TypeSource) -> StatusNames {
        let constant = |name: &str| types.constant(name).and_then(|value| u32::try_from(value).ok());
        StatusNames {
            idle: constant("runtime._Gidle").unwrap_or(0),
            runnable: constant("runtime._Grunnable").unwrap_or(1),
            running: constant("runtime._Grunning").unwrap_or(2),
            syscall: constant("runtime._Gsyscall").unwrap_or(3),
            waiting: constant("runtime._Gwaiting").unwrap_or(4),
            dead: constant("runtime._Gdead").unwrap_or(6),
            copystack: constant("runtime._Gcopystack").unwrap_or(8),
            preempted: constant("runtime._Gpreempted").unwrap_or(9),
            leaked: constant("runtime._Gleaked"),
            dead_extra: constant("runtime._Gdeadextra"),
            scan_bit: constant("runtime._Gscan").unwrap_or(0x1000),
        }
    }

    /// Whether a goroutine of this status exists for the program or the runtime: not dead, not a foreign thread's spare.
    pub fn is_alive(&self, status: u32) -> bool {
        let status = status & !self.scan_bit;
        status != self.dead && status != self.idle && Some(status) != self.dead_extra
    }

    /// The status's name as `gomemscan` prints it; `None` for a value that the runtime does not have.
    pub fn name(&self, status: u32) -> Option<&'static str> {
        let status = status & !self.scan_bit;
        Some(match status {
            s if s == self.idle => "idle",
            s if s == self.runnable => "runnable",
            s if s == self.running => "running",
            s if s == self.syscall => "syscall",
            s if s == self.waiting => "waiting",
            s if s == self.dead => "dead",
            s if s == self.copystack => "copystack",
            s if s == self.preempted => "preempted",
            s if Some(s) == self.leaked => "leaked",
            s if Some(s) == self.dead_extra => "deadextra",
            _ => return None,
        })
    }
}

impl Variant {
    /// The variant of a runtime of Go 1.`minor`, refined by what its debug information says.
    pub fn of(minor: u32, arch: Arch, types: &dyn TypeSource) -> Variant {
        Variant {
            arena_base_offset: match arch {
                Arch::Amd64 => 0xffff_8000_0000_0000,
                Arch::Arm64 => 0,
            },
            limit_headroom: if minor <= 19 {
                LimitHeadroom::Fixed(1 << 20)
            } else {
                LimitHeadroom::Percent(3, 1 << 20)
            },
            inline_marks: types.size_of("runtime.spanInlineMarkBits").map(|_| InlineMarkRule {
                min_elem_bytes: 16,
                max_elem_bytes: 512,
            }),
            status: StatusNames::read(types),
            finalizer: match types
                .constant("runtime.fingRunningFinalizer")
                .and_then(|bit| u32::try_from(bit).ok())
            {
                Some(bit) => FinalizerGoroutine::Bit(bit),
                None => FinalizerGoroutine::Flag,
            },
        }
    }
}

/// Whether a function started by `go` belongs to the runtime (runtime/traceback.go `isSystemGoroutine`): its name is
/// in package runtime and it is none of those that run user code.
pub fn is_system_function(name: &str) -> bool {
    name.starts_with("runtime.") && !matches!(name, "runtime.main" | "runtime.handleAsyncEvent" | "runtime.corostart")
}

/// The function of the finalizer goroutine: one name up to Go 1.24, another later.
pub fn is_finalizer_function(name: &str) -> bool {
    matches!(name, "runtime.runfinq" | "runtime.runFinalizers")
}

/// The function of the cleanup goroutines (Go 1.25 and later).
pub fn is_cleanup_function(name: &str) -> bool {
    name == "runtime.runCleanups"
}
