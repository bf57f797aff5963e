//! `provenv image push`.

use super::{Context, Result, here};
use crate::cli::PushArgs;
use crate::output;

pub async fn push(context: &Context, arguments: PushArgs) -> Result {
    let workspace = context.workspace().await?;
    let PushArgs { image, destination, insecure } = arguments;
    let pushed = workspace.push_image(&image, &here()?, &destination, insecure).await?;
    workspace.close().await;
    context.show_brief(
        &pushed,
        |pushed| pushed.reference.clone(),
        |pushed| {
            format!(
                "{}\n  sent      {}, {} were there already{}\n  attached  {}\n",
                pushed.reference,
                output::bytes(pushed.sent),
                output::bytes(pushed.skipped),
                match pushed.mounted {
                    0 => String::new(),
                    bytes => format!(", {} in another repository", output::bytes(bytes)),
                },
                match pushed.proofs.len() {
                    0 => "record and bills of materials; the image is not signed".to_owned(),
                    count => format!("record, bills of materials, {count} proofs"),
                }
            )
        },
    )
}
