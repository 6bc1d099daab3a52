//! The report: one renderer per file. Renderers compute nothing and escape everything that comes from the target.

pub use crate::model;
