//! What must not be shown: credentials in URLs, values of variables with telling names, well-known tokens.
//!
//! The net is wide on purpose: a masked harmless text costs a reader a moment, a shown secret costs a rotation.

use std::ops::Range;

/// No more of a text is searched: the search is quadratic where a text is made for it. What is beyond counts as
/// secret.
const MAX_BYTES: usize = 16 << 10;

/// Schemes of a private token with the least length of the whole.
const TOKEN_PREFIXES: &[(&str, usize)] = &[
    ("AIza", 39),
    ("dapi", 36),
    ("dckr_pat_", 20),
    ("gho_", 20),
    ("ghp_", 20),
    ("ghr_", 20),
    ("ghs_", 20),
    ("ghu_", 20),
    ("github_pat_", 20),
    ("glpat-", 20),
    ("hf_", 20),
    ("npm_", 30),
    ("pypi-", 30),
    ("sk-", 24),
    ("xoxa-", 20),
    ("xoxb-", 20),
    ("xoxp-", 20),
];

/// `text` with every character of every secret in it shown as `*`; all other characters keep their column.
pub fn mask_secrets(text: &str) -> String {
    let end = text.floor_char_boundary(MAX_BYTES);
    let mut hidden = vec![false; text.len()];
    hidden[end..].fill(true);
    for range in find(&text[..end]).into_iter().chain(path_tokens(&text[..end])) {
        hidden[range].fill(true);
    }
    text.char_indices().map(|(offset, c)| if hidden[offset] { '*' } else { c }).collect()
}

/// `text` as it may stand in a message: secrets masked, one line, not endless.
pub(crate) fn shown(text: &str) -> String {
    let masked = mask_secrets(&text[..text.floor_char_boundary(4096)]);
    let mut shown: String = masked.chars().take(80).map(|c| if c.is_control() { ' ' } else { c }).collect();
    if shown.len() < masked.len() {
        shown.push('…');
    }
    shown
}

/// Whether `text` holds something that looks like a secret.
pub fn holds_secret(text: &str) -> bool {
    !find(&text[..text.floor_char_boundary(MAX_BYTES)]).is_empty()
}

/// Whether the value of a variable of this name is likely to be secret: `DB_PASSWORD`, `apiKey`, and not
/// `TOKENIZERS_PARALLELISM` or `PASSWORD_FILE`.
pub fn is_secret_name(name: &str) -> bool {
    let words = words(name);
    let pair = |first: &str, second: &str| words.windows(2).any(|pair| pair[0] == first && pair[1] == second);
    let refers = words.last().is_some_and(|word| {
        matches!(
            word.as_str(),
            "file" | "path" | "name" | "url" | "uri" | "dir" | "id" | "type" | "ttl" | "timeout"
        )
    });
    !refers
        && (words.iter().any(|word| {
            matches!(
                word.as_str(),
                "password"
                    | "passwd"
                    | "passphrase"
                    | "pwd"
                    | "secret"
                    | "token"
                    | "apikey"
                    | "credential"
                    | "credentials"
                    | "sas"
                    | "sig"
                    | "signature"
            )
        }) || ["api", "access", "account", "private", "encryption", "shared", "signing", "storage"]
            .iter()
            .any(|word| pair(word, "key"))
            || pair("connection", "string"))
}

/// Whether `text` is made of variables alone: `${TOKEN}`, also as `url` writes it (`$%7BTOKEN%7D`).
pub(crate) fn is_template(text: &str) -> bool {
    let mut rest = text;
    while let Some(inner) = rest.strip_prefix("${").or_else(|| rest.strip_prefix("$%7B")) {
        let end = inner.find(|c: char| !c.is_ascii_alphanumeric() && c != '_').unwrap_or(inner.len());
        let Some(after) = inner[end..].strip_prefix('}').or_else(|| inner[end..].strip_prefix("%7D")) else {
            return false;
        };
        if end == 0 {
            return false;
        }
        rest = after;
    }
    rest.is_empty() && !text.is_empty()
}

/// Where a Jinja template begins: `{{ name }}`, `{% if %}`. In its place something else should stand.
pub(crate) fn template_start(text: &str) -> Option<usize> {
    ["{{", "{% ", "{%-"].iter().filter_map(|opening| text.find(opening)).min()
}

/// Whether what stands in a password's place is none.
pub(crate) fn is_public_password(text: &str) -> bool {
    text.is_empty() || text == "x-oauth-basic" || is_template(text)
}

/// Where literal credentials stand in a URL, user information and query alike. Offsets are bytes of `text`.
pub(crate) fn url_credentials(text: &str) -> Option<Range<usize>> {
    find(&text[..text.floor_char_boundary(MAX_BYTES)]).into_iter().min_by_key(|range| range.start)
}

/// Where the first secret stands in a line. Offsets are bytes of `text`.
pub(crate) fn secret_range(text: &str) -> Option<Range<usize>> {
    url_credentials(text)
}

/// Literal tokens in the way that Anaconda's servers take them: `https://host/t/<token>/channel`.
pub(crate) fn path_tokens(text: &str) -> Vec<Range<usize>> {
    let is_end = |c: char| c.is_whitespace() || "/\"'<>`#?]".contains(c);
    let mut found = Vec::new();
    // Where the word begins, and the last `:/`; each part of the text is looked through once.
    let (mut seen, mut word, mut scheme) = (0, 0, None);
    for (at, marker) in text.match_indices("/t/") {
        let start = at + marker.len();
        word = text[seen..at].rfind(char::is_whitespace).map_or(word, |found| seen + found);
        let from = text.floor_char_boundary(seen.saturating_sub(1));
        scheme = text[from..at].rfind(":/").map(|found| from + found).or(scheme);
        seen = at;
        let end = text[start..].find(is_end).map_or(text.len(), |end| start + end);
        let token = &text[start..end];
        let variable = token.starts_with('$')
            && token[1..].chars().all(|c| c.is_ascii_alphanumeric() || "_{}".contains(c));
        if !token.is_empty() && !variable && scheme.is_some_and(|scheme| scheme >= word) {
            found.push(start..end);
        }
    }
    found
}

fn find(text: &str) -> Vec<Range<usize>> {
    let mut found = Vec::new();
    find_in_urls(text, &mut found);
    find_assignments(text, &mut found);
    find_arguments(text, &mut found);
    find_tokens(text, &mut found);
    if let Some(start) = text.find("-----BEGIN ").filter(|_| text.contains("PRIVATE KEY")) {
        found.push(start..text.len());
    }
    found
}

/// User information of every `scheme://user:password@host`.
fn find_in_urls(text: &str, found: &mut Vec<Range<usize>>) {
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
            || is_template(user)
            || matches!(user, "git" | "hg" | "anonymous" | "oauth2" | "x-access-token" | "__token__");
        let harmless_password = is_public_password(password);
        // A user without a password may be a token, except where it is the account of a secure shell, or where a
        // variable holds the password.
        // In Azure's storage it is the container (`wasbs://container@account…`).
        let names_place =
            ["ssh", "wasb", "wasbs", "abfs", "abfss"].iter().any(|known| scheme.ends_with(known));
        let user_is_public = harmless_user || is_template(password) || (password.is_empty() && names_place);
        if !harmless_password || !user_is_public {
            found.push(start..user_end);
        }
    }
}

/// Values in `password=…`, `"apiKey": "…"`, `?sig=…`.
fn find_assignments(text: &str, found: &mut Vec<Range<usize>>) {
    for (at, separator) in text.match_indices([':', '=']) {
        let before = text[..at].trim_end().trim_end_matches(['"', '\'']);
        let name_start = before
            .rfind(|c: char| !(c.is_ascii_alphanumeric() || "_-.".contains(c)))
            .map_or(0, |i| i + before[i..].chars().next().map_or(1, char::len_utf8));
        let after = &text[at + 1..];
        // `==` compares, `::` and `://` separate, and `>=`, `~=` have no name before them.
        if after.starts_with(['=', ':', '/']) || !is_secret_name(&before[name_start..]) {
            continue;
        }
        if separator == ":" && !after.starts_with([' ', '"', '\'', '\t']) {
            continue;
        }
        let value_start = at + 1 + (after.len() - after.trim_start().len());
        let value = &text[value_start..];
        let (start, end) = match value.chars().next() {
            Some(quote @ ('"' | '\'')) => {
                (value_start + 1, value[1..].find(quote).map_or(text.len(), |end| value_start + 1 + end))
            }
            _ if separator == ":" => {
                (value_start, value.find(" #").map_or(text.len(), |end| value_start + end))
            }
            _ => {
                let end = value.find(|c: char| c.is_whitespace() || "&;,\"'#".contains(c));
                (value_start, value_start + end.unwrap_or(value.len()))
            }
        };
        let value = text[start..end].trim();
        if !value.is_empty() && !is_nothing(value) && !is_template(value) && !value.starts_with("{{") {
            found.push(start..end);
        }
    }
}

/// Whether a value says that there is none, as JSON and YAML write it: `"password": null,` of azureml-core.
fn is_nothing(value: &str) -> bool {
    let value = value.split([',', '}', ']']).next().unwrap_or_default().trim();
    value == "~" || value.eq_ignore_ascii_case("null") || value.eq_ignore_ascii_case("none")
}

/// What stands after a word that says so: `docker login -p …`, `--password …`, a Dockerfile's `ENV TOKEN …`.
fn find_arguments(text: &str, found: &mut Vec<Range<usize>>) {
    let mut login = false;
    let mut env = false;
    let mut is_value = false;
    let mut authorization = false;
    let mut start = 0;
    for word in text.split(char::is_whitespace) {
        let value = word.trim_matches(['"', '\'', ',']);
        if value.is_empty() {
            start += word.len();
            start += text[start..].chars().next().map_or(0, char::len_utf8);
            continue;
        }
        if is_value && !value.starts_with(['-', '$', '<', '{', '=', '*', '#', '&', '|']) {
            let at = start + (word.len() - word.trim_start_matches(['"', '\'']).len());
            found.push(at..at + value.len().min(word.len()));
        }
        login |= value == "login";
        // `--account-key KEY`; `--password-stdin` has no value.
        let option =
            value.strip_prefix("--").filter(|name| !name.contains(['=', ':']) && !name.ends_with("-stdin"));
        let scheme = authorization
            && ["bearer", "basic", "token"].iter().any(|known| value.eq_ignore_ascii_case(known));
        authorization = value.to_ascii_lowercase().ends_with("authorization:");
        is_value = scheme
            || option.is_some_and(|name| is_secret_name(name) || name == "secret")
            || (login && value == "-p")
            || (env && is_secret_name(value) && !value.contains(['=', ':', '/']));
        env = value.eq_ignore_ascii_case("env");
        start += word.len();
        start += text[start..].chars().next().map_or(0, char::len_utf8);
    }
}

/// Tokens that show by their form what they are.
fn find_tokens(text: &str, found: &mut Vec<Range<usize>>) {
    let is_token_char = |c: char| c.is_ascii_alphanumeric() || "_-.".contains(c);
    let mut start = 0;
    for word in text.split(|c: char| !is_token_char(c)) {
        // `hf_xet-1.8.0-cp39-abi3-linux_x86_64.whl` is no token of Hugging Face's.
        let is_file = [".whl", ".zip", ".gz", ".bz2", ".xz", ".conda", ".metadata"]
            .iter()
            .any(|extension| word.ends_with(extension));
        let shaped = !is_file
            && TOKEN_PREFIXES.iter().any(|(prefix, least)| {
                word.len() >= *least
                    && word.starts_with(prefix)
                    && word.bytes().any(|byte| byte.is_ascii_digit())
            });
        let aws = word.len() == 20
            && (word.starts_with("AKIA") || word.starts_with("ASIA"))
            && word.bytes().all(|byte| byte.is_ascii_uppercase() || byte.is_ascii_digit());
        let web_token = word.len() >= 30 && word.starts_with("eyJ") && word.matches('.').count() == 2;
        if shaped || aws || web_token {
            found.push(start..start + word.len());
        }
        start += word.len();
        start += text[start..].chars().next().map_or(0, char::len_utf8);
    }
}

/// Words of a name in lower case: `apiKey`, `API_KEY` and `api-key` are `api`, `key`.
fn words(name: &str) -> Vec<String> {
    let mut words = vec![String::new()];
    let mut previous_lower = false;
    for c in name.chars() {
        if !c.is_ascii_alphanumeric() || (c.is_ascii_uppercase() && previous_lower) {
            words.push(String::new());
        }
        if let (true, Some(word)) = (c.is_ascii_alphanumeric(), words.last_mut()) {
            word.push(c.to_ascii_lowercase());
        }
        previous_lower = c.is_ascii_lowercase();
    }
    words.retain(|word| !word.is_empty());
    words
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn secrets_are_masked_and_columns_stay() {
        for (given, shown) in [
            ("https://user:hunter2@host.test/simple", "https://************@host.test/simple"),
            ("-i https://hunter2hunter2@host.test/simple", "-i https://**************@host.test/simple"),
            ("https://user:hun/ter2@host.test/", "https://*************@host.test/"),
            ("a @ https://h.test/a.whl?sig=hunter2&x=1", "a @ https://h.test/a.whl?sig=*******&x=1"),
            ("DB_PASSWORD: hunter2 # old", "DB_PASSWORD: ******* # old"),
            ("  \"apiKey\": \"hunter2\",", "  \"apiKey\": \"*******\","),
            ("x ghp_0123456789abcdefghij y", "x ************************ y"),
            ("https://x-oauth-basic:hunter2@h.test", "https://*********************@h.test"),
            ("https:/user:hunter2@host.test", "https:/************@host.test"),
            ("HTTPS:\\\\user:hunter2\\@host.test", "HTTPS:\\\\*************@host.test"),
            ("https://hünter:wäre@h.test", "https://***********@h.test"),
            ("RUN docker login -u me -p hunter2 host", "RUN docker login -u me -p ******* host"),
            ("RUN az acr login --password 'hunter2'", "RUN az acr login --password '*******'"),
            ("ENV API_TOKEN hunter2", "ENV API_TOKEN *******"),
            (
                "RUN curl -H \"Authorization: Bearer hunter2\" h",
                "RUN curl -H \"Authorization: Bearer *******\" h",
            ),
            ("RUN az x --account-key hunter2", "RUN az x --account-key *******"),
        ] {
            assert_eq!(mask_secrets(given), shown);
            assert!(holds_secret(given));
        }
    }

    #[test]
    fn tokens_in_paths_of_channels_are_masked() {
        for (given, shown) in [
            ("- https://h.test/t/ab-12/c::p # x", "- https://h.test/t/*****/c::p # x"),
            ("https://h.test/t/ab-12", "https://h.test/t/*****"),
            ("https://h.test/t/${TOKEN}/c", "https://h.test/t/${TOKEN}/c"),
            ("https://h.test/t/$TOKEN/c", "https://h.test/t/$TOKEN/c"),
            ("a/t/b", "a/t/b"),
        ] {
            assert_eq!(mask_secrets(given), shown);
        }
    }

    #[test]
    fn what_is_no_secret_stays_legible() {
        for text in [
            "https://h.test/2c/18/hf_xet-1.8.0-cp314-cp314t-macosx_10_12_x86_64.whl",
            "https://${TOKEN}@host.test/simple",
            "https://${USER}:${PASS}@host.test/simple",
            "https://someone:${PASS}@host.test/simple",
            "https://$%7BUSER%7D:$%7BPASS%7D@host.test/simple",
            "git+https://git@host.test/a/b@v1.0#egg=b",
            "git+ssh://deploy@host.test/a/b",
            "https://host.test:8080/a@b",
            "tokenizers==0.15.0",
            "token==1.0",
            "secret>=1",
            "numpy==1.26 --hash=sha256:0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef",
            "TOKENIZERS_PARALLELISM: false",
            "PASSWORD_FILE: /run/secrets/db",
            "  \"password\": null,",
            "{ \"password\": null, \"registryIdentity\": null },",
            "{\"username\": \"u\", \"password\": null}",
            "password: ~",
            "PASSWORD=None",
            "API_KEY: ${API_KEY}",
            "hf_transfer==0.1.4",
            "wasbs://container@account.blob.host.test/folder",
            "docker login --password-stdin -u me",
            "docker login -p $PASSWORD",
            "mkdir -p folder",
            "ENV TOKENIZERS_PARALLELISM false",
        ] {
            assert_eq!(mask_secrets(text), text);
        }
    }
}
