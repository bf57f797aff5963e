//! `python`: the conda environment, inline or in `conda_dependencies.yml` beside the file.

use super::{FILE_NAME, Reader};
use crate::conda::environment::read_conda_file;
use crate::document::{Kind, Node, parse_yaml};
use crate::secrets::shown;
use crate::{Source, codes};

/// The file that the SDK writes beside; it counts more than what stands inline.
const CONDA_FILE: &str = "conda_dependencies.yml";

impl<'s> Reader<'s, '_> {
    pub(super) fn python(&mut self, node: &'s Node) {
        let Some(mut fields) = self.sections.fields(node, "`python`") else { return };
        let place = |node: &Node| self.sections.source.place(node.span);
        self.read.origins.user_managed = fields.peek("userManagedDependencies").map(place);
        self.read.origins.interpreter_path = fields.peek("interpreterPath").map(place);
        let user_managed = fields.flag("userManagedDependencies", self.sections.diagnostics) == Some(true);
        self.read.environment.definition.user_managed = user_managed;
        let interpreter = self.sections.text(&mut fields, "interpreterPath");
        if let Some((path, _)) = interpreter.filter(|(path, _)| path != "python") {
            self.read.environment.interpreter_path = Some(path);
        }
        let inline = fields.node("condaDependencies");
        let file = fields.node("condaDependenciesFile");
        self.other_than(
            &mut fields,
            "baseCondaEnvironment",
            &[],
            "an environment that is already on some machine is not built upon",
        );
        self.conda(inline, file);
        self.sections.finish(fields);
    }

    /// Reads the file beside, else what stands inline, else the file that is named.
    pub(super) fn conda(&mut self, inline: Option<&'s Node>, named: Option<&'s Node>) {
        if let Some(beside) = self.beside(CONDA_FILE) {
            match beside {
                Ok(source) => self.conda_source(&source),
                Err(error) => self.sections.diagnostics.extend(error.0),
            }
            return;
        }
        let Some(node) = inline.or(named) else { return };
        if let (Some(_), Some(named)) = (inline, named) {
            let message = "`condaDependenciesFile` is not read: `condaDependencies` counts";
            self.sections.report(codes::NOT_HONOURED, named, message, None);
        }
        if let Kind::Mapping(_) = node.kind {
            let file = read_conda_file(self.sections.source, node, &mut self.pip);
            self.take(file);
            return;
        }
        let Some(path) = self.sections.text_of(node, "condaDependenciesFile") else { return };
        match Source::read_named(&self.sections.source.folder().join(&path)) {
            Ok(source) => self.conda_source(&source),
            Err(error) => {
                let message = format!("cannot include `{}`: {}", shown(&path), error.0[0].message);
                let hint = "included files are named relative to the file that includes them";
                self.sections.report(codes::INVALID_INCLUDE, node, message, Some(hint));
            }
        }
    }

    /// The file `name` in the folder that the SDK wrote; `None` where there is none.
    pub(super) fn beside(&self, name: &str) -> Option<Result<Source, crate::ReadError>> {
        let path = self.sections.source.path();
        let ours = path.file_name().is_some_and(|found| found == FILE_NAME);
        let beside = path.with_file_name(name);
        (ours && beside.is_file()).then(|| Source::read(&beside))
    }

    fn conda_source(&mut self, source: &Source) {
        self.read.files.push(source.path().to_owned());
        match parse_yaml(source) {
            Ok(Some(node)) => {
                let file = read_conda_file(source, &node, &mut self.pip);
                self.take(file);
            }
            Ok(None) => {}
            Err(error) => self.sections.diagnostics.extend(error.0),
        }
    }

    fn take(&mut self, mut file: crate::conda::environment::CondaFile) {
        // Azure ML gives the conda environment a name of its own.
        file.name = None;
        let diagnostics = file.put_into(&mut self.read);
        self.sections.diagnostics.extend(diagnostics);
    }
}
