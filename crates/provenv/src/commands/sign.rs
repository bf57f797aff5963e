//! `provenv image sign`.

use std::fmt::Write as _;

use super::{Context, Result, here};
use crate::cli::SignArgs;

pub async fn sign(context: &Context, arguments: SignArgs) -> Result {
    let workspace = context.workspace().await?;
    let SignArgs { image, key, identity } = arguments;
    let signed = workspace.sign(&image, &here()?, &key, identity.as_deref()).await?;
    workspace.close().await;
    context.show_brief(
        &signed,
        |signed| signed.envelope.to_string(),
        |signed| {
            let state = if signed.was_signed { "was signed by this key already" } else { "signed" };
            let mut text = format!(
                "{} ({state})\n  key       {}\n  envelope  {}\n",
                signed.image, signed.signer, signed.envelope
            );
            if let Some(identity) = &signed.identity {
                let _ = writeln!(text, "  as        {identity}");
            }
            text
        },
    )
}
