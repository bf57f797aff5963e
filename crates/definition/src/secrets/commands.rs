//! Secrets among the words of a command.

use std::ops::Range;

use super::is_secret_name;

/// Options that are followed by a secret, or have one at their end, by the command that they belong to. Options whose
/// names say so (`--password`, `--http-password=…`) need no entry.
const OPTIONS: &[(&str, &[&str], Form)] = &[
    ("login", &["-p"], Form::Password),
    ("twine", &["-p"], Form::Password),
    ("sshpass", &["-p"], Form::Password),
    ("anaconda", &["-t"], Form::Password),
    ("curl", &["-u", "--user", "-U", "--proxy-user"], Form::UserAndPassword),
    ("http", &["-a", "--auth"], Form::UserAndPassword),
    ("https", &["-a", "--auth"], Form::UserAndPassword),
];

/// What follows an option.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Form {
    Password,
    /// `user:password`.
    UserAndPassword,
}

/// Where one word stands, without the quotes and commas around it.
struct Word<'t> {
    text: &'t str,
    start: usize,
}

/// What stands after a word that says so: `docker login -p …`, `curl -u user:…`, `--password …`, a Dockerfile's
/// `ENV TOKEN …`.
pub(super) fn find_arguments(text: &str, found: &mut Vec<Range<usize>>) {
    let mut options: Vec<&(&str, &[&str], Form)> = Vec::new();
    let mut names = false;
    let mut expected = None;
    let mut authorization = false;
    for word in words_of(text) {
        let value = word.text;
        if let Some(form) = expected.take() {
            found.extend(secret_in(&word, 0, form));
        }
        if matches!(value, "&&" | "||" | "|" | ";") {
            options.clear();
        }
        let command = value.rsplit('/').next().unwrap_or_default();
        options.extend(OPTIONS.iter().filter(|(name, ..)| *name == command));
        for (_, known, form) in &options {
            for option in *known {
                match value.strip_prefix(option) {
                    Some("") => expected = Some(*form),
                    // `--user=…`, `-uuser:…`, `-ppassword`.
                    Some(rest) if rest.starts_with('=') || !option.starts_with("--") => {
                        let skip = option.len() + usize::from(rest.starts_with('='));
                        found.extend(secret_in(&word, skip, *form));
                    }
                    _ => {}
                }
            }
        }
        // `--account-key KEY`; `--password-stdin` has no value.
        let option =
            value.strip_prefix("--").filter(|name| !name.contains(['=', ':']) && !name.ends_with("-stdin"));
        let scheme = authorization
            && ["bearer", "basic", "token"].iter().any(|known| value.eq_ignore_ascii_case(known));
        authorization = value.to_ascii_lowercase().ends_with("authorization:");
        let is_named = scheme
            || option.is_some_and(|name| is_secret_name(name) || name == "secret")
            || (names && is_secret_name(value) && !value.contains(['=', ':', '/']));
        if is_named {
            expected = Some(Form::Password);
        }
        // `ENV TOKEN …`, `aws configure set aws_secret_access_key …`.
        names = value.eq_ignore_ascii_case("env") || matches!(value, "set" | "config");
    }
}

/// The secret in `word` behind its first `skip` bytes, unless a variable or another option stands there.
fn secret_in(word: &Word<'_>, skip: usize, form: Form) -> Option<Range<usize>> {
    let value = &word.text[skip..];
    let skip = skip + (value.len() - value.trim_start_matches(['"', '\'']).len());
    let value = &word.text[skip..];
    let at = match form {
        Form::Password => 0,
        Form::UserAndPassword => value.find(':')? + 1,
    };
    let is_other = value.starts_with(['-', '<', '{', '=', '*', '#', '&', '|'])
        || value[at..].starts_with(['$', '`', '<', '{', '*']);
    let is_empty = value[at..].trim_matches(['"', '\'']).is_empty();
    (!is_other && !is_empty).then(|| word.start + skip + at..word.start + word.text.len())
}

fn words_of(text: &str) -> impl Iterator<Item = Word<'_>> {
    let mut next = 0;
    text.split(char::is_whitespace).filter_map(move |whole| {
        let start = next;
        next += whole.len();
        next += text[next..].chars().next().map_or(0, char::len_utf8);
        let word = whole.trim_matches(['"', '\'', ',']);
        let lead = whole.len() - whole.trim_start_matches(['"', '\'', ',']).len();
        (!word.is_empty()).then_some(Word { text: word, start: start + lead })
    })
}
