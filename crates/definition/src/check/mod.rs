//! Checks of an environment that was read: what works today and will hurt later.

mod azure;
mod buildable;
mod conda;
mod conda_asked;
pub(crate) mod dockerfile;
mod image;
mod indexes;
mod known;
mod managers;
mod names;
mod packages;
mod python;
mod range;
pub(crate) mod text;
mod variables;

use crate::dockerfile::images_of;
use crate::fix::{Edit, Fix, Position};
use crate::read::Origins;
use crate::{
    Base, Diagnostic, Environment, Format, Place, ReadEnvironment, Remarks, Severity, Source, Span, codes,
};

pub(crate) use known::GIVEN_UP;

/// Beginnings of names that belong to shipped environments.
const RESERVED: &[&str] = &["azureml", "microsoft", "curated/"];

/// All remarks on `environment`, without places.
pub fn check(environment: &Environment) -> Vec<Diagnostic> {
    check_at(environment, &Origins::default())
}

impl ReadEnvironment {
    /// All remarks on the environment, each with its place in the user's file. [`ReadEnvironment::warnings`] are
    /// not repeated.
    pub fn check(&self) -> Vec<Diagnostic> {
        let mut remarks = check_at(&self.environment, &self.origins);
        // Conda's own name of a file is no registration.
        if self.format == Format::CondaEnvironment {
            for remark in remarks.iter_mut().filter(|remark| remark.code == codes::RESERVED_NAME.id) {
                remark.severity = Severity::Warning;
            }
        }
        // What a solver chose is not for people to mend.
        if self.format.is_lock() {
            remarks.retain(|remark| ![codes::MISSPELT_PACKAGE.id, codes::UNPINNED.id].contains(&remark.code));
        }
        remarks
    }
}

/// All remarks on `environment`, each with its place where `origins` knows it.
pub fn check_at(environment: &Environment, origins: &Origins) -> Vec<Diagnostic> {
    let mut remarks = Remarks::default();
    names(environment, origins, &mut remarks);
    variables::variables(environment, origins, &mut remarks);
    images(&environment.definition.base, origins, &mut remarks);
    buildable::remarks(environment, origins, &mut remarks);
    azure::azure(environment, origins, &mut remarks);
    python::python(environment, origins, &mut remarks);
    python::user_managed(environment, origins, &mut remarks);
    packages::system_packages(environment, origins, &mut remarks);
    let asked = conda_asked::asked(environment, origins);
    conda::conda(environment, origins, &asked, &mut remarks);
    packages::requirements(environment, origins, &mut remarks);
    managers::managers(environment, origins, &asked, &mut remarks);
    indexes::indexes(environment, origins, &mut remarks);
    remarks.extend(origins.noticed.iter().cloned());
    remarks.into_vec()
}

pub(crate) use buildable::unlockable;
pub(crate) use python::PYTHONS;
pub use python::no_interpreter;

fn placed(remark: Diagnostic, place: Option<&Place>) -> Diagnostic {
    match place {
        Some(place) => remark.at(place.clone()),
        None => remark,
    }
}

/// Puts quotes around `text`, which stands at `span`.
pub(crate) fn quoted(source: &Source, span: Span, text: &str) -> Fix {
    let quote = |column| {
        let position = Position { line: span.line, column };
        Edit { start: position, end: position, replacement: "\"".to_owned() }
    };
    Fix {
        title: "quote it".to_owned(),
        file: source.path().to_owned(),
        edits: vec![quote(span.column), quote(span.column + text.chars().count())],
    }
}

fn names(environment: &Environment, origins: &Origins, remarks: &mut Remarks) {
    if let Some(name) = &environment.name {
        let lower = name.to_lowercase();
        let place = origins.name.as_ref();
        if let Some(prefix) = RESERVED.iter().find(|prefix| lower.starts_with(**prefix)) {
            let message = format!("names that begin with `{prefix}` are reserved");
            let remark = Diagnostic::new(codes::RESERVED_NAME, message).with_hint("choose another name");
            remarks.push(placed(remark, place));
        } else if let Some(reason) = invalid_name(name) {
            let remark = Diagnostic::new(codes::INVALID_NAME, format!("the name {reason}"));
            remarks.push(placed(remark.with_hint("use letters, digits, `-`, `_` and `.`"), place));
        }
    }
    if let Some(reason) = environment.version.as_deref().and_then(invalid_name) {
        let remark = Diagnostic::new(codes::INVALID_NAME, format!("the version {reason}"));
        let remark = remark.with_hint("use letters, digits, `-`, `_` and `.`");
        remarks.push(placed(remark, origins.version.as_ref()));
    }
}

fn invalid_name(name: &str) -> Option<&'static str> {
    if name.is_empty() {
        Some("is empty")
    } else if name.len() > 255 {
        Some("is longer than 255 characters")
    } else if !name.starts_with(|c: char| c.is_ascii_alphanumeric()) {
        Some("must begin with a letter or digit")
    } else if !name.chars().all(|c| c.is_ascii_alphanumeric() || "-_.".contains(c)) {
        Some("holds a character that cannot be used")
    } else {
        None
    }
}

fn images(base: &Base, origins: &Origins, remarks: &mut Remarks) {
    match base {
        Base::Image { reference } => {
            remarks.extend(image::image(reference).map(|remark| placed(remark, origins.base.as_ref())));
        }
        Base::Dockerfile { text } if origins.base_images.is_empty() => {
            remarks.extend(images_of(text).iter().flat_map(|image| image::image(image).collect::<Vec<_>>()));
        }
        _ => {
            for (image, place) in &origins.base_images {
                remarks.extend(image::image(image).map(|remark| remark.at(place.clone())));
            }
        }
    }
}
