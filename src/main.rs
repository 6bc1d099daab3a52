//! The `gomemscan` command: everything is in the library.

use std::process::ExitCode;

fn main() -> ExitCode {
    gomemscan::cli::run(std::env::args_os())
}
