//! `provenv image referrers`.

use std::fmt::Write as _;

use super::{Context, Result};
use crate::cli::ReferrersArgs;
use crate::output::{self, Table};

pub async fn referrers(context: &Context, arguments: ReferrersArgs) -> Result {
    let workspace = context.workspace().await?;
    let details = workspace.remote_details(&arguments.image, arguments.insecure).await?;
    workspace.close().await;
    context.show(&details, |details| {
        let mut text = format!("{}\n", details.reference);
        for (platform, digest) in &details.platforms {
            let _ = writeln!(text, "  {platform:<12} {digest}");
        }
        if details.referrers.is_empty() {
            return text + "nothing refers to it\n";
        }
        let mut table = Table::new(["REFERRER", "OF", "SIZE", "TYPE"]);
        for one in &details.referrers {
            table.row([
                one.digest.short(),
                one.subject.short(),
                output::bytes(one.size),
                one.kind.clone().unwrap_or_else(|| "not said".to_owned()),
            ]);
        }
        text + &table.to_string()
    })
}
