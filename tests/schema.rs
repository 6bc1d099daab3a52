//! What `attach --json` prints meets the committed schema, and has no field that the schema does not name.

#![allow(clippy::unwrap_used, clippy::panic, reason = "a test fails loudly")]

mod support;

use support::fixtures::{Build, all_versions, fixture};
use support::process::Running;
use support::scan::scan;
use support::schema::strict;

#[test]
fn real_output_meets_the_schema() {
    let validator =
        jsonschema::validator_for(&strict(include_str!("../src/report/schema/attach.schema.json"))).unwrap();
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
