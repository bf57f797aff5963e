//! By what the environments of a workspace can be told apart: which kinds, creators and tags there are.

use serde::Serialize;

use crate::curated::Curated;
use crate::{Result, Workspace};

/// What can be chosen from, each with how many names have it, the most first.
#[derive(Clone, Debug, Default, Serialize)]
pub struct Facets {
    /// How packages come about.
    pub kinds: Vec<(String, i64)>,
    /// Who registered them.
    pub creators: Vec<(String, i64)>,
    /// Tags with their values.
    pub tags: Vec<((String, String), i64)>,
    /// How many are shipped.
    pub shipped: usize,
}

impl Workspace {
    /// The facets of what is registered and not archived: of the newest versions, where there are very many, so that it takes no
    /// longer the more there are.
    pub async fn facets(&self) -> Result<Facets> {
        Ok(Facets {
            kinds: self.catalogue.facet("kind").await?,
            creators: self.catalogue.facet("created_by").await?,
            tags: self.catalogue.tag_facet().await?,
            shipped: Curated::list(None, false).len(),
        })
    }
}
