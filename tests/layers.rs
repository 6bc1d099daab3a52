//! Dependencies between the rooms of `src/` point down only: no file may `use crate::` of a room above its own.

#![allow(clippy::unwrap_used, clippy::panic, reason = "a test fails loudly")]

use std::fs;
use std::path::{Path, PathBuf};

/// Rooms from the bottom up. A room may use its own layer only where it stands alone in it.
const LAYERS: [&[&str]; 7] = [
    &["units", "error", "memory", "spare"],
    &["model"],
    &["target", "image"],
    &["goruntime"],
    &["analysis"],
    &["report"],
    &["cli"],
];

fn layer(room: &str) -> usize {
    let at = LAYERS.iter().position(|rooms| rooms.contains(&room));
    at.unwrap_or_else(|| panic!("src/{room} is in no layer: add it to tests/layers.rs"))
}

fn sources(folder: &Path, list: &mut Vec<PathBuf>) {
    for entry in fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        match path.is_dir() {
            true => sources(&path, list),
            false if path.extension().is_some_and(|extension| extension == "rs") => list.push(path),
            false => {}
        }
    }
}

/// Rooms that a source file names in `crate::room`, comments left out.
fn rooms_used(text: &str) -> Vec<String> {
    let code = text.lines().filter(|line| !line.trim_start().starts_with("//"));
    let mut rooms = Vec::new();
    for line in code {
        for part in line.split("crate::").skip(1) {
            rooms.push(part.chars().take_while(|c| c.is_alphanumeric() || *c == '_').collect());
        }
    }
    rooms
}

#[test]
fn dependencies_point_down_only() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("src");
    let mut files = Vec::new();
    sources(&root, &mut files);
    assert!(files.len() > 50, "only {} files found", files.len());
    let mut forbidden = Vec::new();
    for file in files {
        let inside = file.strip_prefix(&root).unwrap();
        let room = inside
            .components()
            .next()
            .unwrap()
            .as_os_str()
            .to_str()
            .unwrap()
            .trim_end_matches(".rs");
        if matches!(room, "lib" | "main") {
            continue;
        }
        for used in rooms_used(&fs::read_to_string(&file).unwrap()) {
            if used != room && layer(&used) >= layer(room) && !(layer(room) == 0 && layer(&used) == 0) {
                forbidden.push(format!("{} uses crate::{used}", inside.display()));
            }
        }
    }
    assert!(forbidden.is_empty(), "{forbidden:#?}");
}
