//! Runs the `gomemscan` command on a process and reads its JSON.

use std::collections::BTreeMap;
use std::process::Command;

use serde_json::Value;

/// A report as scripts see it.
#[derive(Clone, Debug)]
pub struct Scan {
    /// The document.
    pub json: Value,
    /// The exit code.
    pub code: i32,
    /// Standard error.
    pub stderr: String,
}

/// `gomemscan attach PID --json`, with further arguments. Panics when there is no document.
pub fn scan(pid: u32, arguments: &[&str]) -> Scan {
    let output = Command::new(env!("CARGO_BIN_EXE_gomemscan"))
        // A test machine may be so busy that a thread waits for a CPU to stop on.
        .args(["attach", &pid.to_string(), "--json"])
        .args(if arguments.contains(&"--no-pause") {
            &[][..]
        } else {
            &["--max-pause", "20s"]
        })
        .args(arguments)
        .output()
        .expect("gomemscan starts");
    let stderr = String::from_utf8_lossy(&output.stderr).into_owned();
    let json = serde_json::from_slice(&output.stdout).unwrap_or_else(|error| {
        panic!(
            "no JSON on standard output ({error}); exit {:?}: {stderr}",
            output.status
        )
    });
    Scan {
        json,
        code: output.status.code().unwrap_or(-1),
        stderr,
    }
}

impl Scan {
    /// The value at a JSON pointer.
    pub fn at(&self, pointer: &str) -> &Value {
        self.json
            .pointer(pointer)
            .unwrap_or_else(|| panic!("no {pointer} in the report"))
    }

    /// The integer at a JSON pointer.
    pub fn int(&self, pointer: &str) -> u64 {
        let value = self.at(pointer);
        value
            .as_u64()
            .unwrap_or_else(|| panic!("{pointer} is {value}; unavailable: {}", self.at("/unavailable")))
    }

    /// The array at a JSON pointer.
    pub fn list(&self, pointer: &str) -> &[Value] {
        self.at(pointer)
            .as_array()
            .unwrap_or_else(|| panic!("{pointer} is no array"))
    }

    /// Checks whose figures differ, as (name, difference).
    pub fn differences(&self) -> Vec<(String, i64)> {
        let checks = self.list("/capture/checks").iter();
        let named = checks.map(|check| {
            (
                check["name"].as_str().unwrap().to_owned(),
                check["difference"].as_i64().unwrap(),
            )
        });
        named.filter(|(_, difference)| *difference != 0).collect()
    }

    /// Checks that do not hold.
    pub fn failed_checks(&self) -> Vec<Value> {
        self.list("/capture/checks")
            .iter()
            .filter(|check| check["ok"] != true)
            .cloned()
            .collect()
    }

    /// User goroutine counts by (wait reason or status, creator, file, line).
    pub fn groups(&self) -> BTreeMap<(String, String, String, u64), u64> {
        let text = |value: &Value| value.as_str().unwrap_or("").to_owned();
        let mut groups = BTreeMap::new();
        for group in self
            .list("/goroutines/groups")
            .iter()
            .filter(|group| group["system"] == false)
        {
            let wait = if group["reason"].is_null() {
                &group["status"]
            } else {
                &group["reason"]
            };
            let key = (
                text(wait),
                text(&group["function"]),
                text(&group["file"]),
                group["line"].as_u64().unwrap_or(0),
            );
            *groups.entry(key).or_default() += group["count"].as_u64().unwrap();
        }
        groups
    }
}
