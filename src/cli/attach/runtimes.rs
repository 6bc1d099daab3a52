//! Which file of a process holds the Go runtime that is to be read: the executable, or a library built with
//! `-buildmode=c-shared` in a program of another language. A process can have several, each with its own heap.

use std::fs::File;

use crate::error::{Error, Result};
use crate::image::{GoModule, RuntimePlace};
use crate::model::RuntimeInstance;
use crate::target::{LiveProcess, Maps, Module};
use crate::units;

/// The Go runtimes of a process.
pub struct Runtimes {
    /// The executable's first, then by address.
    found: Vec<CodeFile>,
    /// Plugins: more modules of the runtime that is shared.
    plugins: Vec<CodeFile>,
    /// Why files could not be looked into.
    unopened: Vec<Error>,
    /// The executable, for when there is none.
    executable: Option<Module>,
}

/// A file with Go code.
pub struct CodeFile {
    /// Where it is mapped.
    pub module: Module,
    /// That file, open.
    pub file: File,
    /// Whether it shares its runtime with other files.
    shares: bool,
}

/// The runtime to read.
pub struct Chosen {
    /// The file that it is in.
    pub module: Module,
    /// That file, open.
    pub file: File,
    /// Which one it is.
    pub instance: RuntimeInstance,
    /// What the user should know about the others.
    pub warnings: Vec<String>,
    /// Plugins that run on it.
    pub plugins: Vec<CodeFile>,
    /// Why a library could not be looked into, when no runtime was found.
    pub unopened: Option<Error>,
}

impl Runtimes {
    /// Looks into every file that the process runs code from. Costs tens of microseconds for each.
    pub fn of(process: &LiveProcess, maps: &Maps) -> Runtimes {
        let mut runtimes = Runtimes {
            found: Vec::new(),
            plugins: Vec::new(),
            unopened: Vec::new(),
            executable: None,
        };
        let mut shared = Vec::new();
        for module in process.modules(maps) {
            if module.is_executable && runtimes.executable.is_none() {
                runtimes.executable = Some(module.clone());
            }
            let looked = process.open_module(&module).and_then(|file| {
                let probed = file.try_clone().map(|file| GoModule::probe(file, module.path.clone()));
                let probed = probed.map_err(|error| Error::io(module.path.display().to_string(), error))?;
                Ok((file, probed))
            });
            match looked {
                Ok((file, Some(go))) => match go.runtime {
                    RuntimePlace::Own => runtimes.found.push(CodeFile::new(module, file, false)),
                    RuntimePlace::Exported => shared.push(CodeFile::new(module, file, true)),
                    RuntimePlace::Host => runtimes.plugins.push(CodeFile::new(module, file, true)),
                    RuntimePlace::Library => {}
                },
                Ok((_, None)) => {}
                Err(error) => runtimes.unopened.push(error),
            }
        }
        // Symbols that are exported are looked up in the executable first, and then in the order of loading: all who
        // take part in this have one runtime.
        let mut shared = shared.into_iter();
        runtimes.found.extend(shared.next());
        runtimes.plugins.extend(shared);
        runtimes
            .found
            .sort_by_key(|found| (!found.module.is_executable, found.module.anchor.0));
        runtimes
    }

    /// The runtime with this index, or the first one. The executable when there is none: what it is instead of a Go
    /// program is for others to say.
    pub fn choose(self, process: &LiveProcess, index: Option<u32>) -> Result<Chosen> {
        let wanted = index.unwrap_or(0) as usize;
        let warnings = self.warnings(wanted);
        let count = self.found.len() as u64;
        if count > 0 && self.found.get(wanted).is_none() {
            return Err(Error::Argument {
                what: format!("process {} has no Go runtime {wanted}", process.pid()),
                remedy: Some(format!("it has {}", self.listed(|_| true))),
            });
        }
        let Some(CodeFile { module, file, shares }) = self.found.into_iter().nth(wanted) else {
            // In the middle of an exec its mappings are still to be made.
            let module = self.executable.ok_or_else(|| Error::NoTarget {
                what: format!(
                    "{} is not mapped in process {}",
                    process.info().exe_path.display(),
                    process.pid()
                ),
                remedy: Some("if the process was only just started, try again".to_owned()),
            })?;
            return Ok(Chosen {
                file: process.open_module(&module)?,
                // Should it turn out to be Go after all, though it does not say so, it is the only one.
                instance: instance(&module, 0, 1),
                module,
                warnings,
                plugins: Vec::new(),
                unopened: self.unopened.into_iter().next(),
            });
        };
        Ok(Chosen {
            instance: instance(&module, wanted as u64, count),
            module,
            file,
            warnings,
            plugins: if shares { self.plugins } else { Vec::new() },
            unopened: None,
        })
    }

    fn warnings(&self, wanted: usize) -> Vec<String> {
        let mut warnings = Vec::new();
        if self.found.len() > 1 {
            warnings.push(format!(
                "the process has {} Go runtimes, each with a heap of its own; not read: {}",
                self.found.len(),
                self.listed(|index| index != wanted)
            ));
        }
        if let Some(first) = self.unopened.first().filter(|_| !self.found.is_empty()) {
            warnings.push(format!(
                "{} could not be looked into and may hold more Go runtimes; the first: {first}",
                units::counted(self.unopened.len() as u64, "mapped file", "mapped files"),
            ));
        }
        warnings
    }

    /// Names runtimes, with the option that reads each.
    fn listed(&self, shown: impl Fn(usize) -> bool) -> String {
        let named = self.found.iter().enumerate().filter(|(index, _)| shown(*index));
        let names: Vec<String> = named
            .map(|(index, found)| format!("{} (--runtime {index})", found.module.path.display()))
            .collect();
        names.join(", ")
    }
}

impl CodeFile {
    fn new(module: Module, file: File, shares: bool) -> CodeFile {
        CodeFile { module, file, shares }
    }
}

fn instance(module: &Module, index: u64, count: u64) -> RuntimeInstance {
    RuntimeInstance {
        index,
        count,
        module: Some(module.path.to_string_lossy().into_owned()),
    }
}

impl Chosen {
    /// Why nothing can be read: that the executable is no Go program is half the truth when its libraries could not be
    /// looked into.
    pub fn refusal(unopened: Option<Error>, error: Error) -> Error {
        match (error, unopened) {
            (Error::NoTarget { what, .. }, Some(Error::NotPermitted { cause, remedy })) => Error::NotPermitted {
                cause: format!("{what}; and {cause}"),
                remedy,
            },
            (Error::NoTarget { what, remedy }, Some(unopened)) => Error::NoTarget {
                what: format!("{what}; and {unopened}"),
                remedy,
            },
            (error, _) => error,
        }
    }
}
