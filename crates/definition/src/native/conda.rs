//! `conda_file`: the path of a conda environment file, or what would stand in it.

use super::Reader;
use crate::conda::environment::{CondaFile, read_conda_file};
use crate::document::{Fields, Kind, Node, parse_yaml};
use crate::pip::PipReader;
use crate::secrets::shown;
use crate::{Diagnostic, Source, codes};

impl<'s> Reader<'s> {
    pub(super) fn conda_file(&mut self, fields: &mut Fields<'s>, pip: &mut PipReader) -> Option<CondaFile> {
        let (key, node) = fields.entry("conda_file").filter(|(_, node)| !node.is_null())?;
        let mut file = if let Kind::Mapping(_) = node.kind {
            read_conda_file(self.source, node, pip)
        } else {
            let path = self.sections().text_of(node, "conda_file")?;
            let source = self.beside(&path, node)?;
            let file = self.parse(&source, node).map(|root| read_conda_file(&source, &root, pip));
            self.files.push(source.path().to_owned());
            file?
        };
        // Not the environment's: Azure ML gives it one of its own.
        file.name = None;
        let based = ["image", "build", "base", "dockerfile"].iter().any(|key| fields.has(key));
        if !based && fields.has("$schema") {
            let message = "Azure ML: \"Docker image or Dockerfile is required for environments\"";
            let hint = "name an `image` if Azure ML should read this too";
            self.report(codes::NO_AZURE_BASE, key, message.to_owned(), Some(hint));
        }
        Some(file)
    }

    /// The file that `path` at `node` names relative to this one.
    pub(super) fn beside(&mut self, path: &str, node: &Node) -> Option<Source> {
        let path = path.trim();
        if path.contains('\n') {
            let hint = "write a mapping, or the path of a file";
            self.report(codes::WRONG_TYPE, node, "a path must be of one line".to_owned(), Some(hint));
            return None;
        }
        if path.contains("://") || path.starts_with("azureml:") {
            let message = "files from elsewhere are not included".to_owned();
            self.report(codes::NOT_SUPPORTED, node, message, Some("download it and name the copy"));
            return None;
        }
        match Source::read_named(&self.source.folder().join(path)) {
            Ok(source) => Some(source),
            Err(error) => {
                let message = format!("cannot include `{}`: {}", shown(path), error.0[0].message);
                let hint = "included files are named relative to the file that includes them";
                self.report(codes::INVALID_INCLUDE, node, message, Some(hint));
                None
            }
        }
    }

    fn parse(&mut self, source: &Source, node: &Node) -> Option<Node> {
        match parse_yaml(source) {
            Ok(Some(root)) => Some(root),
            Ok(None) => {
                let place = self.place(node);
                let problem = Diagnostic::new(codes::INVALID_INCLUDE, "the conda file is empty");
                self.diagnostics.push(problem.with_hint("list packages under `dependencies`").at(place));
                None
            }
            Err(error) => {
                self.diagnostics.extend(error.0);
                None
            }
        }
    }
}
