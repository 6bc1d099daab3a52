//! The JSON Schema of the reports, generated from the model and committed beside this file, so that a change of the
//! contract shows up in a diff. It is open: consumers must accept fields they do not know.

use schemars::generate::SchemaSettings;
use serde_json::Value;

use super::sections;
use crate::model::{AttachReport, DoctorReport};

/// The committed schema of `attach --json`, as `gomemscan schema` prints it.
pub const ATTACH_SCHEMA: &str = include_str!("schema/attach.schema.json");

/// The committed schema of `doctor --json`.
pub const DOCTOR_SCHEMA: &str = include_str!("schema/doctor.schema.json");

/// The schema of `attach --json` as the model defines it now.
pub fn attach() -> Value {
    let mut schema = settings().into_generator().into_root_schema_for::<AttachReport>();
    // `--section` leaves sections out, so only the head is always there.
    schema.insert("required".to_owned(), sections::HEAD_KEYS.iter().copied().collect());
    ordered(schema)
}

/// The schema of `doctor --json` as the model defines it now.
pub fn doctor() -> Value {
    ordered(settings().into_generator().into_root_schema_for::<DoctorReport>())
}

fn settings() -> SchemaSettings {
    SchemaSettings::draft2020_12().for_serialize()
}

fn ordered(schema: schemars::Schema) -> Value {
    let Value::Object(schema) = schema.to_value() else {
        return Value::Null;
    };
    // What a schema is about comes first for whoever reads it.
    let head = |key: &str| ["$schema", "title", "description"].contains(&key);
    let (first, rest): (Vec<_>, Vec<_>) = schema.into_iter().partition(|(key, _)| head(key));
    Value::Object(first.into_iter().rev().chain(rest).collect())
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use serde_json::Value;

    use super::super::{json, sample, sections::Selection};
    use super::*;

    /// The schema as our own output must meet it: no unknown field, no section missing.
    fn strict(mut schema: Value) -> Value {
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
        close(&mut schema);
        let keys: Vec<Value> = schema["properties"]
            .as_object()
            .unwrap()
            .keys()
            .map(|key| key.as_str().into())
            .collect();
        schema["required"] = keys.into();
        schema
    }

    #[test]
    fn the_committed_schemas_are_the_models() {
        for (name, schema, committed) in [("attach", attach(), ATTACH_SCHEMA), ("doctor", doctor(), DOCTOR_SCHEMA)] {
            let generated = format!("{schema:#}\n");
            let file = format!("src/report/schema/{name}.schema.json");
            if std::env::var_os("UPDATE_SCHEMA").is_some() {
                std::fs::write(Path::new(env!("CARGO_MANIFEST_DIR")).join(file), &generated).unwrap();
                continue;
            }
            assert!(
                generated == committed,
                "{file} is stale: run UPDATE_SCHEMA=1 cargo test --lib report::schema"
            );
        }
    }

    #[test]
    fn every_sample_meets_the_strict_schema() {
        let validator = jsonschema::validator_for(&strict(attach())).unwrap();
        for (name, report) in sample::all() {
            let document: Value =
                serde_json::from_str(&json::render(&report, &Selection::everything()).unwrap()).unwrap();
            let errors: Vec<String> = validator
                .iter_errors(&document)
                .map(|error| format!("{}: {error}", error.instance_path))
                .collect();
            assert!(errors.is_empty(), "{name}: {errors:#?}");
        }
    }

    #[test]
    fn every_doctor_meets_the_strict_schema() {
        let validator = jsonschema::validator_for(&strict(doctor())).unwrap();
        for report in [sample::doctor_works(), sample::doctor_refused()] {
            let document: Value = serde_json::from_str(&json::document(&report).unwrap()).unwrap();
            assert!(validator.is_valid(&document), "{document:#}");
        }
    }

    #[test]
    fn the_strict_schema_refuses_a_field_nobody_declared() {
        let validator = jsonschema::validator_for(&strict(attach())).unwrap();
        let mut document = serde_json::to_value(sample::small_healthy()).unwrap();
        document["idle"]["surprise_bytes"] = 1.into();
        assert!(!validator.is_valid(&document));
    }

    #[test]
    fn a_document_of_one_section_meets_the_open_schema() {
        let validator = jsonschema::validator_for(&attach()).unwrap();
        let selection = Selection::of(&[super::super::sections::Section::Gc]);
        let document: Value = serde_json::from_str(&json::render(&sample::large_sick(), &selection).unwrap()).unwrap();
        assert!(document.get("gc").is_some() && document.get("idle").is_none());
        assert!(validator.is_valid(&document));
    }

    #[test]
    fn every_field_says_what_it_is() {
        fn undescribed(schema: &Value, path: &str, missing: &mut Vec<String>) {
            for (name, property) in schema["properties"].as_object().into_iter().flatten() {
                if property.get("description").is_none() {
                    missing.push(format!("{path}.{name}"));
                }
            }
        }
        let mut missing = Vec::new();
        for (name, schema) in [("attach", attach()), ("doctor", doctor())] {
            undescribed(&schema, name, &mut missing);
            for (name, definition) in schema["$defs"].as_object().unwrap() {
                undescribed(definition, name, &mut missing);
            }
        }
        assert!(missing.is_empty(), "{missing:?}");
    }
}
