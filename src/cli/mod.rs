//! Arguments made into a plan, one file per command, exit codes, progress.

pub mod attach;
