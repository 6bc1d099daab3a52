//! Where reports go: standard output, whose reader may leave early, and a file that appears whole or not at all.

use std::fs;
use std::io::{self, Write};
use std::path::{Path, PathBuf};

use tempfile::NamedTempFile;

use super::args::Format;
use super::plan::OutputPlan;
use crate::error::{Error, Result};
use crate::model::AttachReport;
use crate::report::table::TableOptions;
use crate::report::{json, table};

/// The places a report goes to, found writable.
#[derive(Debug)]
pub struct Output {
    plan: OutputPlan,
}

impl Output {
    /// Makes sure that the file can be written, before the target is touched.
    pub fn prepare(plan: OutputPlan) -> Result<Output> {
        if let Some((path, _)) = &plan.file {
            refuse_special(path)?;
            // Creating the temporary file is the proof; it is removed at once so that an interrupted scan leaves
            // nothing behind.
            temporary(path)?;
        }
        Ok(Output { plan })
    }

    /// Writes the report everywhere it should go. Standard output gets its part even when the file fails.
    pub fn write(&self, report: &AttachReport) -> Result<()> {
        let file = match &self.plan.file {
            Some((path, format)) => {
                let table = TableOptions {
                    color: self.plan.color_file,
                    width: self.plan.file_width,
                    ..self.plan.table.clone()
                };
                self.text(report, *format, &table)
                    .and_then(|text| write_file(path, &text))
            }
            None => Ok(()),
        };
        let text = self.text(report, self.plan.stdout, &self.plan.table)?;
        print(&text)?;
        file
    }

    fn text(&self, report: &AttachReport, format: Format, options: &TableOptions) -> Result<String> {
        match format {
            Format::Table => Ok(table::render(report, options)),
            Format::Json => json::render(report, &options.sections).map_err(|error| Error::Internal {
                what: format!("the report does not serialise: {error}"),
            }),
        }
    }
}

/// Writes to standard output. A reader who left has read enough.
pub fn print(text: &str) -> Result<()> {
    let mut stdout = io::stdout().lock();
    match stdout.write_all(text.as_bytes()).and_then(|()| stdout.flush()) {
        Err(error) if error.kind() != io::ErrorKind::BrokenPipe => {
            Err(Error::io("cannot write standard output", error))
        }
        _ => Ok(()),
    }
}

/// Replaces the file as a whole, with mode 0600.
fn write_file(path: &Path, text: &str) -> Result<()> {
    refuse_special(path)?;
    let mut file = temporary(path)?;
    let written = file
        .as_file_mut()
        .write_all(text.as_bytes())
        .and_then(|()| file.as_file().sync_all());
    written.map_err(|error| cannot_write(path, error))?;
    file.persist(path).map_err(|error| cannot_write(path, error.error))?;
    Ok(())
}

/// A temporary file beside `path`, removed when dropped.
fn temporary(path: &Path) -> Result<NamedTempFile> {
    let directory = match path.parent() {
        Some(parent) if !parent.as_os_str().is_empty() => parent.to_owned(),
        _ => PathBuf::from("."),
    };
    // Its absence is told better by the system than by tempfile.
    fs::metadata(&directory).map_err(|error| cannot_write(path, error))?;
    tempfile::Builder::new()
        .prefix(".gomemscan-")
        .suffix(".tmp")
        .tempfile_in(directory)
        .map_err(|error| cannot_write(path, plain(error)))
}

/// Renaming over a device, a pipe or a link would replace it; that is never what was meant.
fn refuse_special(path: &Path) -> Result<()> {
    let refuse = |what: &str| {
        Err(cannot_write(
            path,
            io::Error::new(io::ErrorKind::InvalidInput, what.to_owned()),
        ))
    };
    if path.file_name().is_none() {
        return refuse("it names a directory");
    }
    match fs::symlink_metadata(path) {
        Ok(metadata) if metadata.is_symlink() => refuse("it is a symbolic link, which is not followed"),
        Ok(metadata) if metadata.is_dir() => refuse("it is a directory"),
        Ok(metadata) if !metadata.is_file() => refuse("it is not a regular file"),
        Ok(_) => Ok(()),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
        Err(error) => Err(cannot_write(path, error)),
    }
}

fn cannot_write(path: &Path, error: io::Error) -> Error {
    Error::io(format!("cannot write {}", path.display()), error)
}

/// tempfile's errors name the random file; ours name the file the user asked for.
fn plain(error: io::Error) -> io::Error {
    error
        .raw_os_error()
        .map_or_else(|| io::Error::from(error.kind()), io::Error::from_raw_os_error)
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::{PermissionsExt, symlink};

    use super::*;

    fn plan(path: &Path) -> OutputPlan {
        OutputPlan {
            stdout: Format::Table,
            file: Some((path.to_owned(), Format::Json)),
            table: TableOptions::default(),
            color_file: false,
            file_width: 100,
        }
    }

    fn names(directory: &Path) -> Vec<String> {
        fs::read_dir(directory)
            .unwrap()
            .map(|entry| entry.unwrap().file_name().into_string().unwrap())
            .collect()
    }

    #[test]
    fn a_file_appears_whole_private_and_alone() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("report.json");
        fs::write(&path, "old").unwrap();
        Output::prepare(plan(&path)).unwrap();
        assert_eq!(fs::read_to_string(&path).unwrap(), "old");
        write_file(&path, "new\n").unwrap();
        assert_eq!(fs::read_to_string(&path).unwrap(), "new\n");
        assert_eq!(fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o600);
        assert_eq!(names(directory.path()), ["report.json"]);
    }

    #[test]
    fn links_and_anything_special_are_refused_and_left_alone() {
        let directory = tempfile::tempdir().unwrap();
        let target = directory.path().join("precious");
        let link = directory.path().join("link");
        let dangling = directory.path().join("dangling");
        fs::write(&target, "precious").unwrap();
        symlink(&target, &link).unwrap();
        symlink(directory.path().join("nowhere"), &dangling).unwrap();
        for path in [
            &link,
            &dangling,
            directory.path(),
            Path::new("/dev/null"),
            Path::new(".."),
        ] {
            assert!(Output::prepare(plan(path)).is_err(), "{}", path.display());
            assert!(write_file(path, "x").is_err());
        }
        assert_eq!(fs::read_to_string(&target).unwrap(), "precious");
        assert!(link.is_symlink() && dangling.is_symlink());
        assert_eq!(names(directory.path()).len(), 3);
    }

    #[test]
    fn an_unwritable_place_is_named_before_anything_is_scanned() {
        let directory = tempfile::tempdir().unwrap();
        let file = directory.path().join("file");
        fs::write(&file, "").unwrap();
        for path in [directory.path().join("missing/report.json"), file.join("report.json")] {
            let error = Output::prepare(plan(&path)).unwrap_err().to_string();
            assert!(
                error.starts_with(&format!("cannot write {}: ", path.display())),
                "{error}"
            );
            assert!(!error.contains(".gomemscan-"), "{error}");
        }
    }
}
