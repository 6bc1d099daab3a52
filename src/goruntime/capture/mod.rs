//! The planners of a scan: which bytes of the runtime are copied, wave by wave. Each wave follows pointers that the
//! waves before it brought; a handful of waves reaches everything that the report needs.

mod requests;
mod structures;

use std::rc::Rc;

use super::locate::Runtime;
use crate::memory::{Addr, Gather, Memory, Planner, Request};

pub use requests::Requests;
pub use structures::{MOST_FREE_MCACHES, SummaryPlanner, WHOLE_SLICE};

/// [`SummaryPlanner`] for a located runtime, owned, as a capture wants it.
pub struct Summary {
    runtime: Rc<Runtime>,
    chased: (Addr, Addr),
}

impl Summary {
    /// A planner for `runtime`.
    pub fn new(runtime: Rc<Runtime>) -> Summary {
        Summary {
            runtime,
            chased: Default::default(),
        }
    }
}

impl Planner for Summary {
    fn wave(&mut self, wave: usize, captured: &dyn Memory) -> Vec<Request> {
        let Runtime {
            layout,
            globals,
            variant,
            ..
        } = self.runtime.as_ref();
        let mut planner = SummaryPlanner::new(layout, globals, variant);
        planner.chased = self.chased;
        let requests = planner.wave(wave, captured);
        self.chased = planner.chased;
        requests
    }

    fn is_last_need(&self, wave: usize) -> bool {
        SummaryPlanner::is_last_need(wave)
    }

    fn gather(&mut self, captured: &dyn Memory) -> Vec<Gather> {
        let Runtime {
            layout,
            globals,
            variant,
            ..
        } = self.runtime.as_ref();
        SummaryPlanner::new(layout, globals, variant).gather(captured)
    }
}
