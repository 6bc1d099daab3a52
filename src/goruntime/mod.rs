//! The Go runtime seen from outside: where its structures lie, which bytes a scan copies, and what they say.

pub mod arenas;
pub mod capture;
pub mod cursor;
pub mod frames;
pub mod gc;
pub mod globals;
pub mod goroutines;
pub mod layout;
pub mod locate;
pub mod marks;
pub mod mcache;
pub mod mcentral;
pub mod memstats;
pub mod modules;
pub mod mspan;
pub mod pagealloc;
pub mod probe;
pub mod processors;
pub mod provenance;
mod refused;
mod repeats;
pub mod size;
pub mod snapshot;
pub mod spans;
pub mod stacks;
mod stripped;
pub mod variants;
