//! The report: its model, and one renderer per file. Renderers compute nothing and escape everything that comes
//! from the target.

pub mod json;
pub mod schema;
pub mod sections;
pub mod table;

#[cfg(test)]
mod sample;
