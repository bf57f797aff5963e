//! Packages of Spark.

use super::Sections;
use crate::document::{Kind, Node};
use crate::secrets::shown;
use crate::{MavenPackage, SparkPackages, codes};

/// Reads the mapping `node`; `precache` is the key that says whether packages go into the image.
pub(crate) fn spark_packages<'s>(
    sections: &mut Sections<'s, '_>,
    node: &'s Node,
    precache: &'static str,
) -> SparkPackages {
    let mut spark = SparkPackages::default();
    let Some(mut fields) = sections.fields(node, "`spark`") else { return spark };
    for (text, node) in sections.texts(&mut fields, "repositories") {
        spark.repositories.extend(sections.url(&text, node));
    }
    for item in fields.list("packages", sections.diagnostics).unwrap_or_default() {
        spark.packages.extend(package(sections, item));
    }
    spark.no_precache = fields.flag(precache, sections.diagnostics) == Some(false);
    sections.finish(fields);
    spark
}

/// `group:artifact:version`, or a mapping of the three.
fn package<'s>(sections: &mut Sections<'s, '_>, node: &'s Node) -> Option<MavenPackage> {
    let hint = "write `group:artifact:version`";
    let parts = if let Kind::Mapping(_) = node.kind {
        let mut fields = sections.fields(node, "a package of Spark")?;
        let parts: Vec<String> = ["group", "artifact", "version"]
            .into_iter()
            .filter_map(|key| sections.text(&mut fields, key).map(|(text, _)| text))
            .collect();
        sections.finish(fields);
        parts
    } else {
        sections.text_of(node, "packages")?.split(':').map(str::to_owned).collect()
    };
    let is_word = |text: &String| {
        !text.is_empty() && text.chars().all(|c| c.is_ascii_alphanumeric() || "._-+[](),".contains(c))
    };
    match &parts[..] {
        [group, artifact, version] if parts.iter().all(is_word) => {
            Some(MavenPackage { group: group.clone(), artifact: artifact.clone(), version: version.clone() })
        }
        _ => {
            let message = format!("`{}` are not the coordinates of a package", shown(&parts.join(":")));
            sections.report(codes::INVALID_VALUE, node, message, Some(hint));
            None
        }
    }
}
