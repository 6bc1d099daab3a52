//! The planners of a scan: which bytes of the runtime are copied, wave by wave. Each wave follows pointers that the
//! waves before it brought; a handful of waves reaches everything that the report needs.

mod requests;
mod structures;

pub use requests::Requests;
pub use structures::{MOST_FREE_MCACHES, SummaryPlanner, WHOLE_SLICE};
