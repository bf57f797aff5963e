//! URLs after `@EXPLICIT`.

use crate::read::{Format, ReadEnvironment, Reading};
use crate::{Diagnostic, Source, codes};

pub(crate) fn read(source: &Source) -> Reading {
    let problem = Diagnostic::new(codes::UNSUPPORTED_FORMAT, "not read yet").in_file(source.path());
    (ReadEnvironment::new(Format::CondaExplicit, source), vec![problem])
}
