//! Where packages are looked for: names and URLs of a definition become channels.

use std::path::PathBuf;
use std::sync::Arc;

use provenv_definition::{CondaChannel, CondaRequirements, CondaSpec, SafeUrl};
use rattler_conda_types::{Channel, ChannelConfig};
use rattler_repodata_gateway::{MultiSource, Source};
use url::Url;

use super::{CondaConfig, Error, Result};

/// Where Anaconda's own channels are, which the alias does not complete.
const ANACONDA: &str = "https://repo.anaconda.com";
/// What conda's `defaults` stands for on Linux.
const DEFAULTS: &[&str] = &["pkgs/main", "pkgs/r"];

/// The channels of a definition, first to last.
#[derive(Clone)]
pub(super) struct Channels {
    pub sources: Vec<Source>,
    /// All of them, members of `defaults` too.
    pub all: Vec<Channel>,
}

impl Channels {
    /// Those that `channels` names, and after them those that only a spec names.
    pub fn new(channels: &[CondaChannel], specs: &[CondaSpec], config: &CondaConfig) -> Result<Self> {
        let mut found = Self { sources: Vec::new(), all: Vec::new() };
        let of_specs = specs.iter().filter_map(|spec| spec.channel.as_ref());
        for channel in channels.iter().chain(of_specs) {
            found.add(channel, config)?;
        }
        Ok(found)
    }

    fn add(&mut self, channel: &CondaChannel, config: &CondaConfig) -> Result<()> {
        if *channel == CondaChannel::Name("defaults".to_owned()) {
            let members = DEFAULTS.iter().map(|name| of_name(name, config)).collect::<Result<Vec<_>>>()?;
            let members: Vec<Channel> = members.into_iter().filter(|member| !self.has(member)).collect();
            let sources = members.iter().cloned().map(Source::Channel).collect();
            if let Ok(group) = MultiSource::new("defaults", sources) {
                self.sources.push(Source::Multi(group));
            }
            self.all.extend(members);
            return Ok(());
        }
        let channel = one(channel, config)?;
        if !self.has(&channel) {
            self.sources.push(Source::Channel(channel.clone()));
            self.all.push(channel);
        }
        Ok(())
    }

    fn has(&self, channel: &Channel) -> bool {
        self.all.iter().any(|known| known.base_url == channel.base_url)
    }

    /// Their URLs, each with a slash at its end.
    pub fn urls(&self) -> Vec<Url> {
        self.all.iter().map(|channel| channel.base_url.url().as_ref().clone()).collect()
    }
}

/// The places that `asked` names: its channels and those of its specs, and archives that specs name by their URL. What makes
/// no sense names none.
pub fn places(asked: &CondaRequirements, config: &CondaConfig) -> Vec<Url> {
    let specs: Vec<CondaSpec> =
        asked.packages.iter().filter_map(|package| package.spec.parse().ok()).collect();
    let channels = Channels::new(&asked.channels, &specs, config).map(|channels| channels.urls());
    let archives = specs.iter().filter_map(|spec| Some(spec.url.as_ref()?.as_url().clone()));
    channels.unwrap_or_default().into_iter().chain(archives).collect()
}

/// The channel of a spec, in the form in which records name theirs.
pub(super) fn of_spec(channel: &CondaChannel, config: &CondaConfig) -> Result<Arc<Channel>> {
    if *channel == CondaChannel::Name("defaults".to_owned()) {
        let channel = Channel::from_name("defaults", &aliased(config.channel_alias()));
        return Ok(Arc::new(channel));
    }
    one(channel, config).map(Arc::new)
}

/// What a user calls it.
pub(super) fn shown(channel: &Channel) -> String {
    let url = channel.base_url.url().as_ref().clone();
    match (&channel.name, url.host_str()) {
        (Some(name), Some("conda.anaconda.org")) => name.clone(),
        _ => SafeUrl::new(url).to_string().trim_end_matches('/').to_owned(),
    }
}

/// The same, of its URL.
pub(super) fn shown_url(url: Url) -> String {
    shown(&Channel::from_url(url))
}

fn one(channel: &CondaChannel, config: &CondaConfig) -> Result<Channel> {
    match channel {
        CondaChannel::Name(name) => of_name(name, config),
        CondaChannel::Url(url) => of_url(url.as_url()),
    }
}

fn of_name(name: &str, config: &CondaConfig) -> Result<Channel> {
    let is_anaconda = name.starts_with("pkgs/");
    let alias = if is_anaconda { Url::parse(ANACONDA).expect("a URL") } else { config.channel_alias() };
    let mut url = alias;
    let segments = url.path_segments_mut().map(|mut segments| {
        segments.pop_if_empty().extend(name.split('/')).push("");
    });
    match segments {
        Ok(()) => of_url(&url).map(|channel| Channel { name: Some(name.to_owned()), ..channel }),
        Err(()) => Err(Error::Scheme { channel: name.to_owned() }),
    }
}

fn of_url(url: &Url) -> Result<Channel> {
    if !matches!(url.scheme(), "http" | "https" | "file" | "oci") {
        return Err(Error::Scheme { channel: SafeUrl::new(url.clone()).to_string() });
    }
    let mut url = url.clone();
    if !url.path().ends_with('/') {
        url.set_path(&format!("{}/", url.path()));
    }
    Ok(Channel::from_url(url))
}

fn aliased(channel_alias: Url) -> ChannelConfig {
    ChannelConfig { channel_alias, root_dir: PathBuf::from("/") }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn urls(channels: &[CondaChannel], specs: &[&str], alias: Option<&str>) -> Vec<String> {
        let config = CondaConfig { channel_alias: alias.map(|alias| alias.parse().unwrap()) };
        let specs: Vec<CondaSpec> = specs.iter().map(|spec| spec.parse().unwrap()).collect();
        let channels = Channels::new(channels, &specs, &config).unwrap();
        channels.urls().iter().map(ToString::to_string).collect()
    }

    fn name(name: &str) -> CondaChannel {
        CondaChannel::Name(name.to_owned())
    }

    #[test]
    fn names_go_through_the_alias_and_urls_stay() {
        let url = CondaChannel::Url("https://h.test/t/${TOKEN}/c".parse().unwrap());
        assert_eq!(
            urls(&[name("conda-forge/label/dev"), url], &["bioconda::a", "b"], None),
            [
                "https://conda.anaconda.org/conda-forge/label/dev/",
                "https://h.test/t/$%7BTOKEN%7D/c/",
                "https://conda.anaconda.org/bioconda/",
            ]
        );
        assert_eq!(
            urls(&[name("x")], &["x::a"], Some("https://mirror.test/conda")),
            ["https://mirror.test/conda/x/"]
        );
    }

    #[test]
    fn defaults_are_two_channels_of_anaconda() {
        assert_eq!(
            urls(&[name("defaults"), name("pkgs/main")], &["defaults::a"], Some("https://mirror.test")),
            ["https://repo.anaconda.com/pkgs/main/", "https://repo.anaconda.com/pkgs/r/"]
        );
    }

    #[test]
    fn what_no_channel_can_be_fetched_by_is_refused() {
        let bucket = CondaChannel::Url("s3://bucket/channel".parse().unwrap());
        assert!(matches!(of_spec(&bucket, &CondaConfig::default()), Err(Error::Scheme { .. })));
    }
}
