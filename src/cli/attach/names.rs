//! What the functions and states that a scan meets are called.

use super::runtimes::CodeFile;
use crate::error::Error;
use crate::goruntime::frames::FrameTable;
use crate::goruntime::locate::Runtime;
use crate::goruntime::modules::{ExeSymbols, module_tables, wait_reasons};
use crate::goruntime::snapshot::Snapshot;
use crate::image::Image;
use crate::memory::Memory;

/// What code and states are called.
pub(super) struct Names {
    /// Positions of goroutine creation.
    pub frames: FrameTable,
    /// Why there are none.
    pub symbols_missing: Option<String>,
    /// Texts of wait reasons.
    pub wait_reasons: Vec<String>,
    /// Why there are none.
    pub wait_reasons_missing: Option<String>,
    /// What a plugin has no names for.
    pub unnamed: Vec<String>,
}

impl Names {
    pub fn resolve(
        memory: &dyn Memory,
        image: &Image,
        runtime: &Runtime,
        snapshot: &Snapshot,
        plugins: &[CodeFile],
    ) -> Names {
        let (wait_reasons, wait_reasons_missing) = match wait_reasons(memory, image, runtime) {
            Ok(reasons) => (reasons, None),
            Err(error) => (Vec::new(), Some(error.to_string())),
        };
        let mut names = Names {
            frames: FrameTable::default(),
            symbols_missing: None,
            wait_reasons,
            wait_reasons_missing,
            unnamed: Vec::new(),
        };
        let Ok(goroutines) = &snapshot.goroutines else {
            return names;
        };
        let symbols = module_tables(memory, runtime)
            .map_err(|error| error.to_string())
            .and_then(|tables| ExeSymbols::new(image, runtime, tables).map_err(|error| error.to_string()));
        match symbols {
            Ok(mut symbols) => {
                for plugin in plugins {
                    let file = plugin.file.try_clone();
                    let added = file.map_err(|error| Error::io("opening a plugin's file once more", error));
                    let module = &plugin.module;
                    if let Err(error) = added.and_then(|file| symbols.add(file, &module.path, module.anchor)) {
                        names
                            .unnamed
                            .push(format!("functions of a plugin have no names: {error}"));
                    }
                }
                names.frames = FrameTable::resolve(goroutines, &symbols);
            }
            Err(why) => names.symbols_missing = Some(why),
        }
        names
    }
}
