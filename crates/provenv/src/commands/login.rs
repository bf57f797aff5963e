//! `provenv login` and `provenv logout`.

use std::io::{IsTerminal as _, Read as _};
use std::process::ExitCode;

use provenv_workspace::{DeviceLogin, Error, Login, forget_token, keep_token};

use super::{Context, Result};
use crate::cli::LoginArgs;
use crate::output;

/// The longest token: whoever gives a file by mistake is told so.
const LONGEST: u64 = 4096;

pub async fn login(context: &Context, arguments: LoginArgs) -> Result {
    if arguments.token.is_none()
        && let Some(device) = DeviceLogin::begin(&arguments.url).await?
    {
        context.settle();
        // As questions are asked: also where nothing else is said.
        let place = device.verification_uri_complete.as_ref().unwrap_or(&device.verification_uri);
        output::say(&format!("open   {place}\nenter  {}\n", device.user_code));
        return show(context, &device.wait().await?);
    }
    let token = match arguments.token {
        None if std::io::stdin().is_terminal() => {
            context.settle();
            let term = console::Term::stderr();
            term.write_str("token: ")?;
            term.read_secure_line()?
        }
        _ => {
            let mut text = String::new();
            std::io::stdin().take(LONGEST).read_to_string(&mut text)?;
            text
        }
    };
    let token = token.trim();
    if token.is_empty() || token.contains(char::is_whitespace) || token.contains(char::is_control) {
        return Err(Error::Arguments {
            message: "that is no token".to_owned(),
            hint: "an owner of the server makes one, or you on its page; it begins with `pvt_`".to_owned(),
        }
        .into());
    }
    let login = keep_token(&arguments.url, token).await?;
    show(context, &login)
}

fn show(context: &Context, login: &Login) -> Result {
    context.show(login, |login| {
        format!("logged in to {} as {}\n  token  {}\n", login.server, login.user, login.file.display())
    })
}

pub fn logout(context: &Context, url: &str) -> Result {
    let said = if forget_token(url)? { "the token is forgotten" } else { "there was no token" };
    context.say(said);
    Ok(ExitCode::SUCCESS)
}
