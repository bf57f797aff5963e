//! `provenv env list` and `provenv env search`: what is registered, or some of it.

use provenv_workspace::{EnvironmentDetails, EnvironmentPage, Error, Find, Include};

use super::{Context, Result};
use crate::cli::{FilterArgs, ListArgs, SearchArgs};
use crate::output::{self, Table};

pub async fn list(context: &Context, arguments: ListArgs) -> Result {
    let ListArgs { name, all, curated, filters } = arguments;
    if curated {
        let workspace = context.workspace().await?;
        let environments = workspace.list_curated(name.as_deref(), all)?;
        workspace.close().await;
        return context.show(&environments, |environments| curated_table(environments).to_string());
    }
    let nothing = if filters.says_which() {
        "no environment is so\n"
    } else if name.is_some() {
        "no environments of this name that are not archived\n"
    } else {
        "no environments yet: `provenv env register FILE` makes one, `provenv env list --curated` shows those that are shipped\n"
    };
    let find = Find { name, all_versions: all, ..find(filters) };
    let record = context.record().await?;
    let page = record.find(&find).await?;
    record.close().await;
    show_page(context, &page, nothing)
}

pub async fn search(context: &Context, arguments: SearchArgs) -> Result {
    let SearchArgs { terms, newest, filters } = arguments;
    if terms.is_empty() && !filters.says_which() {
        let error = Error::Arguments {
            message: "nothing is looked for".to_owned(),
            hint: "e.g. `provenv env search 'package:numpy<1.26'`; `provenv env list` lists everything"
                .to_owned(),
        };
        return Err(error.into());
    }
    let record = context.record().await?;
    let page = record.find(&Find { terms, all_versions: !newest, ..find(filters) }).await?;
    record.close().await;
    show_page(context, &page, "no environment is so\n")
}

/// Shows a page; where there is more, standard error says how to get it.
fn show_page(context: &Context, page: &EnvironmentPage, nothing: &str) -> Result {
    let shown = context.show(&page.environments, |environments| {
        if environments.is_empty() { nothing.to_owned() } else { table(environments).to_string() }
    })?;
    if let Some(next) = &page.next {
        context.say(&format!("there are more: --after {next} shows them"));
    }
    Ok(shown)
}

impl FilterArgs {
    fn says_which(&self) -> bool {
        let Self { pattern, tags, kind, creator, since, until, archived, .. } = self;
        *archived
            || pattern.is_some()
            || !tags.is_empty()
            || kind.is_some()
            || creator.is_some()
            || since.is_some()
            || until.is_some()
    }
}

/// What the filters look for.
fn find(filters: FilterArgs) -> Find {
    Find {
        pattern: filters.pattern,
        tags: filters
            .tags
            .into_iter()
            .map(|tag| match tag.split_once('=') {
                Some((key, value)) => (key.to_owned(), Some(value.to_owned())),
                None => (tag, None),
            })
            .collect(),
        kind: filters.kind.map(Into::into),
        creator: filters.creator,
        since: filters.since,
        until: filters.until,
        include: match (filters.archived, filters.include_archived) {
            (true, _) => Include::Archived,
            (false, true) => Include::All,
            (false, false) => Include::Active,
        },
        limit: filters.limit,
        after: filters.after,
        ..Find::default()
    }
}

fn table(environments: &[EnvironmentDetails]) -> Table {
    let mut table =
        Table::new(["NAME", "VERSION", "LABELS", "DEFINITION", "REGISTERED", "BY", "DESCRIPTION"]);
    for details in environments {
        let archived = details.archived.then(|| "(archived)".to_owned());
        let shared = details.shared_from.as_ref().map(|place| format!("(shared from {place})"));
        let marks = archived.into_iter().chain(shared);
        let labels: Vec<String> = marks.chain(details.labels.iter().cloned()).collect();
        table.row([
            details.name.clone().unwrap_or_default(),
            details.version.clone().unwrap_or_default(),
            labels.join(", "),
            details.definition_digest.short(),
            details.created_at.map(output::time).unwrap_or_default(),
            details.created_by.clone().unwrap_or_default(),
            summary(details),
        ]);
    }
    table
}

/// Those that are shipped are nobody's and of no time.
fn curated_table(environments: &[EnvironmentDetails]) -> Table {
    let mut table = Table::new(["NAME", "VERSION", "DEFINITION", "DESCRIPTION"]);
    for details in environments {
        table.row([
            details.name.clone().unwrap_or_default(),
            details.version.clone().unwrap_or_default(),
            details.definition_digest.short(),
            summary(details),
        ]);
    }
    table
}

/// The first line of a description.
fn summary(details: &EnvironmentDetails) -> String {
    let description = details.environment.description.as_deref().unwrap_or_default();
    output::one_line(description.trim().lines().next().unwrap_or_default())
}
