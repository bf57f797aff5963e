//! Packages of R.

use super::Sections;
use crate::document::{Kind, Node};
use crate::{CranPackage, RPackages, codes};

/// The keys of one format.
pub(crate) struct RKeys {
    pub version: &'static str,
    pub user_managed: &'static str,
    pub rscript_path: &'static str,
    pub snapshot_date: &'static str,
    pub cran: &'static str,
    pub github: &'static str,
    pub urls: &'static str,
    pub bioconductor: &'static str,
}

/// Reads the mapping `node`.
pub(crate) fn r_packages<'s>(sections: &mut Sections<'s, '_>, node: &'s Node, keys: &RKeys) -> RPackages {
    let mut r = RPackages::default();
    let Some(mut fields) = sections.fields(node, "`r`") else { return r };
    r.version = sections.text(&mut fields, keys.version).map(|(text, _)| text);
    r.user_managed = fields.flag(keys.user_managed, sections.diagnostics) == Some(true);
    r.rscript_path = sections.text(&mut fields, keys.rscript_path).map(|(text, _)| text);
    r.snapshot_date = sections.text(&mut fields, keys.snapshot_date).map(|(text, _)| text);
    for item in fields.list(keys.cran, sections.diagnostics).unwrap_or_default() {
        r.cran.extend(cran(sections, item));
    }
    for item in fields.list(keys.github, sections.diagnostics).unwrap_or_default() {
        r.github.extend(github(sections, item));
    }
    for (text, node) in sections.texts(&mut fields, keys.urls) {
        r.urls.extend(sections.url(&text, node));
    }
    for (text, node) in sections.texts(&mut fields, keys.bioconductor) {
        if sections.is_word(&text, node, "the name of a package") {
            r.bioconductor.push(text);
        }
    }
    sections.finish(fields);
    r
}

/// A name, or a mapping of `name`, `version` and `repository`.
fn cran<'s>(sections: &mut Sections<'s, '_>, node: &'s Node) -> Option<CranPackage> {
    let Kind::Mapping(_) = node.kind else {
        let name = sections.text_of(node, "a package of CRAN")?;
        let valid = sections.is_word(&name, node, "the name of a package");
        return valid.then_some(CranPackage { name, version: None, repository: None });
    };
    let mut fields = sections.fields(node, "a package of CRAN")?;
    let name = sections.text(&mut fields, "name");
    let version = sections.text(&mut fields, "version").map(|(text, _)| text);
    let repository = sections.text(&mut fields, "repository");
    let repository = repository.and_then(|(text, node)| sections.url(&text, node));
    sections.finish(fields);
    let Some((name, name_node)) = name else {
        sections.report(codes::INVALID_VALUE, node, "a package of CRAN needs a `name`", None);
        return None;
    };
    let valid = sections.is_word(&name, name_node, "the name of a package");
    valid.then_some(CranPackage { name, version, repository })
}

/// `owner/name@ref`, or a mapping of `repository` and `authToken`.
fn github<'s>(sections: &mut Sections<'s, '_>, node: &'s Node) -> Option<String> {
    let (text, at) = if let Kind::Mapping(_) = node.kind {
        let mut fields = sections.fields(node, "a repository of GitHub")?;
        let found = sections.text(&mut fields, "repository");
        if let Some((key, _)) = fields.entry("authToken").filter(|(_, value)| !value.is_null()) {
            let hint = "keep it in netrc or in the keyring, and take it out of the file";
            let mut place = sections.source.place(key.span);
            place.line_text = None;
            let remark = crate::Diagnostic::new(
                codes::NOT_HONOURED,
                "`authToken` is not kept: a definition holds no secret",
            );
            sections.diagnostics.push(remark.with_hint(hint).at(place));
        }
        sections.finish(fields);
        found?
    } else {
        (sections.text_of(node, "a repository of GitHub")?, node)
    };
    if crate::secrets::holds_secret(&text) {
        let hint = "write `owner/name@ref`";
        sections.report(codes::CREDENTIALS, at, "credentials in the name of a repository", Some(hint));
        return None;
    }
    sections.is_word(&text, at, "a repository such as `owner/name@ref`").then_some(text)
}
