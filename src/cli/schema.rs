//! `gomemscan schema`: the JSON Schema of what `--json` prints.

use super::args::SchemaOf;
use super::exit::Outcome;
use super::output;
use crate::report::schema::{ATTACH_SCHEMA, DOCTOR_SCHEMA};

/// Prints the schema.
pub fn run(of: SchemaOf) -> anyhow::Result<Outcome> {
    output::print(match of {
        SchemaOf::Attach => ATTACH_SCHEMA,
        SchemaOf::Doctor => DOCTOR_SCHEMA,
    })?;
    Ok(Outcome::Done)
}
