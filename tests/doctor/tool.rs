//! Runs `doctor` and `attach` in one and the same situation.

use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};
use std::sync::LazyLock;

use serde_json::Value;

use crate::guest::open_copy;
use crate::support::schema::strict;

/// How the tool is run.
#[derive(Clone, Copy, Default)]
pub struct Situation<'a> {
    /// Words before the tool's own: programs that drop rights and then start it.
    pub through: &'a [&'a str],
    /// Options for both commands.
    pub options: &'a [&'a str],
    /// Done in the process that becomes the tool.
    pub before: Option<fn() -> std::io::Result<()>>,
}

/// What came of it.
pub struct Foresight {
    /// The exit code of both.
    pub code: i32,
    /// What `doctor --json` said.
    pub json: Value,
    /// What `attach` said on standard error.
    pub stderr: String,
}

impl Situation<'_> {
    /// Runs both, expects the same exit code of them and a document that meets the schema.
    pub fn foresee(self, pid: i32) -> Foresight {
        let doctor = self.run("doctor", pid, &["--json"]);
        let attach = self.run("attach", pid, &["--json"]);
        let stderr = String::from_utf8_lossy(&attach.stderr).into_owned();
        let json: Value = serde_json::from_slice(&doctor.stdout).unwrap_or_else(|error| {
            panic!(
                "{error}: {:?} {}",
                doctor.status,
                String::from_utf8_lossy(&doctor.stderr)
            )
        });
        assert_eq!(doctor.status.code(), attach.status.code(), "{json:#}\nattach: {stderr}");
        let code = doctor.status.code().unwrap();
        assert_eq!(json["verdict"]["exit_code"], code);
        assert_eq!(json["verdict"]["works"], code == 0);
        meets_the_schema(&json);
        Foresight { code, json, stderr }
    }

    /// The table that people see.
    pub fn table(self, pid: i32) -> String {
        String::from_utf8(self.run("doctor", pid, &["--width", "100"]).stdout).unwrap()
    }

    fn run(self, command: &str, pid: i32, more: &[&str]) -> Output {
        let tool = tool().to_str().unwrap();
        let pid = pid.to_string();
        let mut words = self.through.iter().copied().chain([tool, command, &pid]);
        let mut run = Command::new(words.next().unwrap());
        run.args(words).args(self.options).args(more);
        if let Some(before) = self.before {
            // SAFETY: a few system calls between fork and exec.
            unsafe { run.pre_exec(before) };
        }
        run.output().unwrap()
    }
}

impl Foresight {
    /// The status of a check.
    pub fn status(&self, id: &str) -> &str {
        self.check(id)["status"].as_str().unwrap()
    }

    /// A check.
    pub fn check(&self, id: &str) -> &Value {
        let checks = self.json["checks"].as_array().unwrap();
        checks
            .iter()
            .find(|check| check["id"] == id)
            .unwrap_or_else(|| panic!("no check {id} in {:#}", self.json))
    }

    /// Expects that a scan will not work for this reason, and that `attach` gave the same.
    pub fn blames(&self, code: i32, id: &str, words: &str) {
        assert_eq!(self.code, code, "{:#}", self.json);
        assert_eq!(self.status(id), "fail", "{:#}", self.json);
        let fact = self.check(id)["fact"].as_str().unwrap();
        assert!(fact.contains(words), "{fact}");
        assert!(self.stderr.contains(fact), "doctor: {fact}\nattach: {}", self.stderr);
        let verdict = self.json["verdict"]["text"].as_str().unwrap();
        assert!(verdict.contains(fact), "{verdict}");
    }
}

/// The command, where every user can run it.
fn tool() -> &'static Path {
    static COPY: LazyLock<(tempfile::TempDir, PathBuf)> =
        LazyLock::new(|| open_copy(Path::new(env!("CARGO_BIN_EXE_gomemscan")), 0o755));
    &COPY.1
}

fn meets_the_schema(document: &Value) {
    let schema = strict(include_str!("../../src/report/schema/doctor.schema.json"));
    let validator = jsonschema::validator_for(&schema).unwrap();
    let errors: Vec<String> = validator
        .iter_errors(document)
        .map(|error| format!("{}: {error}", error.instance_path))
        .collect();
    assert!(errors.is_empty(), "{errors:#?}");
}
