//! `provenv build --dry-run`: what there is to do, on this machine or on a server.

use std::fmt::Write as _;

use provenv_workspace::{Error, Plan, PlatformPlan};

use super::{Context, Result, here};
use crate::cli::Platforms;
use crate::output;

pub async fn plan(context: &Context, reference: &str, platform: Option<Platforms>) -> Result {
    let workspace = context.workspace().await?;
    let (mut plan, warnings) = workspace.plan(reference, &here()?).await?;
    workspace.close().await;
    context.remark(&warnings);
    if let Some(Platforms::One(wanted)) = platform {
        plan.platforms.retain(|one| one.platform == wanted);
        if plan.platforms.is_empty() {
            return Err(Error::NoPlatform(wanted).into());
        }
    }
    context.show(&plan, text)
}

fn text(plan: &Plan) -> String {
    let resolved = if plan.fresh { "resolved now" } else { "was there already" };
    let mut text = format!("lock {} ({resolved})\n", plan.lock);
    if !plan.environments.is_empty() {
        let _ = writeln!(text, "  used by   {}", plan.environments.join(" "));
    }
    for one in &plan.platforms {
        let _ = writeln!(text, "{}\n  base      {}", one.platform, one.chosen.base);
        if let Some(python) = &one.chosen.python {
            let _ = writeln!(text, "  python    {python}");
        }
        let (packages, size) = (one.chosen.packages.len(), output::bytes(one.chosen.size()));
        let _ = writeln!(text, "  packages  {packages}, {size}");
        let _ = writeln!(text, "  to do     {}", to_do(one));
    }
    text + "nothing was built (dry run)\n"
}

fn to_do(one: &PlatformPlan) -> String {
    if let Some(image) = &one.image {
        return format!("nothing: the image is there, {image}");
    }
    match one.to_fetch {
        0 => "assemble; all packages are there".to_owned(),
        1 => format!("fetch 1 package, {}, and assemble", output::bytes(one.bytes_to_fetch)),
        many => format!("fetch {many} packages, {}, and assemble", output::bytes(one.bytes_to_fetch)),
    }
}
