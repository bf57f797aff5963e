//! `docker`: what the image stands on, and settings of the container that are left to whoever runs it.

use super::Reader;
use crate::dockerfile::{DockerfileBase, of_file, of_text};
use crate::document::{Fields, Node};
use crate::native::is_reference;
use crate::recognise::value_of;
use crate::secrets::shown;
use crate::sections::build_context;
use crate::{Base, Diagnostic, Platform, codes};

/// The Dockerfile that the SDK writes beside.
const DOCKERFILE: &str = "BaseDockerfile";

/// Where the service finds build contexts.
const LOCATION_TYPES: [&str; 2] = ["git", "storageAccount"];

/// Shown with what is no part of an image.
const RUN_TIME: &str = "it belongs to the run, not to the image";

impl<'s> Reader<'s, '_> {
    pub(super) fn docker(&mut self, node: Option<&'s Node>) {
        let mut fields = node.and_then(|node| self.sections.fields(node, "`docker`"));
        let beside = self.beside(DOCKERFILE);
        let mut given: Vec<(&'static str, &'s Node)> = Vec::new();
        if let Some(fields) = &mut fields {
            for key in ["baseImage", "baseDockerfile", "buildContext"] {
                given.extend(fields.node(key).map(|node| (key, node)));
            }
        }
        match (beside, &given[..]) {
            (Some(Ok(source)), _) => {
                for (key, node) in &given {
                    let message = format!("`{key}` is not kept: the file `{DOCKERFILE}` beside counts");
                    self.sections.report(codes::NOT_HONOURED, node, message, None);
                }
                // What it would copy from is not kept by Azure ML: a text is all that it has.
                let mut found = of_file(&source);
                if !matches!(found.base, Some(Base::Dockerfile { .. })) {
                    let span = crate::Span { line: 1, column: 1, length: 1 };
                    found = of_text(&source, source.text(), span);
                }
                found.file = Some(source.path().to_owned());
                let place = source.place(crate::Span { line: 1, column: 1, length: 1 });
                self.base(found, place);
            }
            (Some(Err(error)), _) => self.sections.diagnostics.extend(error.0),
            (None, []) => {
                let message = "Azure ML: one of `baseImage`, `baseDockerfile` and `buildContext` is required";
                let hint = "the base is made of Debian packages";
                let mut remark = Diagnostic::new(codes::NO_AZURE_BASE, message).with_hint(hint);
                remark = match node {
                    Some(node) => remark.at(self.sections.source.place(node.span)),
                    None => remark.in_file(self.sections.source.path()),
                };
                self.sections.diagnostics.push(remark);
            }
            (None, [(key, node)]) => self.one_base(key, node, fields.as_mut()),
            (None, [(first, _), (second, node), ..]) => {
                let message =
                    format!("`{first}` and `{second}` exclude each other: an image stands on one thing");
                self.sections.report(codes::CONFLICTING_KEYS, node, message, Some("keep one of them"));
            }
        }
        if let Some(mut fields) = fields {
            self.registry(&mut fields, given.iter().any(|(key, _)| *key == "baseImage"));
            self.platform(&mut fields);
            self.run_time(&mut fields);
            self.sections.finish(fields);
        }
    }

    fn one_base(&mut self, key: &str, node: &'s Node, fields: Option<&mut Fields<'s>>) {
        let place = self.sections.source.place(node.span);
        match key {
            "baseImage" => {
                let Some(reference) = self.sections.text_of(node, key) else { return };
                let address = fields.and_then(|fields| address(fields, &reference));
                let reference = match address {
                    Some(address) => format!("{address}/{}", reference.trim()),
                    None => reference.trim().to_owned(),
                };
                if is_reference(&reference) {
                    self.read.environment.definition.base = Base::Image { reference };
                    self.read.origins.base = Some(place);
                } else {
                    // It may hold the password of a registry.
                    let place = self.sections.source.place_hidden(node.span);
                    let message = "`baseImage` is not the reference of an image";
                    self.sections.diagnostics.push(Diagnostic::new(codes::INVALID_VALUE, message).at(place));
                }
            }
            "baseDockerfile" => {
                let Some(text) = node.text() else {
                    let message = format!("`{key}` must be a text, not {}", node.kind_name());
                    self.sections.report(codes::WRONG_TYPE, node, message, None);
                    return;
                };
                let found = of_text(self.sections.source, text, node.span);
                self.base(found, place);
            }
            _ => self.build_context(node),
        }
    }

    /// `git` and `storageAccount` are the service's; a folder is ours, written where nothing was uploaded yet.
    fn build_context(&mut self, node: &'s Node) {
        let Some(mut fields) = self.sections.fields(node, "`buildContext`") else { return };
        let kind = self.sections.text(&mut fields, "locationType");
        match &kind {
            Some((kind, _)) if LOCATION_TYPES.iter().any(|known| kind.eq_ignore_ascii_case(known)) => {}
            Some((kind, node)) => {
                let message = format!("Azure ML knows no `locationType` `{}`", shown(kind));
                let hint =
                    format!("it knows {}", LOCATION_TYPES.map(|known| format!("`{known}`")).join(" and "));
                self.refused_there(message, &hint, node.span);
            }
            None => {
                let message = "Azure ML wants the `locationType` of a build context";
                let hint = "write `git` for a repository, `storageAccount` for an upload";
                self.refused_there(message, hint, node.span);
            }
        }
        if !fields.has("dockerfilePath") {
            let message = "Azure ML wants the `dockerfilePath` of a build context";
            let hint = "the file `Dockerfile` is taken; name it";
            self.refused_there(message, hint, node.span);
        }
        let location = self.sections.text(&mut fields, "location");
        let dockerfile = self.sections.text(&mut fields, "dockerfilePath");
        self.sections.finish(fields);
        let Some((location, location_node)) = location else {
            self.sections.report(codes::INVALID_CONTEXT, node, "`buildContext` lacks `location`", None);
            return;
        };
        let found = build_context(&mut self.sections, &location, location_node, dockerfile);
        let place = self.sections.source.place(location_node.span);
        self.base(found, place);
    }

    fn base(&mut self, found: DockerfileBase, place: crate::Place) {
        self.sections.diagnostics.extend(found.diagnostics);
        self.read.files.extend(found.file);
        self.read.origins.base = Some(place);
        self.read.origins.base_images = found.images;
        self.read.origins.base_steps = found.steps;
        self.read.environment.definition.base = found.base.unwrap_or_default();
    }

    /// Credentials of the base image's registry are never kept.
    fn registry(&mut self, fields: &mut Fields<'s>, is_image: bool) {
        let Some(node) = fields.node("baseImageRegistry") else { return };
        let Some(mut registry) = self.sections.fields(node, "`baseImageRegistry`") else { return };
        let address = self.sections.text(&mut registry, "address");
        if let Some((_, node)) = address.filter(|(address, _)| !address.is_empty() && !is_image) {
            let message = "`address` is not kept: no `baseImage` is taken from there";
            self.sections.report(codes::NOT_HONOURED, node, message, None);
        }
        self.credentials(&registry);
        for key in ["username", "password"] {
            let Some((name, _)) = registry.entry(key).filter(|(_, value)| !super::is_empty(value)) else {
                continue;
            };
            let mut place = self.sections.source.place(name.span);
            // The value may stand on the same line.
            place.line_text = None;
            let remark = Diagnostic::new(
                codes::NOT_HONOURED,
                format!("`{key}` is not kept: a definition holds no credentials"),
            );
            let hint = "take it out of the file, and log in to the registry where the image is built";
            self.sections.diagnostics.push(remark.with_hint(hint).at(place));
        }
        self.other_than(
            &mut registry,
            "registryIdentity",
            &[],
            "identities of Azure mean nothing here; log in to the registry where the image is built",
        );
        self.sections.finish(registry);
    }

    /// Azure ML wants a user with a password, or an identity, and all of it.
    fn credentials(&mut self, registry: &Fields<'s>) {
        let given = |node: Option<&'s Node>| node.filter(|node| !super::is_empty(node));
        let (user, password) = (given(registry.peek("username")), given(registry.peek("password")));
        let identity = given(registry.peek("registryIdentity"));
        let inner = |key: &str| identity.and_then(|node| given(value_of(node, key)));
        let (resource, client) = (inner("resourceId"), inner("clientId"));
        let message = match (user, password, identity) {
            (Some(_), _, Some(_)) | (_, Some(_), Some(_)) => {
                "Azure ML refuses credentials of two kinds: a user's and an identity"
            }
            (Some(_), None, None) => "Azure ML refuses a `username` without its `password`",
            (None, Some(_), None) => "Azure ML refuses a `password` without its `username`",
            (None, None, Some(_)) if resource.is_none() || client.is_none() => {
                "Azure ML refuses an identity without `resourceId` and `clientId`"
            }
            _ => return,
        };
        // Values may stand on the same line.
        let mut place = self.sections.source.place(registry.span());
        place.line_text = None;
        let hint = "log in to the registry where the image is built: Provenv keeps none of them";
        let remark = Diagnostic::new(codes::AZURE_REFUSES, message).with_hint(hint);
        self.read.origins.noticed.push(remark.at(place));
    }

    fn platform(&mut self, fields: &mut Fields<'s>) {
        let Some(node) = fields.node("platform") else { return };
        let Some(mut platform) = self.sections.fields(node, "`platform`") else { return };
        if let Some((system, node)) = self.sections.text(&mut platform, "os")
            && !system.eq_ignore_ascii_case("linux")
        {
            self.sections.report(codes::NOT_SUPPORTED, node, "only Linux images can be made", None);
        }
        if let Some((architecture, node)) = self.sections.text(&mut platform, "architecture") {
            match format!("linux/{}", architecture.to_ascii_lowercase()).parse::<Platform>() {
                Ok(Platform::LinuxAmd64) => {}
                Ok(other) => self.read.environment.definition.platforms = vec![other],
                Err(error) => {
                    self.sections.report(codes::INVALID_VALUE, node, shown(&error.to_string()), None);
                }
            }
        }
        self.sections.finish(platform);
    }

    fn run_time(&mut self, fields: &mut Fields<'s>) {
        self.other_than(fields, "enabled", &["false"], "there always is an image");
        self.other_than(fields, "sharedVolumes", &["true"], RUN_TIME);
        self.other_than(fields, "shmSize", &["2g"], RUN_TIME);
        self.other_than(fields, "arguments", &[], RUN_TIME);
        self.other_than(fields, "gpuSupport", &["true"], "GPUs are found where the image runs");
    }
}

/// The registry's address, unless the reference begins with it.
fn address(fields: &mut Fields<'_>, reference: &str) -> Option<String> {
    let registry = fields.peek("baseImageRegistry")?;
    let address = value_of(registry, "address")?.text()?;
    let address = address.trim().trim_start_matches("https://").trim_end_matches('/');
    let begins = reference.trim().strip_prefix(address).is_some_and(|rest| rest.starts_with('/'));
    (!address.is_empty() && !begins).then(|| address.to_owned())
}
