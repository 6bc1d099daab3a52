//! Where bytes come from: a live process, what the kernel says about it, and the capture that stops it for as short
//! a time as can be. Knows processes and pages; knows nothing of Go.

#![deny(unsafe_code)]

pub mod capture;
pub mod cgroup;
pub mod container;
pub mod host;
pub mod maps;
mod modules;
mod own;
mod pages;
pub mod permissions;
pub mod procdir;
mod process;
pub mod residency;
mod roots;
mod sys;
mod threads;

pub use capture::{
    Capture, CaptureOptions, Captured, Changes, DEFAULT_BYTE_BUDGET, Incomplete, PauseLoad, PauseParts, Room, Stop,
    StopKind,
};
pub use cgroup::{CgroupFacts, CgroupVersion};
pub use host::{HostFacts, ThpSettings, memory_available_bytes, volunteer_for_oom};
pub use maps::{Backing, Mapping, Maps};
pub use modules::{FileId, Module};
pub use own::OwnMeans;
pub use permissions::Access;
pub use process::{LiveProcess, ProcessInfo, SharedNamespaces, ns_pid};
pub use residency::{Residency, ResidencyGrade};
pub use roots::open_on_host;
pub use sys::{Alarm, no_deadly_signals};
pub use threads::ThreadFacts;
