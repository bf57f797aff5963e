//! Secrets in URLs: user information, parameters, tokens in paths.

use std::ops::Range;

use super::{Variables, is_public_password, is_secret_name, words};

/// User information of every `scheme://user:password@host`.
pub(super) fn find_in_urls(text: &str, variables: Variables, found: &mut Vec<Range<usize>>) {
    for (colon, _) in text.match_indices(':') {
        let scheme_start = text[..colon]
            .rfind(|c: char| !(c.is_ascii_alphanumeric() || "+.-".contains(c)))
            .map_or(0, |at| at + text[at..].chars().next().map_or(1, char::len_utf8));
        let scheme = text[scheme_start..colon].to_ascii_lowercase();
        // Parsers forgive `https:/user:password@host` and worse.
        let known = ["http", "https", "ftp", "ssh"].iter().any(|known| scheme.ends_with(known));
        if !known && !text[colon + 1..].starts_with("//") {
            continue;
        }
        let after = &text[colon + 1..];
        let slashes = if known { after.len() - after.trim_start_matches(['/', '\\']).len() } else { 2 };
        let start = colon + 1 + slashes;
        let token_end = start
            + text[start..]
                .find(|c: char| c.is_whitespace() || "\"'<>`".contains(c))
                .unwrap_or(text.len() - start);
        let authority_end =
            start + text[start..token_end].find(['/', '\\', '?', '#']).unwrap_or(token_end - start);
        let authority = &text[start..authority_end];
        let user_end = match authority.rfind('@') {
            Some(at) => start + at,
            // A password with an unescaped `/`: what looks like a port is none.
            None => match (authority.split_once(':'), text[start..token_end].rfind('@')) {
                (Some((_, port)), Some(at)) if !port.bytes().all(|byte| byte.is_ascii_digit()) => start + at,
                _ => continue,
            },
        };
        let (user, password) = match text[start..user_end].split_once(':') {
            Some((user, password)) => (user, password),
            None => (&text[start..user_end], ""),
        };
        let harmless_user = user.is_empty()
            || variables.are_all_of(user)
            || matches!(user, "git" | "hg" | "anonymous" | "oauth2" | "x-access-token" | "__token__");
        let harmless_password = is_public_password(password) || variables.are_all_of(password);
        // A user without a password may be a token, except where it is the account of a secure shell, or where a
        // variable holds the password.
        // In Azure's storage it is the container (`wasbs://container@account…`).
        let names_place =
            ["ssh", "wasb", "wasbs", "abfs", "abfss"].iter().any(|known| scheme.ends_with(known));
        let user_is_public =
            harmless_user || variables.are_all_of(password) || (password.is_empty() && names_place);
        if !harmless_password || !user_is_public {
            found.push(start..user_end);
        }
    }
}

/// Values of the parameters of a URL that by their names are secret: `?key=…`, `&access_token=…`.
pub(super) fn find_in_queries(text: &str, variables: Variables, found: &mut Vec<Range<usize>>) {
    for (at, _) in text.match_indices(['?', '&', ';', '#']) {
        let is_end = |c: char| c.is_whitespace() || "\"'<>`?&;#".contains(c);
        let pair = &text[at + 1..];
        let pair = &pair[..pair.find(is_end).unwrap_or(pair.len())];
        let Some((name, value)) = pair.split_once('=') else { continue };
        let word = text[..at].rsplit(|c: char| c.is_whitespace() || "\"'<>`".contains(c)).next();
        if !value.is_empty()
            && is_secret_parameter(name)
            && word.is_some_and(|word| word.contains(":/"))
            && !variables.are_all_of(value)
        {
            let start = at + 1 + name.len() + 1;
            found.push(start..start + value.len());
        }
    }
}

/// Whether a URL's parameter of this name is likely to open a door: more words than elsewhere, as nothing but the address
/// stands in a URL.
fn is_secret_parameter(name: &str) -> bool {
    // `%6bey` is `key`.
    let name = decoded(name);
    let words = words(&name);
    let is_key = |word: &String| {
        matches!(
            word.as_str(),
            "auth" | "authorization" | "code" | "jwt" | "key" | "pass" | "pw" | "session" | "sid"
        )
    };
    is_secret_name(&name) || (words.iter().any(is_key) && words.last().is_some_and(|word| word != "id"))
}

fn decoded(text: &str) -> String {
    let mut parts = text.split('%');
    let mut decoded = parts.next().unwrap_or_default().to_owned();
    for part in parts {
        let byte = part.get(..2).and_then(|digits| u8::from_str_radix(digits, 16).ok());
        if let Some(byte) = byte.filter(u8::is_ascii) {
            decoded.push(char::from(byte));
            decoded.push_str(&part[2..]);
        } else {
            decoded.push('%');
            decoded.push_str(part);
        }
    }
    decoded
}

/// `user:password@host.test` without a scheme, as people write the half of a URL. Not `image:tag@sha256:…`, nor the
/// `git@host:path` of a secure shell.
pub(super) fn find_without_scheme(text: &str, found: &mut Vec<Range<usize>>) {
    let mut end = 0;
    for (at, _) in text.match_indices('@') {
        let is_end = |c: char| c.is_whitespace() || "\"'<>`@/,;=()".contains(c);
        let begin = text[end..at]
            .rfind(is_end)
            .map_or(end, |found| end + found + text[end + found..].chars().next().map_or(1, char::len_utf8));
        end = at + 1;
        let Some((user, password)) = text[begin..at].split_once(':') else { continue };
        let host = &text[at + 1..];
        let host = &host
            [..host.find(|c: char| !(c.is_ascii_alphanumeric() || "-.".contains(c))).unwrap_or(host.len())];
        let is_host = host == "localhost"
            || host.rsplit_once('.').is_some_and(|(name, top)| {
                !name.is_empty() && top.len() > 1 && top.chars().all(|c| c.is_ascii_alphabetic())
            });
        let is_user = !user.is_empty()
            && !["ftp", "git", "http", "https", "mailto", "ssh"].contains(&&*user.to_ascii_lowercase())
            && user.chars().all(|c| c.is_ascii_alphanumeric() || "-_.+".contains(c));
        if is_host && is_user && !password.is_empty() && !is_public_password(password) {
            found.push(begin + user.len() + 1..at);
        }
    }
}

/// Literal tokens in the way that Anaconda's servers take them: `https://host/t/<token>/channel`.
pub(crate) fn path_tokens(text: &str) -> Vec<Range<usize>> {
    let is_end = |c: char| c.is_whitespace() || "/\"'<>`#?]".contains(c);
    let mut found = Vec::new();
    // Where the word begins, and the last `:/` and `://`; each part of the text is looked through once.
    let (mut seen, mut word, mut scheme, mut root) = (0, 0, None, None);
    for (at, marker) in text.match_indices("/t/") {
        let start = at + marker.len();
        word = text[seen..at].rfind(char::is_whitespace).map_or(word, |found| seen + found);
        let from = text.floor_char_boundary(seen.saturating_sub(1));
        scheme = text[from..at].rfind(":/").map(|found| from + found).or(scheme);
        // The third sign may be that of `/t/` itself.
        let before = text.floor_char_boundary(seen.saturating_sub(2));
        root = text[before..=at].rfind("://").map(|found| before + found).or(root);
        seen = at;
        let end = text[start..].find(is_end).map_or(text.len(), |end| start + end);
        let token = &text[start..end];
        let variable = token.starts_with('$')
            && token[1..].chars().all(|c| c.is_ascii_alphanumeric() || "_{}".contains(c));
        // A folder on this machine may have any name.
        let local = root.is_some_and(|root| root >= word && text[..root].ends_with("file"));
        if !token.is_empty() && !variable && !local && scheme.is_some_and(|scheme| scheme >= word) {
            found.push(start..end);
        }
    }
    found
}
