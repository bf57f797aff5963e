//! CycloneDX 1.5 in JSON (its JSON schema).

use std::collections::BTreeMap;

use serde::Serialize;

use super::license::{self, License};
use super::spdx::{is_page, joined};
use super::{Bill, Component, Kind, json};
use crate::oci::CREATED;

pub(super) fn write(bill: &Bill) -> Vec<u8> {
    let mut inner: BTreeMap<usize, Vec<usize>> = BTreeMap::new();
    for (outer, place) in &bill.contains {
        inner.entry(*outer).or_default().push(*place);
    }
    let of = |outer: usize| inner.get(&outer).into_iter().flatten();
    let made = |place: &usize| {
        let mut made = component(&bill.components[*place]);
        made.components = of(*place).map(|place| component(&bill.components[*place])).collect();
        made
    };
    let root = component(&bill.components[0]);
    let mut needs: BTreeMap<usize, Vec<&str>> = BTreeMap::new();
    needs.insert(0, of(0).map(|place| &*bill.components[*place].id).collect());
    for (from, to) in &bill.needs {
        needs.entry(*from).or_default().push(&bill.components[*to].id);
    }
    let dependencies = bill.components.iter().enumerate().map(|(place, component)| Dependency {
        r#ref: &component.id,
        depends_on: needs.get(&place).cloned().unwrap_or_default(),
    });
    json(&Document {
        schema: "http://cyclonedx.org/schema/bom-1.5.schema.json",
        bom_format: "CycloneDX",
        spec_version: "1.5",
        serial_number: format!("urn:uuid:{}", bill.uuid()),
        version: 1,
        metadata: Metadata {
            timestamp: CREATED,
            tools: Tools {
                components: [Tool {
                    r#type: "application",
                    name: "provenv",
                    version: env!("CARGO_PKG_VERSION"),
                }],
            },
            component: root,
        },
        components: of(0).map(made).collect(),
        dependencies: dependencies.collect(),
        // What pip and conda packages brought along is found by its own description, and may have none.
        compositions: [Composition { aggregate: "complete", assemblies: [&bill.components[0].id] }],
    })
}

fn component(component: &Component) -> Listed<'_> {
    let mut properties = vec![property("provenv:kind", component.kind.as_str())];
    if component.requested {
        properties.push(property("provenv:requested", "true"));
    }
    if let Some((name, version)) = &component.source {
        properties.push(property("provenv:source", &format!("{name} {version}")));
    }
    if let Some(path) = &component.path {
        properties.push(property("provenv:path", path));
    }
    if let Some(from) = &component.built_from {
        properties.push(property("provenv:built-from", from));
    }
    let sha256 = component.sha256.map(|digest| Hash { alg: "SHA-256", content: digest.hex() });
    let md5 = component.md5.clone().map(|content| Hash { alg: "MD5", content });
    let download = component.download.as_deref().map(|url| External { r#type: "distribution", url });
    let page = component.homepage.as_deref().filter(|page| is_page(page));
    let page = page.map(|url| External { r#type: "website", url });
    let vcs = component.built_from.as_deref().filter(|from| from.starts_with("git+") && !from.contains(' '));
    let vcs = vcs.map(|url| External { r#type: "vcs", url });
    Listed {
        r#type: match component.kind {
            Kind::Image | Kind::Base => "container",
            Kind::System => "operating-system",
            Kind::Layer => "file",
            Kind::Deb | Kind::Conda | Kind::Pypi | Kind::Npm => "library",
        },
        bom_ref: &component.id,
        supplier: component.is_debians().then_some(Supplier { name: "Debian" }),
        author: component.maker.as_deref(),
        name: &component.name,
        version: Some(component.version.as_str()).filter(|version| !version.is_empty()),
        description: component.summary.as_deref(),
        hashes: sha256.into_iter().chain(md5).collect(),
        licenses: licenses(&license::of(&component.licenses)),
        purl: component.purl.as_deref(),
        external_references: download.into_iter().chain(page).chain(vcs).collect(),
        properties,
        components: Vec::new(),
    }
}

/// Several licences are a list where each is a name or an identifier, and one expression otherwise: the schema takes no mixture.
fn licenses(licenses: &[License]) -> Vec<LicenseChoice> {
    if licenses.iter().any(|license| matches!(license, License::Expression(_))) {
        return joined(licenses).map(LicenseChoice::Expression).into_iter().collect();
    }
    let named = licenses.iter().map(|license| match license {
        License::Id(id) => Named::Id((*id).to_owned()),
        License::Name(name) | License::Expression(name) => Named::Name(name.clone()),
    });
    named.map(LicenseChoice::License).collect()
}

fn property(name: &'static str, value: &str) -> Property {
    Property { name, value: value.to_owned() }
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Document<'b> {
    #[serde(rename = "$schema")]
    schema: &'static str,
    bom_format: &'static str,
    spec_version: &'static str,
    serial_number: String,
    version: u32,
    metadata: Metadata<'b>,
    components: Vec<Listed<'b>>,
    dependencies: Vec<Dependency<'b>>,
    compositions: [Composition<'b>; 1],
}

#[derive(Serialize)]
struct Metadata<'b> {
    timestamp: &'static str,
    tools: Tools,
    component: Listed<'b>,
}

#[derive(Serialize)]
struct Tools {
    components: [Tool; 1],
}

#[derive(Serialize)]
struct Tool {
    r#type: &'static str,
    name: &'static str,
    version: &'static str,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Listed<'b> {
    r#type: &'static str,
    #[serde(rename = "bom-ref")]
    bom_ref: &'b str,
    #[serde(skip_serializing_if = "Option::is_none")]
    supplier: Option<Supplier>,
    #[serde(skip_serializing_if = "Option::is_none")]
    author: Option<&'b str>,
    name: &'b str,
    #[serde(skip_serializing_if = "Option::is_none")]
    version: Option<&'b str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    description: Option<&'b str>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    hashes: Vec<Hash>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    licenses: Vec<LicenseChoice>,
    #[serde(skip_serializing_if = "Option::is_none")]
    purl: Option<&'b str>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    external_references: Vec<External<'b>>,
    properties: Vec<Property>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    components: Vec<Listed<'b>>,
}

#[derive(Serialize)]
struct Supplier {
    name: &'static str,
}

#[derive(Serialize)]
struct Hash {
    alg: &'static str,
    content: String,
}

#[derive(Serialize)]
#[serde(rename_all = "lowercase")]
enum LicenseChoice {
    License(Named),
    Expression(String),
}

#[derive(Serialize)]
#[serde(rename_all = "lowercase")]
enum Named {
    Id(String),
    Name(String),
}

#[derive(Serialize)]
struct External<'b> {
    r#type: &'static str,
    url: &'b str,
}

#[derive(Serialize)]
struct Property {
    name: &'static str,
    value: String,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Dependency<'b> {
    r#ref: &'b str,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    depends_on: Vec<&'b str>,
}

#[derive(Serialize)]
struct Composition<'b> {
    aggregate: &'static str,
    assemblies: [&'b str; 1],
}
