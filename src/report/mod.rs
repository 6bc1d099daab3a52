//! The report: its model, and one renderer per file. Renderers compute nothing and escape everything that comes
//! from the target.

pub mod model;
