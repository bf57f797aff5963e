//! Parts of an environment that several formats share, each with keys of its own: packages of Spark and of R, build
//! contexts.

mod build;
mod r;
mod spark;

use std::path::{Path, PathBuf};

use crate::document::{Fields, Node};
use crate::requirement::links_url;
use crate::secrets::{shown, template_start};
use crate::{Diagnostic, Remarks, SafeUrl, Source, codes};

pub(crate) use build::build_context;
pub(crate) use r::{RKeys, r_packages};
pub(crate) use spark::spark_packages;

/// Reads parts of one file.
pub(crate) struct Sections<'s, 'd> {
    pub source: &'s Source,
    pub diagnostics: &'d mut Remarks,
    /// Unknown keys are warned of, as Azure ML's service adds keys to its answers.
    pub lenient: bool,
}

impl<'s> Sections<'s, '_> {
    pub fn report(
        &mut self,
        code: &'static codes::Code,
        node: &Node,
        message: impl Into<String>,
        hint: Option<&str>,
    ) {
        let diagnostic = Diagnostic::new(code, message).at(self.source.place(node.span));
        self.diagnostics.push(Diagnostic { hint: hint.map(str::to_owned), ..diagnostic });
    }

    /// The keys of `node`.
    pub fn fields(&mut self, node: &'s Node, what: &str) -> Option<Fields<'s>> {
        Fields::new(self.source, node, what, self.diagnostics)
    }

    /// Reports the keys that nobody took.
    pub fn finish(&mut self, fields: Fields<'s>) {
        let mut unknown = Remarks::default();
        fields.finish(&mut unknown);
        for mut diagnostic in unknown {
            if self.lenient {
                diagnostic.code = codes::NOT_HONOURED.id;
                diagnostic.severity = codes::NOT_HONOURED.severity;
                diagnostic.message = format!("{} is not read", diagnostic.message);
            }
            self.diagnostics.push(diagnostic);
        }
    }

    /// A text without templates, with its node.
    pub fn text(&mut self, fields: &mut Fields<'s>, key: &'static str) -> Option<(String, &'s Node)> {
        let node = fields.node(key)?;
        self.text_of(node, key).map(|text| (text, node))
    }

    /// The text of `node`, which is no template.
    pub fn text_of(&mut self, node: &Node, what: &str) -> Option<String> {
        let Some(text) = node.text().filter(|_| node.as_bool().is_none()) else {
            let message = format!("`{what}` must be a text, not {}", node.kind_name());
            self.report(codes::WRONG_TYPE, node, message, None);
            return None;
        };
        if template_start(text).is_some() {
            let message = format!("`{what}` holds a template that was not filled in");
            self.report(codes::TEMPLATE, node, message, Some("fill the template in first"));
            return None;
        }
        Some(text.to_owned())
    }

    /// A list of texts.
    pub fn texts(&mut self, fields: &mut Fields<'s>, key: &'static str) -> Vec<(String, &'s Node)> {
        let items = fields.list(key, self.diagnostics).unwrap_or_default();
        items.iter().filter_map(|item| Some((self.text_of(item, key)?, item))).collect()
    }

    /// The URL, or the folder relative to the file, that `text` at `node` names.
    pub fn url(&mut self, text: &str, node: &Node) -> Option<SafeUrl> {
        match links_url(text.trim(), &folder_of(self.source)) {
            Ok(url) => Some(url),
            Err(error) => {
                self.report(error.code, node, error.message, error.hint.as_deref());
                None
            }
        }
    }

    /// Whether `text` at `node` is a text of one line that is not empty; anything else is reported.
    pub fn is_word(&mut self, text: &str, node: &Node, what: &str) -> bool {
        let valid = !text.is_empty() && !text.contains(|c: char| c.is_whitespace() || c.is_control());
        if !valid {
            self.report(codes::INVALID_VALUE, node, format!("`{}` is not {what}", shown(text)), None);
        }
        valid
    }
}

/// The folder of the file, absolute.
pub(crate) fn folder_of(source: &Source) -> PathBuf {
    let folder = source.folder();
    let folder = if folder.as_os_str().is_empty() { Path::new(".") } else { folder };
    std::path::absolute(folder).unwrap_or_else(|_| folder.to_owned())
}
