//! The normal form of a spec as text.

use std::fmt;

use super::{CondaSpec, Form, Versions};

impl fmt::Display for CondaSpec {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.text(Form::Written))
    }
}

impl CondaSpec {
    /// `channel::name`, version and build after it where they can stand there, the rest in brackets.
    pub(super) fn text(&self, form: Form) -> String {
        let versions = self.versions.as_ref();
        let version = versions.map(|versions| versions.text(form));
        let brackets = self.brackets(form);
        let build = self.build.as_deref();
        let positional = brackets.is_empty()
            && versions.is_none_or(Versions::is_plain)
            && build.is_none_or(|build| {
                versions.is_none_or(Versions::is_one)
                    && build.chars().all(|c| c.is_ascii_alphanumeric() || "_.*+".contains(c))
            });
        let mut text = String::new();
        if let Some(channel) = &self.channel {
            text.push_str(&channel.to_string());
            text.push_str("::");
        }
        text.push_str(&self.name);
        if positional {
            match (&version, build) {
                (None, None) => {}
                (Some(version), None) => text.push_str(&after_name(version)),
                (version, Some(build)) => {
                    let version = version.as_deref().unwrap_or("*");
                    text.push_str(if version.starts_with(['=', '!', '<', '>', '~']) { "" } else { "=" });
                    text.push_str(version);
                    text.push('=');
                    text.push_str(build);
                }
            }
            return text;
        }
        let first = [("version", version.as_deref()), ("build", build)];
        let first = first.into_iter().filter_map(|(key, value)| Some((key, value?.to_owned())));
        let fields: Vec<String> = first
            .chain(brackets)
            .map(|(key, value)| {
                let quote = if value.contains('\'') { '"' } else { '\'' };
                format!("{key}={quote}{value}{quote}")
            })
            .collect();
        format!("{text}[{}]", fields.join(","))
    }

    /// What can only stand in brackets, in a fixed order.
    fn brackets(&self, form: Form) -> Vec<(&'static str, String)> {
        // Every field is named, so that a new one cannot be forgotten here.
        let Self {
            name: _,
            versions: _,
            build: _,
            build_number,
            channel: _,
            subdir,
            namespace,
            file_name,
            url,
            md5,
            sha256,
            license,
            license_family,
            track_features,
        } = self;
        let features = (!track_features.is_empty()).then(|| track_features.join(" "));
        // conda compares licences without regard to case.
        let folded = |text: &Option<String>| match form {
            Form::Canonical => text.as_ref().map(|text| text.to_lowercase()),
            Form::Written => text.clone(),
        };
        [
            ("build_number", build_number.clone()),
            ("subdir", subdir.clone()),
            ("namespace", namespace.clone()),
            ("fn", file_name.clone()),
            ("url", url.as_ref().map(ToString::to_string)),
            ("md5", md5.clone()),
            ("sha256", sha256.as_ref().map(crate::Digest::hex)),
            ("license", folded(license)),
            ("license_family", folded(license_family)),
            ("track_features", features),
        ]
        .into_iter()
        .filter_map(|(key, value)| Some((key, value?)))
        .collect()
    }
}

/// `1.2.*` alone is written `=1.2`, as people do.
fn after_name(version: &str) -> String {
    if version.starts_with(['=', '!', '<', '>', '~']) {
        return version.to_owned();
    }
    match version.strip_suffix(".*").filter(|version| !version.contains([',', '|'])) {
        Some(version) => format!("={version}"),
        None => format!(" {version}"),
    }
}
