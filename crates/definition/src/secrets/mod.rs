//! What must not be shown: credentials in URLs, values of variables with telling names, well-known tokens.
//!
//! The net is wide on purpose: a masked harmless text costs a reader a moment, a shown secret costs a rotation.

mod commands;
mod urls;

use std::ops::Range;

use commands::find_arguments;
pub(crate) use urls::path_tokens;
use urls::{find_in_queries, find_in_urls, find_without_scheme};

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
    let mut found = find(&text[..end], Variables::Braced);
    found.extend(path_tokens(&text[..end]));
    find_without_scheme(&text[..end], &mut found);
    for range in found {
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
    !find(&text[..text.floor_char_boundary(MAX_BYTES)], Variables::Braced).is_empty()
}

/// Whether the value of a variable of this name is likely to be secret: `DB_PASSWORD`, `apiKey`, and not
/// `TOKENIZERS_PARALLELISM` or `PASSWORD_FILE`.
pub fn is_secret_name(name: &str) -> bool {
    let words = words(name);
    let ends = |end: &str| words.iter().any(|word| word.ends_with(end));
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
            || pair("connection", "string")
            // `PGPASSWORD`, `dbpasswd`.
            || ends("password")
            || ends("passwd"))
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

/// What may stand in a secret's place because it only names one.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Variables {
    /// `${NAME}`, as pip, conda and Provenv read it; a `$` alone is part of a password.
    Braced,
    /// `$NAME` too, as a shell and a Dockerfile read it.
    Shell,
}

impl Variables {
    fn are_all_of(self, text: &str) -> bool {
        match self {
            Self::Braced => is_template(text),
            Self::Shell => is_template(text) || is_shell_text(text),
        }
    }
}

/// Whether `text` is made of a shell's variables alone: `$USER`, `${A}$B`.
fn is_shell_text(text: &str) -> bool {
    let parts = text.split('$').skip(1);
    let is_name = |name: &str| {
        let name = name.strip_prefix('{').map_or(Some(name), |inner| inner.strip_suffix('}'));
        name.is_some_and(|name| {
            !name.is_empty() && name.chars().all(|c| c.is_ascii_alphanumeric() || c == '_')
        })
    };
    text.starts_with('$') && parts.into_iter().all(is_name)
}

/// Where literal credentials stand in a URL, user information and query alike. Offsets are bytes of `text`.
pub(crate) fn url_credentials(text: &str) -> Option<Range<usize>> {
    secret_range(text, Variables::Braced)
}

/// Where the first secret stands in a text. Offsets are bytes of it.
pub(crate) fn secret_range(text: &str, variables: Variables) -> Option<Range<usize>> {
    find(&text[..text.floor_char_boundary(MAX_BYTES)], variables).into_iter().min_by_key(|range| range.start)
}

/// Where the first URL with a literal user or password stands in a text of a shell or a Dockerfile. Parameters do not count:
/// downloads are often signed by them for an hour.
pub(crate) fn shell_credentials(text: &str) -> Option<Range<usize>> {
    let text = &text[..text.floor_char_boundary(MAX_BYTES)];
    let mut found = Vec::new();
    find_in_urls(text, Variables::Shell, &mut found);
    found.into_iter().min_by_key(|range| range.start)
}

/// Longer lines are searched in pieces: the search for secrets is quadratic where a text is made for it.
const PIECE: usize = 1 << 10;

/// What `find` finds in a line of any length, which is cut between words.
pub(crate) fn in_line(line: &str, find: impl Fn(&str) -> Option<Range<usize>>) -> Option<Range<usize>> {
    let mut start = 0;
    while start < line.len() {
        let end = line.floor_char_boundary((start + PIECE).min(line.len()));
        let cut = if end == line.len() { None } else { line[start..end].rfind([' ', ',', ';']) };
        let end = cut.filter(|cut| *cut > 0).map_or(end, |cut| start + cut);
        if let Some(range) = find(&line[start..end]) {
            return Some(start + range.start..start + range.end);
        }
        start = end;
    }
    None
}

fn find(text: &str, variables: Variables) -> Vec<Range<usize>> {
    let mut found = Vec::new();
    find_in_urls(text, variables, &mut found);
    find_in_queries(text, variables, &mut found);
    find_assignments(text, variables, &mut found);
    find_arguments(text, &mut found);
    find_tokens(text, &mut found);
    if let Some(start) = text.find("-----BEGIN ").filter(|_| text.contains("PRIVATE KEY")) {
        found.push(start..text.len());
    }
    found
}

/// Values in `password=…`, `"apiKey": "…"`, `?sig=…`.
fn find_assignments(text: &str, variables: Variables, found: &mut Vec<Range<usize>>) {
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
        if separator == "=" && is_debian_package(&before[name_start..], value) {
            continue;
        }
        if !value.is_empty() && !is_nothing(value) && !variables.are_all_of(value) && !value.starts_with("{{")
        {
            found.push(start..end);
        }
    }
}

/// Whether it is one of Debian's packages with a name like a secret's, in a version: `passwd=1:4.13+dfsg1-1`.
fn is_debian_package(name: &str, version: &str) -> bool {
    let of_epoch = |version: &str| version.split_once(':').is_some_and(|(epoch, _)| epoch.len() == 1);
    let number = version.starts_with(|c: char| c.is_ascii_digit());
    number && (name == "base-passwd" || (name == "passwd" && of_epoch(version)))
}

/// Whether a value says that there is none, as JSON and YAML write it: `"password": null,` of azureml-core.
fn is_nothing(value: &str) -> bool {
    let value = value.split([',', '}', ']']).next().unwrap_or_default().trim();
    value == "~" || value.eq_ignore_ascii_case("null") || value.eq_ignore_ascii_case("none")
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
            ("base-passwd=3.6.1 passwd=1:4.13 passwd=4x", "base-passwd=3.6.1 passwd=1:4.13 passwd=**"),
            (
                "RUN curl -H \"Authorization: Bearer hunter2\" h",
                "RUN curl -H \"Authorization: Bearer *******\" h",
            ),
            ("RUN az x --account-key hunter2", "RUN az x --account-key *******"),
            ("RUN curl -fsS -u me:hunter2 h", "RUN curl -fsS -u me:******* h"),
            ("RUN /usr/bin/curl -ume:hunter2 h", "RUN /usr/bin/curl -ume:******* h"),
            ("curl --user=\"me:hunter2\" h", "curl --user=\"me:*******\" h"),
            ("RUN twine upload -u me -p 'hunter2' d/*", "RUN twine upload -u me -p '*******' d/*"),
            ("RUN wget --user me --password=hunter2 h", "RUN wget --user me --password=******* h"),
            ("RUN wget --http-password hunter2 h", "RUN wget --http-password ******* h"),
            (
                "aws configure set aws_secret_access_key hunter2",
                "aws configure set aws_secret_access_key *******",
            ),
            ("PGPASSWORD=hunter2 psql", "PGPASSWORD=******* psql"),
            ("a @ https://h.test/a.whl?x=1&key=hunter2", "a @ https://h.test/a.whl?x=1&key=*******"),
            ("https://h.test/a?code=hunter2#sha256=aa", "https://h.test/a?code=*******#sha256=aa"),
            ("https://h.test/a?%6bey=hunter2", "https://h.test/a?%6bey=*******"),
            ("https://h.test/a?access_token=hunter2", "https://h.test/a?access_token=*******"),
        ] {
            assert_eq!(mask_secrets(given), shown);
            assert!(holds_secret(given));
        }
    }

    #[test]
    fn the_half_of_a_url_is_masked_and_no_secret_by_itself() {
        for (given, shown) in [
            ("-i me:hunter2@host.test/simple", "-i me:*******@host.test/simple"),
            ("url=me:hunter2@localhost:80", "url=me:*******@localhost:80"),
            ("me:${PASS}@host.test", "me:${PASS}@host.test"),
            ("git@host.test:a/b", "git@host.test:a/b"),
            ("FROM a/b:1.0@sha256:0123", "FROM a/b:1.0@sha256:0123"),
            ("mailto:me@host.test", "mailto:me@host.test"),
            ("maintainer: me@host.test", "maintainer: me@host.test"),
            ("a:b@1.0", "a:b@1.0"),
        ] {
            assert_eq!(mask_secrets(given), shown);
            assert!(!holds_secret(given), "{given}");
        }
    }

    #[test]
    fn a_shells_variables_are_no_credentials_in_a_dockerfile() {
        for text in [
            "RUN pip install -i https://$USER:$TOKEN@h.test/simple a",
            "RUN pip install -i https://${TOKEN}@h.test/simple a",
            "RUN pip install -i https://me:${TOKEN}@h.test/simple a",
            "RUN curl https://h.test/a?sig=$SIG&x=1",
        ] {
            assert_eq!(shell_credentials(text), None, "{text}");
            assert_eq!(secret_range(text, Variables::Shell), None, "{text}");
        }
        for text in [
            "RUN pip install -i https://me:hunter2@h.test/simple a",
            "RUN pip install -i https://$USER:hunter2@h.test/simple a",
            "RUN pip install -i https://me:${TOKEN}hunter2@h.test/simple a",
            "RUN pip install -i https://me:${TOKEN:-hunter2}@h.test/simple a",
        ] {
            assert!(shell_credentials(text).is_some(), "{text}");
        }
        let signed = "RUN curl 'https://h.test/a?sig=hunter2'";
        assert_eq!(shell_credentials(signed), None);
        assert!(secret_range(signed, Variables::Shell).is_some());
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
            "curl -u $USER:$PASSWORD https://h.test",
            "curl -u me: https://h.test",
            "curl -k -o a https://h.test && mkdir -p a:b",
            "twine upload -p \"$PASSWORD\" d",
            "https://h.test/a.zip?version=1&id=3",
            "https://h.test/keys?sort=key",
            "mkdir -p folder",
            "ENV TOKENIZERS_PARALLELISM false",
        ] {
            assert_eq!(mask_secrets(text), text);
        }
    }
}
