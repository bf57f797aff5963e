//! By what the environments of a workspace can be told apart: which kinds, creators and tags there are.

use serde::Serialize;

use super::{Find, Kind};
use crate::catalogue::Condition;
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
    /// What a list can be narrowed by: each value with how many names the list shows when it is chosen, all else of `find` being
    /// as it is. They are counted of the versions that were registered last, where there are very many, so that it takes no
    /// longer the more there are.
    pub async fn facets(&self, find: &Find) -> Result<Facets> {
        let conditions = self.conditions(find).await?;
        // What is chosen of one facet says nothing of its own values.
        let others = |is_own: fn(&Condition) -> bool| {
            conditions.iter().filter(|condition| !is_own(condition)).collect::<Vec<_>>()
        };
        let kinds = others(|condition| matches!(condition, Condition::Kind(_)));
        let creators = others(|condition| matches!(condition, Condition::Creator(_)));
        let tags = others(|condition| matches!(condition, Condition::Tag(..)));
        let shipped = Find { kind: Some(Kind::Curated), limit: None, after: None, ..find.clone() };
        Ok(Facets {
            kinds: self.catalogue.facet("kind", &kinds, find.include).await?,
            creators: self.catalogue.facet("created_by", &creators, find.include).await?,
            tags: self.catalogue.tag_facet(&tags, find.include).await?,
            shipped: self.find_shipped(&shipped).await?.environments.len(),
        })
    }
}
