//! Where a scoring server answers: `inference_config`.

use indexmap::IndexMap;

use super::Reader;
use crate::document::{Fields, Node};
use crate::{InferenceConfig, Route, codes};

impl<'s> Reader<'s> {
    pub(super) fn inference_config(&mut self, fields: &mut Fields<'s>) -> Option<InferenceConfig> {
        let node = fields.node("inference_config")?;
        let mut routes = Fields::new(self.source, node, "`inference_config`", &mut self.diagnostics)?;
        let mut found: IndexMap<&str, Route> = IndexMap::new();
        for key in ["liveness_route", "readiness_route", "scoring_route"] {
            let Some(node) = routes.node(key) else {
                let message = format!("`inference_config` lacks `{key}`");
                let hint = "all three routes are needed: liveness, readiness and scoring";
                self.report(codes::INVALID_VALUE, node, message, Some(hint));
                continue;
            };
            found.extend(self.route(key, node).map(|route| (key, route)));
        }
        let _kind = routes.entry("type");
        routes.finish(&mut self.diagnostics);
        Some(InferenceConfig {
            liveness_route: found.swap_remove("liveness_route")?,
            readiness_route: found.swap_remove("readiness_route")?,
            scoring_route: found.swap_remove("scoring_route")?,
        })
    }

    fn route(&mut self, key: &str, node: &'s Node) -> Option<Route> {
        let mut route = Fields::new(self.source, node, &format!("`{key}`"), &mut self.diagnostics)?;
        let port = route.text("port", &mut self.diagnostics).map(|(text, _)| text.parse::<u16>());
        let path = route.text("path", &mut self.diagnostics).map(|(text, _)| text.to_owned());
        route.finish(&mut self.diagnostics);
        match (port, path) {
            (Some(Ok(port)), Some(path)) if port > 0 && path.starts_with('/') => Some(Route { port, path }),
            _ => {
                let message =
                    format!("`{key}` needs a `port` from 1 to 65535 and a `path` that begins with `/`");
                self.report(codes::INVALID_VALUE, node, message, None);
                None
            }
        }
    }
}
