//! What `attach --json` prints meets the committed schema, and has no field that the schema does not name.

#![allow(clippy::unwrap_used, clippy::panic, reason = "a test fails loudly")]

mod support;

use serde_json::Value;
use support::fixtures::{Build, all_versions, fixture};
use support::process::Running;
use support::scan::scan;

/// The schema without room for fields it does not name.
fn strict() -> Value {
    fn close(value: &mut Value) {
        match value {
            Value::Object(object) => {
                object.values_mut().for_each(close);
                if object.contains_key("properties") {
                    object.insert("additionalProperties".into(), Value::Bool(false));
                }
            }
            Value::Array(items) => items.iter_mut().for_each(close),
            _ => {}
        }
    }
    let mut schema = serde_json::from_str(include_str!("../src/report/schema/attach.schema.json")).unwrap();
    close(&mut schema);
    schema
}

#[test]
fn real_output_meets_the_schema() {
    let validator = jsonschema::validator_for(&strict()).unwrap();
    for version in all_versions() {
        let churn = Running::start(&fixture("churn", version, Build::Exe), &["-procs", "2"]);
        for arguments in [&["--with-args"][..], &["--no-pause"], &["--section", "gc"]] {
            let scanned = scan(churn.pid(), arguments);
            let errors: Vec<String> = validator
                .iter_errors(&scanned.json)
                .map(|error| format!("{}: {error}", error.instance_path))
                .collect();
            assert!(errors.is_empty(), "Go {version}, {arguments:?}: {errors:#?}");
        }
    }
}
