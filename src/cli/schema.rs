//! `gomemscan schema`: the JSON Schema of `attach --json`.

use super::exit::Outcome;
use super::output;
use crate::report::schema::ATTACH_SCHEMA;

/// Prints the schema.
pub fn run() -> anyhow::Result<Outcome> {
    output::print(ATTACH_SCHEMA)?;
    Ok(Outcome::Done)
}
