//! `uv.lock`.

use crate::document::Node;
use crate::read::{Format, ReadEnvironment, Reading};
use crate::{Diagnostic, Source, codes};

pub(crate) fn read(source: &Source, node: &Node) -> Reading {
    let _ = node;
    let problem = Diagnostic::new(codes::UNSUPPORTED_FORMAT, "not read yet").in_file(source.path());
    (ReadEnvironment::new(Format::UvLock, source), vec![problem])
}
