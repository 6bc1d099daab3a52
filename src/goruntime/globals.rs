//! Run-time addresses of the runtime's global variables.

use super::layout::LayoutError;
use crate::image::types::TypeSource;
use crate::memory::Addr;

macro_rules! globals {
    ($( $(#[$meta:meta])* $field:ident = $name:literal ),* ; $( $(#[$ometa:meta])* $optional:ident = $oname:literal ),* $(,)?) => {
        /// Where the runtime keeps what a scan starts from, load bias included.
        #[derive(Clone, Debug, PartialEq, Eq)]
        #[allow(missing_docs, reason = "each is the variable it is named after")]
        pub struct Globals {
            $( $(#[$meta])* pub $field: Addr, )*
            $( $(#[$ometa])* pub $optional: Option<Addr>, )*
        }

        impl Globals {
            /// The names of all of them, those that some releases do not have included.
            pub fn names() -> impl Iterator<Item = &'static str> {
                [$( $name, )* $( $oname, )*].into_iter()
            }

            /// Looks every global up and adds the load bias (wrapping, as the loader does).
            pub fn resolve(types: &dyn TypeSource, bias: u64) -> Result<Globals, LayoutError> {
                let find = |name: &str| types.global(name).map(|addr| Addr(addr.wrapping_add(bias)));
                Ok(Globals {
                    $( $field: find($name).ok_or(LayoutError::NoGlobal($name))?, )*
                    $( $optional: find($oname), )*
                })
            }
        }
    };
}

globals! {
    mheap = "runtime.mheap_",
    allgs = "runtime.allgs",
    allp = "runtime.allp",
    gomaxprocs = "runtime.gomaxprocs",
    sched = "runtime.sched",
    memstats = "runtime.memstats",
    gc_controller = "runtime.gcController",
    work = "runtime.work",
    gcphase = "runtime.gcphase",
    sweep = "runtime.sweep",
    scavenge = "runtime.scavenge",
    scavenger = "runtime.scavenger",
    debug = "runtime.debug",
    emptymspan = "runtime.emptymspan",
    wait_reason_strings = "runtime.waitReasonStrings",
    stackpool = "runtime.stackpool",
    stack_large = "runtime.stackLarge",
    firstmoduledata = "runtime.firstmoduledata";
    /// Up to Go 1.19 a flag, later bits of `fingStatus`.
    fing_running = "runtime.fingRunning",
    fing_status = "runtime.fingStatus",
}
