//! Finds the debug file of a stripped binary, or takes the one that was given.

use std::fs::File;
use std::path::Path;

use crate::error::{Error, Result};
use crate::image::{Image, NotUsed};
use crate::target::{LiveProcess, open_on_host};

/// `error`, with what was said of debug files that could have prevented it.
pub fn explain(error: Error, image: &Image) -> Error {
    let notes = image.warnings.iter().filter(|warning| warning.starts_with(NOT_USED));
    let notes: String = notes.map(|note| format!("; {note}")).collect();
    match error {
        Error::Unsupported { what, remedy } => Error::Unsupported {
            what: format!("{what}{notes}"),
            remedy,
        },
        error => error,
    }
}

const NOT_USED: &str = "a debug file is not used: ";

/// Gives `image` the debug information of a separate file: of `given`, which then must fit, or of the one that is found
/// when the binary has none of its own. A file that was found and does not fit is told in a warning.
pub fn complete(image: &mut Image, given: Option<&Path>, process: &LiveProcess) -> Result<()> {
    match given {
        Some(path) => take(image, path),
        None if image.build.is_some() && image.debug.is_err() => {
            search(image, process);
            Ok(())
        }
        None => Ok(()),
    }
}

fn take(image: &mut Image, path: &Path) -> Result<()> {
    let file = File::open(path).map_err(|error| Error::io(path.display().to_string(), error))?;
    let program = image.path().display().to_string();
    image.use_debug_file(file, path.to_owned(), None).map_err(|why| {
        let what = format!("--debug-file {} cannot be used for {program}: {why}", path.display());
        let remedy = match why {
            NotUsed::OtherBuild(_) => "give the file that was split off this very build",
            NotUsed::Useless(_) => "give a file with the debug information (.debug_info) of this build",
        };
        Error::Argument {
            what,
            remedy: Some(remedy.to_owned()),
        }
    })
}

/// Looks where the binary and custom say, first as the target sees its files, then on the host.
fn search(image: &mut Image, process: &LiveProcess) {
    for place in image.debug_file_places() {
        let inside = process.open_in_root(&place.path);
        let outside = open_on_host(&place.path);
        for file in [inside, outside].into_iter().flatten() {
            match image.use_debug_file(file, place.path.clone(), place.crc) {
                Ok(()) => return,
                Err(why) => {
                    let warning = format!("{NOT_USED}{}: {why}", place.path.display());
                    if !image.warnings.contains(&warning) {
                        image.warnings.push(warning);
                    }
                }
            }
        }
    }
}
