//! What the readers ask of a source of types, written down.

use std::cell::RefCell;
use std::collections::BTreeSet;

use gomemscan::goruntime::layout::{Layout, LayoutError};
use gomemscan::goruntime::variants::Variant;
use gomemscan::image::Arch;
use gomemscan::image::types::{FieldLoc, TypeSource};

/// One question; globals are left out, since their addresses are each program's own.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Question {
    Size(String),
    Field(String, String),
    Constant(String),
}

/// Passes questions on and remembers them.
pub struct Recorder<'a> {
    types: &'a dyn TypeSource,
    asked: RefCell<BTreeSet<Question>>,
}

impl Recorder<'_> {
    fn note(&self, question: Question) {
        self.asked.borrow_mut().insert(question);
    }
}

impl TypeSource for Recorder<'_> {
    fn size_of(&self, name: &str) -> Option<u64> {
        self.note(Question::Size(name.to_owned()));
        self.types.size_of(name)
    }

    fn field(&self, root: &str, path: &str) -> Option<FieldLoc> {
        self.note(Question::Field(root.to_owned(), path.to_owned()));
        self.types.field(root, path)
    }

    fn constant(&self, name: &str) -> Option<i64> {
        self.note(Question::Constant(name.to_owned()));
        self.types.constant(name)
    }

    fn global(&self, name: &str) -> Option<u64> {
        self.types.global(name)
    }
}

/// What every reader asks of `types`, and what they make of it: everything in gomemscan that takes a [`TypeSource`]
/// for more than globals.
pub fn read_all(
    types: &dyn TypeSource,
    minor: u32,
    arch: Arch,
) -> (BTreeSet<Question>, Result<(Layout, Variant), LayoutError>) {
    let recorder = Recorder {
        types,
        asked: RefCell::default(),
    };
    let layout = Layout::resolve(&recorder);
    let variant = Variant::of(minor, arch, &recorder);
    (recorder.asked.into_inner(), layout.map(|layout| (layout, variant)))
}
