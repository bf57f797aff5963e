//! Checks of where pip looks for packages.

use super::placed;
use crate::read::Origins;
use crate::{CondaChannel, Diagnostic, Environment, Remarks, Requirement, SafeUrl, codes};

pub(super) fn indexes(environment: &Environment, origins: &Origins, remarks: &mut Remarks) {
    let pip = &environment.definition.pip;
    let urls = pip.index_url.iter().chain(&pip.extra_index_urls).chain(&pip.find_links);
    for url in urls.filter(|url| is_plain(url)) {
        remarks.push(plain_http(&format!("packages are fetched from `{}` without encryption", host(url))));
    }
    for (i, channel) in environment.definition.conda.channels.iter().enumerate() {
        if let CondaChannel::Url(url) = channel
            && is_plain(url)
        {
            let remark = plain_http(&format!("the channel at `{}` is fetched without encryption", host(url)));
            remarks.push(placed(remark, origins.channels.get(i)));
        }
    }

    let named: Vec<_> = pip
        .requirements
        .iter()
        .enumerate()
        .filter_map(|(i, entry)| Some((i, entry, entry.requirement.parse::<Requirement>().ok()?)))
        .filter(|(.., requirement)| requirement.url.is_none())
        .collect();
    let with_hash = named.iter().filter(|(_, entry, _)| !entry.hashes.is_empty()).count();
    if !pip.require_hashes && with_hash > 0 && with_hash < named.len() {
        let (i, ..) = named.iter().find(|(_, entry, _)| entry.hashes.is_empty()).unwrap_or(&named[0]);
        let message = format!("{} of {} requirements have no hash", named.len() - with_hash, named.len());
        let remark = Diagnostic::new(codes::PARTIAL_HASHES, message)
            .with_hint("give hashes for all, as `pip-compile --generate-hashes` does, or for none");
        remarks.push(placed(remark, origins.requirements.get(*i)));
    }
    let open = named.iter().filter(|(_, entry, _)| entry.hashes.is_empty() && !pip.no_index);
    let open = open.count();
    let foreign = pip.extra_index_urls.iter().find(|url| !is_well_known(url));
    if let (Some(url), true) = (foreign, open > 0) {
        let packages = if open == 1 { "package" } else { "packages" };
        let message = format!("{open} {packages} may come from `{}` or from the main index", host(url));
        let remark = Diagnostic::new(codes::DEPENDENCY_CONFUSION, message)
            .with_hint("name one index that holds all with `--index-url`, or give hashes");
        remarks.push(remark);
    }
}

fn plain_http(message: &str) -> Diagnostic {
    Diagnostic::new(codes::PLAIN_HTTP, message).with_hint("use `https://`")
}

fn is_plain(url: &SafeUrl) -> bool {
    let host = url.as_url().host_str().unwrap_or_default();
    let local = matches!(host, "localhost" | "[::1]") || host.starts_with("127.");
    url.as_url().scheme() == "http" && !local
}

fn host(url: &SafeUrl) -> String {
    crate::secrets::shown(url.as_url().host_str().unwrap_or_default())
}

/// The public index itself, and indexes of builds of public packages under their own names.
fn is_well_known(url: &SafeUrl) -> bool {
    let host = url.as_url().host_str().unwrap_or_default();
    ["pypi.org", "pypi.python.org", "files.pythonhosted.org", "download.pytorch.org"].contains(&host)
}
