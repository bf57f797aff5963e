//! The entries under `dependencies`: specs, `pip:` sections, `sel(…)` maps.

use super::environment::Reader;
use super::selector;
use super::spec::Parsed;
use crate::document::{Kind, Node};
use crate::pip::{LogicalLine, Role};
use crate::secrets::{shown, template_start};
use crate::{CondaRequirement, Platform, codes};

/// The platforms that an entry counts on.
#[derive(Clone, Debug)]
pub(super) struct Selected(Vec<Platform>);

impl Selected {
    pub fn everywhere() -> Self {
        Self(selector::ALL.to_vec())
    }

    fn and(&self, platforms: &[Platform]) -> Self {
        Self(self.0.iter().copied().filter(|platform| platforms.contains(platform)).collect())
    }

    fn is_everywhere(&self) -> bool {
        self.0.len() == selector::ALL.len()
    }
}

impl<'s> Reader<'s, '_> {
    pub fn dependency(&mut self, node: &'s Node, selected: &Selected) {
        match &node.kind {
            Kind::Scalar(_) if node.is_null() => {
                let hint = "remove it, or write the package on the same line";
                self.report(codes::WRONG_TYPE, node, "an item without a package", Some(hint));
            }
            Kind::Scalar(scalar) => self.package(node, &scalar.text, selected),
            Kind::Sequence(_) => {
                let hint = "list packages side by side, one per item";
                self.report(codes::WRONG_TYPE, node, "a package must be a text, not a list", Some(hint));
            }
            Kind::Mapping(entries) if entries.is_empty() => {}
            Kind::Mapping(entries) => {
                for (key, value) in entries {
                    self.section(key, value, selected);
                }
            }
        }
    }

    fn section(&mut self, key: &'s Node, value: &'s Node, selected: &Selected) {
        let name = key.scalar().map_or("", |scalar| scalar.text.trim());
        if let Some(expression) = selector::in_key(name) {
            let selected = self.select(key, expression, selected);
            match &value.kind {
                Kind::Sequence(items) => items.iter().for_each(|item| self.dependency(item, &selected)),
                _ => self.dependency(value, &selected),
            }
        } else if name == "pip" {
            self.pip_section(key, value, selected);
        } else {
            let hint = match value.text().filter(|_| name.parse::<super::CondaSpec>().is_ok()) {
                Some(version) if version.trim_start().starts_with(['<', '>', '=', '!', '~']) => {
                    format!("write `- {}{}`", shown(name), shown(version.trim_start()))
                }
                Some(version) => format!("write `- {}={}`", shown(name), shown(version)),
                None => "besides packages there are `pip:` sections and `sel(linux):` only".to_owned(),
            };
            let message = format!("`{}:` is no section of dependencies", shown(name));
            self.report(codes::WRONG_TYPE, key, message, Some(&hint));
        }
    }

    fn pip_section(&mut self, key: &'s Node, value: &'s Node, selected: &Selected) {
        if let Some(first) = self.pip_section {
            let message = format!("a second `pip:` section, the first is in line {}", first.span.line);
            let hint = "conda takes the last one only; here all count: put them together";
            self.report(codes::READ_OTHERWISE, key, message, Some(hint));
        } else {
            self.pip_section = Some(key);
        }
        match &value.kind {
            Kind::Sequence(items) => items.iter().for_each(|item| self.pip_line(item, selected)),
            Kind::Scalar(_) if value.is_null() => {
                let hint = "indent its list more than `- pip:`; what stands at the same depth is conda's";
                self.report(codes::NOT_HONOURED, key, "a `pip:` section without a list", Some(hint));
            }
            _ => {
                let message = format!("`pip` must be a list, not {}", value.kind_name());
                let hint = "begin each line with `- ` and indent it more than `pip`";
                self.report(codes::WRONG_TYPE, value, message, Some(hint));
            }
        }
    }

    fn pip_line(&mut self, node: &'s Node, selected: &Selected) {
        let Some(text) = node.text().filter(|text| !text.trim().contains('\n')) else {
            let message = format!("a requirement must be a text of one line, not {}", node.kind_name());
            self.report(codes::WRONG_TYPE, node, message, None);
            return;
        };
        let Some(selected) = self.selected(node, text, selected) else { return };
        if !selected.is_everywhere() {
            let message = "a selector in a `pip:` list counts for all of Linux or not at all";
            let hint = "write a marker: `; platform_machine == 'x86_64'`";
            self.report(codes::NOT_HONOURED, node, message, Some(hint));
        }
        self.pip.read_entry(self.source, text, node.span, Role::Requirement);
    }

    fn package(&mut self, node: &'s Node, text: &str, selected: &Selected) {
        let Some(selected) = self.selected(node, text, selected) else { return };
        let source = self.source;
        if self.file.is_full(|| source.place(node.span)) {
            return;
        }
        let line = LogicalLine::at(self.source, text, node.span);
        if node.block && text.trim_start().starts_with(['=', '<', '>']) {
            let hint = "quote the whole item: YAML takes a `>` or `|` at its beginning for a block of text";
            self.report(codes::INVALID_CONDA_SPEC, node, "the name of a package is missing", Some(hint));
            return;
        }
        match Parsed::new(&line.text, &self.folder) {
            Ok(Parsed { spec, extras }) => {
                if let Some(range) = extras {
                    let message = "conda reads over extras in brackets, and so does this";
                    let hint =
                        "what pip installs stands in a `pip:` list; without extras, remove the brackets";
                    let diagnostic = crate::Diagnostic::new(codes::READ_OTHERWISE, message).with_hint(hint);
                    let place = line.place(range.start, range.len());
                    self.file.diagnostics.push(diagnostic.at(place));
                }
                let platforms = if selected.is_everywhere() { Vec::new() } else { selected.0 };
                self.file.conda.packages.push(CondaRequirement { spec: spec.to_string(), platforms });
                self.file.package_places.push(line.place(0, line.text.len()));
            }
            Err(error) => self.file.diagnostics.push(super::refused(&line, error)),
        }
    }

    /// Where an entry counts, its comment considered; `None` where it counts nowhere.
    fn selected(&mut self, node: &Node, text: &str, selected: &Selected) -> Option<Selected> {
        let selected = match selector::in_comment(self.source, node) {
            Some(expression) => self.select(node, expression, selected),
            None => selected.clone(),
        };
        if selected.0.is_empty() {
            let text = if template_start(text).is_some() {
                "an entry"
            } else {
                &*format!("`{}`", shown(text.trim()))
            };
            let message = format!("{text} is left out: its selector names other systems than Linux");
            self.report(codes::OTHER_SYSTEM, node, message, None);
            return None;
        }
        Some(selected)
    }

    fn select(&mut self, node: &Node, expression: &str, selected: &Selected) -> Selected {
        if let Some(platforms) = selector::platforms(expression) {
            return selected.and(&platforms);
        }
        let message =
            format!("the selector `{}` is not understood: the entry counts everywhere", shown(expression));
        let hint = "use `linux`, `unix`, `linux64`, `aarch64`, `osx` or `win`, with `not`, `and` and `or`";
        self.report(codes::UNKNOWN_SELECTOR, node, message, Some(hint));
        selected.clone()
    }
}
