//! From a process to the runtime that is to be read: which file holds it, what that file says, and, where that leaves
//! more than one answer, what the running target says.

use std::path::Path;
use std::rc::Rc;

use super::choose::choose;
use super::debugfile;
use super::runtimes::{Chosen, CodeFile, Runtimes};
use crate::error::{Error, Result};
use crate::goruntime::locate::Runtime;
use crate::image::Image;
use crate::model::RuntimeInstance;
use crate::target::LiveProcess;

/// The file that holds the runtime.
pub struct Found {
    /// What messages call it.
    pub name: String,
    /// What it says.
    pub image: Image,
    /// Which of the process's runtimes it is.
    pub instance: RuntimeInstance,
    /// What the user should know about the others.
    pub warnings: Vec<String>,
    /// Plugins that run on it.
    pub plugins: Vec<CodeFile>,
    /// Its runtime, or why it cannot be read.
    pub runtime: Result<Rc<Runtime>>,
}

impl Found {
    /// Finds runtime number `index` of the process, the first one unless told, with the debug information of
    /// `debug_file` if that is given. Nothing is stopped; a binary without debug information is compared with what the
    /// running target holds.
    pub fn of(process: &LiveProcess, index: Option<u32>, debug_file: Option<&Path>) -> Result<Found> {
        let chosen = Runtimes::of(process, &process.maps()?).choose(process, index)?;
        let Chosen { module, file, .. } = chosen;
        let name = module.path.to_string_lossy().into_owned();
        let copy = file.try_clone().map_err(|error| Error::io(name.clone(), error))?;
        let mut image = Image::open(file, module.path.clone())?;
        debugfile::complete(&mut image, debug_file, process)?;
        process.read_data_of(&module, copy);
        let located = Runtime::locate(&image, module.anchor);
        let located = located.map_err(|error| Chosen::refusal(chosen.unopened, error));
        let runtime = located.and_then(|candidates| choose(process, &name, candidates));
        Ok(Found {
            runtime: runtime.map_err(|error| debugfile::explain(error, &image)),
            name,
            image,
            instance: chosen.instance,
            warnings: chosen.warnings,
            plugins: chosen.plugins,
        })
    }
}
