//! Reports built by hand, for the tests of the renderers.

mod doctor;
mod edge;
mod parts;
mod sick;
mod small;

use crate::model::AttachReport;
pub use doctor::{doctor_refused, doctor_works};
pub use edge::{hostile, huge_numbers, partly_read, unavailable};
pub use sick::large_sick;
pub use small::small_healthy;

/// Every sample under its name.
pub fn all() -> Vec<(&'static str, AttachReport)> {
    vec![
        ("small_healthy", small_healthy()),
        ("large_sick", large_sick()),
        ("partly_read", partly_read()),
        ("unavailable", unavailable()),
        ("hostile", hostile()),
        ("huge_numbers", huge_numbers()),
        ("empty", AttachReport::new()),
    ]
}
