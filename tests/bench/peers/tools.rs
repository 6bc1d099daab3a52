//! The tools that are compared, what each is asked to do, and what it says when it has done it.

use std::path::{Path, PathBuf};
use std::process::Command;

use gomemscan::units;
use serde_json::Value;

use crate::command::Ended;

/// One row of the table per target.
pub struct Tool {
    pub name: &'static str,
    /// What one run does.
    pub does: &'static str,
    pub how: How,
    /// Takes so long that fewer runs must do.
    slow: bool,
}

/// How a tool is run.
pub enum How {
    /// Not at all: what the heartbeat sees of an ordinary moment.
    Idle,
    /// A program.
    Program(&'static Program),
    /// A request to the endpoint that the target itself serves.
    Endpoint(&'static str),
}

/// A program that is run on a process, or on its core file.
pub struct Program {
    /// Its file name, to be found in PATH; gomemscan's is the one under test.
    pub file: &'static str,
    /// Its arguments, with `PID` and `CORE` in place of those.
    pub arguments: &'static [&'static str],
    /// What is typed.
    pub input: &'static str,
    /// Reads the core file that the tool before it has left, not the process.
    pub needs_core: bool,
    /// What came of it, in a few words; an error when nothing did.
    pub yields: fn(&Ended, &Path) -> Result<String, String>,
    /// The arguments that make it tell its version.
    version: &'static [&'static str],
}

/// The core file that `gcore` writes when it is told `core`.
pub fn core_file(folder: &Path, pid: u32) -> PathBuf {
    folder.join(format!("core.{pid}"))
}

/// All tools, in the order in which they take turns.
#[rustfmt::skip]
pub const TOOLS: [Tool; 9] = [
    Tool { name: "no tool", does: "100 ms of the target by itself", how: How::Idle, slow: false },
    Tool { name: "gomemscan attach", does: "where memory is and why it stays; goroutines", how: How::Program(&GOMEMSCAN), slow: false },
    Tool { name: "pprof heap", does: "allocations by stack, sampled", how: How::Endpoint("heap"), slow: false },
    Tool { name: "pprof goroutine?debug=1", does: "goroutine stacks, grouped", how: How::Endpoint("goroutine?debug=1"), slow: false },
    Tool { name: "pprof goroutine?debug=2", does: "goroutine stacks, one by one", how: How::Endpoint("goroutine?debug=2"), slow: false },
    Tool { name: "dlv attach", does: "goroutines, one by one", how: How::Program(&DELVE), slow: true },
    Tool { name: "grf attach", does: "every object and who refers to it", how: How::Program(&GOREF), slow: true },
    Tool { name: "gcore", does: "core file", how: How::Program(&GCORE), slow: true },
    Tool { name: "viewcore breakdown", does: "memory by kind, of that core file", how: How::Program(&VIEWCORE), slow: true },
];

static GOMEMSCAN: Program = Program {
    file: env!("CARGO_BIN_EXE_gomemscan"),
    arguments: &["attach", "PID", "--json"],
    input: "",
    needs_core: false,
    yields: |ended, _| {
        let json: Value = serde_json::from_str(&ended.output).map_err(|error| error.to_string())?;
        let int = |pointer: &str| json.pointer(pointer).and_then(Value::as_u64);
        let goroutines = int("/goroutines/total").ok_or("no goroutines in its report")?;
        let live = int("/gc/heap_marked_bytes").ok_or("no live heap in its report")?;
        Ok(format!("{} live, {}", units::bytes(live), goroutine_count(goroutines)))
    },
    version: &["--version"],
};

static DELVE: Program = Program {
    file: "dlv",
    arguments: &["attach", "PID", "--allow-non-terminal-interactive=true"],
    // The last is the answer to whether the process is to be killed.
    input: "goroutines\nexit\nn\n",
    needs_core: false,
    yields: |ended, _| {
        let sum = ended
            .output
            .lines()
            .filter_map(|line| line.strip_prefix('['))
            .next_back();
        let total = sum.and_then(|rest| rest.strip_suffix(" goroutines]")?.parse().ok());
        total
            .map(goroutine_count)
            .ok_or("no goroutines in its output".to_owned())
    },
    version: &["version"],
};

static GOREF: Program = Program {
    file: "grf",
    arguments: &["attach", "PID", "-o", "references"],
    input: "",
    needs_core: false,
    yields: |_, folder| Ok(format!("profile of {}", file_size(&folder.join("references"))?)),
    version: &["version"],
};

static GCORE: Program = Program {
    file: "gcore",
    arguments: &["-o", "core", "PID"],
    input: "",
    needs_core: false,
    yields: |ended, folder| {
        let saved = ended
            .output
            .lines()
            .find_map(|line| line.strip_prefix("Saved corefile "));
        let path = saved.ok_or("no core file in its output")?;
        Ok(format!("core file of {}", file_size(&folder.join(path))?))
    },
    version: &[],
};

static VIEWCORE: Program = Program {
    file: "viewcore",
    arguments: &["CORE", "breakdown"],
    input: "",
    needs_core: true,
    yields: |ended, _| {
        let row = |name: &str| {
            let mut rows = ended
                .output
                .lines()
                .map(|line| line.split_ascii_whitespace().collect::<Vec<_>>());
            let bytes = rows.find_map(|words| (words.first() == Some(&name)).then(|| words.get(1)?.parse().ok()));
            bytes.flatten().map(units::bytes)
        };
        let (live, garbage) = row("live").zip(row("garbage")).ok_or("no live heap in its output")?;
        Ok(format!("{live} live, {garbage} garbage"))
    },
    version: &[],
};

fn goroutine_count(count: u64) -> String {
    units::counted(count, "goroutine", "goroutines")
}

fn file_size(path: &Path) -> Result<String, String> {
    let size = path.metadata().map_or(0, |meta| meta.len());
    let some = (size > 0).then(|| units::bytes(size));
    some.ok_or_else(|| format!("{} is empty or not there", path.display()))
}

impl Tool {
    /// How many of `rounds` it takes part in.
    pub fn runs(&self, rounds: usize) -> usize {
        if self.slow { rounds.div_ceil(7) } else { rounds }
    }

    pub fn is_there(&self) -> bool {
        match self.how {
            How::Program(program) => program.path().is_some(),
            How::Idle | How::Endpoint(_) => true,
        }
    }
}

impl Program {
    /// Where it is installed.
    pub fn path(&self) -> Option<PathBuf> {
        let folders = std::env::var_os("PATH").unwrap_or_default();
        // An absolute name, as gomemscan's, replaces the folder.
        std::env::split_paths(&folders)
            .map(|folder| folder.join(self.file))
            .find(|path| path.is_file())
    }
}

/// The programs with their versions, as far as they tell.
pub fn installed() -> String {
    let described = TOOLS.iter().filter_map(|tool| match tool.how {
        How::Program(program) => {
            let name = Path::new(program.file).file_name()?.to_str()?;
            Some(match program.path() {
                Some(path) => format!("{name}{}", version(&path, program.version)),
                None => format!("{name}: not installed"),
            })
        }
        How::Idle | How::Endpoint(_) => None,
    });
    described.collect::<Vec<_>>().join(", ")
}

/// The first word of its answer that is a number with dots.
fn version(path: &Path, arguments: &[&str]) -> String {
    if arguments.is_empty() {
        return String::new();
    }
    let output = Command::new(path).args(arguments).output();
    let text = output.map_or(String::new(), |output| {
        String::from_utf8_lossy(&output.stdout).into_owned()
    });
    let mut words = text.split_ascii_whitespace().map(|word| word.trim_start_matches('v'));
    let number = words.find(|word| word.contains('.') && word.starts_with(|first: char| first.is_ascii_digit()));
    number.map_or(String::new(), |number| format!(" {number}"))
}
