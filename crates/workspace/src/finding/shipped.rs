//! The environments that are shipped, found in the same manner as those that were registered. Few as they are, they are looked
//! through one by one: whether they were used here or not, they are there.

use std::cmp::Reverse;
use std::collections::BTreeMap;

use super::{EnvironmentPage, Find, Include, Kind};
use crate::catalogue::{Condition, Criteria};
use crate::curated::{Curated, PREFIX, is_curated};
use crate::environments::unregistered;
use crate::{EnvironmentDetails, Error, Result, Workspace};

/// By what they are listed: names in order, and the newest first within a name.
type Place = (String, Reverse<u64>);

/// Whether it is those that are asked for.
pub(super) fn asks_for_shipped(find: &Find) -> bool {
    match (&find.name, find.kind) {
        (Some(name), _) => is_curated(name),
        (None, Some(kind)) => kind == Kind::Curated,
        (None, None) => {
            find.pattern.as_deref().is_some_and(|pattern| pattern.to_lowercase().starts_with(PREFIX))
        }
    }
}

impl Workspace {
    /// A page of those that are shipped: as they are on record where they were used here.
    pub(super) async fn find_shipped(&self, find: &Find) -> Result<EnvironmentPage> {
        if let Some(name) = &find.name {
            Curated::find(name, None)?;
        }
        let mut all = self.shipped(find).await?;
        if let Some(after) = &find.after {
            let place = place(after).filter(|place| all.contains_key(place)).ok_or_else(|| unknown(after))?;
            all = all.split_off(&place);
            all.remove(&place);
        }
        let is_whole = find.all_versions || find.name.is_some();
        let mut environments: Vec<EnvironmentDetails> = Vec::new();
        let mut before = find.after.as_deref().and_then(place).map(|(name, _)| name);
        for ((name, _), found) in all {
            let is_newest = before.replace(name.clone()).is_none_or(|before| before != name);
            if (is_whole || is_newest) && found.fits {
                environments.push(found.details);
            }
        }
        let mut next = None;
        if let Some(limit) = find.limit.and_then(|limit| usize::try_from(limit).ok())
            && environments.len() > limit
        {
            environments.truncate(limit);
            let last = environments.last();
            next = last.and_then(|last| Some(format!("{}:{}", last.name.as_ref()?, last.version.as_ref()?)));
        }
        Ok(EnvironmentPage { environments, next })
    }

    /// Every version of all of them.
    async fn shipped(&self, find: &Find) -> Result<BTreeMap<Place, Found>> {
        // What is inside is known of those that have a lock here.
        let mut conditions = vec![Condition::Kind(Kind::Curated.as_str().to_owned())];
        for term in find.terms.iter().filter(|term| term.name().is_none()) {
            conditions.push(term.condition(&self.catalogue).await?);
        }
        let looks_inside = conditions.len() > 1;
        let criteria = Criteria { conditions, all_versions: true, ..Criteria::default() };
        let used = self.all_details(self.catalogue.find(&criteria).await?).await?;
        let mut all = BTreeMap::new();
        for curated in Curated::list(find.name.as_deref(), true) {
            let details = unregistered(curated.read()?.environment);
            let fits = !looks_inside && fits(find, &details);
            let place = (curated.name.to_owned(), Reverse(curated.number()));
            all.insert(place, Found { details, fits });
        }
        for details in used {
            let reference = details.name.as_deref().zip(details.version.as_deref());
            let place = reference.and_then(|(name, version)| place(&format!("{name}:{version}")));
            let is_asked = find.name.is_none() || find.name == details.name;
            if let Some(place) = place.filter(|_| is_asked) {
                let fits = fits(find, &details);
                all.insert(place, Found { details, fits });
            }
        }
        Ok(all)
    }
}

/// One of them.
struct Found {
    details: EnvironmentDetails,
    /// Whether it is looked for.
    fits: bool,
}

/// Where `NAME:VERSION` is among them.
fn place(reference: &str) -> Option<Place> {
    let (name, version) = reference.rsplit_once(':')?;
    Some((name.to_owned(), Reverse(version.parse().ok()?)))
}

fn unknown(after: &str) -> Error {
    Error::Arguments {
        message: format!("`{after}` is not shipped, so nothing comes after it"),
        hint: "give NAME:VERSION of the last one of the page before".to_owned(),
    }
}

/// Whether all holds of it that the catalogue is not needed for.
fn fits(find: &Find, details: &EnvironmentDetails) -> bool {
    let name = details.name.as_deref().unwrap_or_default();
    let created = details.created_at.map(jiff::Timestamp::as_second);
    let tags = &details.environment.tags;
    // None of them can be archived.
    find.include != Include::Archived
        && find.pattern.as_deref().is_none_or(|pattern| fits_pattern(pattern, name))
        && find
            .terms
            .iter()
            .filter_map(|term| term.name())
            .all(|text| fits_pattern(&format!("*{text}*"), name))
        && find.tags.iter().all(|(tag, value)| {
            tags.get(tag).is_some_and(|own| value.as_ref().is_none_or(|value| value == own))
        })
        && find.creator.as_ref().is_none_or(|creator| details.created_by.as_ref() == Some(creator))
        && find.since.is_none_or(|since| created.is_some_and(|created| created >= since.as_second()))
        && find.until.is_none_or(|until| created.is_some_and(|created| created < until.as_second()))
}

/// Whether a name fits: `*` stands for anything, letters for themselves in either case.
fn fits_pattern(pattern: &str, name: &str) -> bool {
    let (pattern, name) = (pattern.to_lowercase(), name.to_lowercase());
    let mut parts = pattern.split('*');
    let Some(mut rest) = parts.next().and_then(|first| name.strip_prefix(first)) else { return false };
    let Some(last) = parts.next_back() else { return rest.is_empty() };
    for part in parts {
        let Some(at) = rest.find(part) else { return false };
        rest = &rest[at + part.len()..];
    }
    rest.ends_with(last)
}

#[cfg(test)]
mod tests {
    use super::fits_pattern;

    #[test]
    fn a_pattern_is_held_against_the_whole_name() {
        for (pattern, name, is_so) in [
            ("curated/*", "curated/sklearn", true),
            ("CURATED/SK*n", "curated/sklearn", true),
            ("curated/sk", "curated/sklearn", false),
            ("*torch*", "curated/pytorch-cpu", true),
            ("*cpu*torch*", "curated/pytorch-cpu", false),
            ("curated/minimal", "curated/minimal", true),
            ("*", "x", true),
            ("ab*ba", "aba", false),
        ] {
            assert_eq!(fits_pattern(pattern, name), is_so, "{pattern} {name}");
        }
    }
}
