//! SPDX 2.3 in JSON (ISO/IEC 5962 and its JSON schema).
#![expect(clippy::struct_field_names, reason = "they are SPDX's names")]

use std::collections::BTreeMap;

use provenv_definition::Digest;
use serde::Serialize;

use super::license::{self, License};
use super::{Bill, Component, Kind, json};
use crate::oci::CREATED;

const NOTHING_SAID: &str = "NOASSERTION";

pub(super) fn write(bill: &Bill) -> Vec<u8> {
    let mut extracted = BTreeMap::new();
    let packages = bill.components.iter().map(|component| package(component, &mut extracted)).collect();
    let root = &bill.components[0];
    let described = Relationship {
        spdx_element_id: "SPDXRef-DOCUMENT".to_owned(),
        relationship_type: "DESCRIBES",
        related_spdx_element: reference(root),
    };
    let relation = |kind: &'static str| {
        move |(from, to): &(usize, usize)| Relationship {
            spdx_element_id: reference(&bill.components[*from]),
            relationship_type: kind,
            related_spdx_element: reference(&bill.components[*to]),
        }
    };
    let contains = bill.contains.iter().map(relation("CONTAINS"));
    let needs = bill.needs.iter().map(relation("DEPENDS_ON"));
    json(&Document {
        spdx_version: "SPDX-2.3",
        data_license: "CC0-1.0",
        spdx_id: "SPDXRef-DOCUMENT",
        name: &root.name,
        document_namespace: format!("urn:uuid:{}", bill.uuid()),
        creation_info: CreationInfo {
            created: CREATED,
            creators: [concat!("Tool: provenv-", env!("CARGO_PKG_VERSION"))],
            license_list_version: spdx::license_version().rsplitn(2, '.').last().unwrap_or_default(),
            comment: "The time is that of the image, so that the same image has the same document.",
        },
        packages,
        relationships: std::iter::once(described).chain(contains).chain(needs).collect(),
        has_extracted_licensing_infos: extracted
            .into_iter()
            .map(|(license_id, name)| Extracted {
                license_id,
                extracted_text: format!("The package names its licence: {name}"),
                name,
            })
            .collect(),
    })
}

fn reference(component: &Component) -> String {
    format!("SPDXRef-{}", component.id)
}

fn package<'b>(component: &'b Component, extracted: &mut BTreeMap<String, String>) -> Package<'b> {
    let sha256 =
        component.sha256.map(|digest| Checksum { algorithm: "SHA256", checksum_value: digest.hex() });
    let md5 = component.md5.clone().map(|checksum_value| Checksum { algorithm: "MD5", checksum_value });
    // A git URL is a download location as it stands (SPDX 2.3, 7.7).
    let repository = component.built_from.clone().filter(|from| from.starts_with("git+"));
    let from = component.built_from.as_ref().map(|from| format!("built from {from}"));
    let source = component
        .source
        .as_ref()
        .map(|(name, version)| format!("built from source package {name} {version}"));
    let within = component.path.as_ref().map(|path| format!("known by {path}"));
    let download = component.download.clone().or(repository).filter(|url| !url.contains(['<', '>', ' ']));
    Package {
        name: &component.name,
        spdx_id: reference(component),
        version_info: Some(component.version.as_str()).filter(|version| !version.is_empty()),
        supplier: component.is_debians().then_some("Organization: Debian"),
        originator: component.maker.as_deref().map(originator),
        download_location: download.unwrap_or_else(|| NOTHING_SAID.to_owned()),
        files_analyzed: false,
        checksums: sha256.into_iter().chain(md5).collect(),
        homepage: component.homepage.as_deref().filter(|page| is_page(page)),
        source_info: from.or(source).or(within),
        license_concluded: NOTHING_SAID,
        license_declared: declared(&license::of(&component.licenses), extracted),
        copyright_text: NOTHING_SAID,
        summary: component.summary.as_deref(),
        external_refs: component
            .purl
            .iter()
            .map(|purl| ExternalRef {
                reference_category: "PACKAGE-MANAGER",
                reference_type: "purl",
                reference_locator: purl,
            })
            .collect(),
        primary_package_purpose: match component.kind {
            Kind::Image | Kind::Base => "CONTAINER",
            Kind::System => "OPERATING-SYSTEM",
            Kind::Layer => "ARCHIVE",
            Kind::Deb | Kind::Conda | Kind::Pypi | Kind::Npm => "LIBRARY",
        },
    }
}

/// `Name <address>` as SPDX writes it. Whether that is a person or several is not known: most are people.
fn originator(maker: &str) -> String {
    match maker.split_once('<') {
        Some((name, address)) if !name.trim().is_empty() => {
            format!("Person: {} ({})", name.trim().trim_matches('"'), address.trim_end_matches('>').trim())
        }
        _ => format!("Person: {}", maker.trim_matches(['<', '>'])),
    }
}

/// Whether it is a URL that a document may name.
pub(super) fn is_page(text: &str) -> bool {
    ["https://", "http://"].iter().any(|scheme| text.starts_with(scheme))
        && text.bytes().all(|byte| byte.is_ascii_graphic() && !b"<>\"{}|\\^`".contains(&byte))
}

/// The expression of all licences; names that are not SPDX's are declared in `extracted`.
fn declared(licenses: &[License], extracted: &mut BTreeMap<String, String>) -> String {
    for license in licenses {
        match license {
            License::Name(name) => {
                extracted.insert(license_ref(name), name.clone());
            }
            License::Expression(text) => {
                for own in text.split([' ', '(', ')']).filter(|word| word.starts_with("LicenseRef-")) {
                    extracted.entry(own.to_owned()).or_insert_with(|| own.to_owned());
                }
            }
            License::Id(_) => {}
        }
    }
    joined(licenses).unwrap_or_else(|| NOTHING_SAID.to_owned())
}

/// All of them as one expression.
pub(super) fn joined(licenses: &[License]) -> Option<String> {
    let alone = licenses.len() == 1;
    let terms = licenses.iter().map(|license| match license {
        License::Id(id) => (*id).to_owned(),
        License::Name(name) => license_ref(name),
        License::Expression(text) if alone || !text.contains(" OR ") => text.clone(),
        License::Expression(text) => format!("({text})"),
    });
    let text = terms.collect::<Vec<_>>().join(" AND ");
    (!text.is_empty()).then_some(text)
}

/// An identifier for a licence that SPDX's list does not have.
fn license_ref(name: &str) -> String {
    let plain = |c: char| if c.is_ascii_alphanumeric() || c == '.' { c } else { '-' };
    let short: String = name.chars().take(40).map(plain).collect();
    if short == name {
        format!("LicenseRef-{short}")
    } else {
        format!("LicenseRef-{short}-{}", &Digest::of(name.as_bytes()).hex()[..8])
    }
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Document<'b> {
    spdx_version: &'static str,
    data_license: &'static str,
    #[serde(rename = "SPDXID")]
    spdx_id: &'static str,
    name: &'b str,
    document_namespace: String,
    creation_info: CreationInfo,
    packages: Vec<Package<'b>>,
    relationships: Vec<Relationship>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    has_extracted_licensing_infos: Vec<Extracted>,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct CreationInfo {
    created: &'static str,
    creators: [&'static str; 1],
    license_list_version: &'static str,
    comment: &'static str,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Package<'b> {
    name: &'b str,
    #[serde(rename = "SPDXID")]
    spdx_id: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    version_info: Option<&'b str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    supplier: Option<&'static str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    originator: Option<String>,
    download_location: String,
    files_analyzed: bool,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    checksums: Vec<Checksum>,
    #[serde(skip_serializing_if = "Option::is_none")]
    homepage: Option<&'b str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    source_info: Option<String>,
    license_concluded: &'static str,
    license_declared: String,
    copyright_text: &'static str,
    #[serde(skip_serializing_if = "Option::is_none")]
    summary: Option<&'b str>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    external_refs: Vec<ExternalRef<'b>>,
    primary_package_purpose: &'static str,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Checksum {
    algorithm: &'static str,
    checksum_value: String,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct ExternalRef<'b> {
    reference_category: &'static str,
    reference_type: &'static str,
    reference_locator: &'b str,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Relationship {
    spdx_element_id: String,
    relationship_type: &'static str,
    related_spdx_element: String,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Extracted {
    license_id: String,
    extracted_text: String,
    name: String,
}
