//! Names of conda channels: where they are is a setting and no part of the definition. A lock stays what it is when that is
//! changed, and who locks by a file is told.

use provenv_definition::{CondaChannel, CondaRequirements, Definition, SafeUrl};
use provenv_lock::Receipt;
use url::Url;

use crate::Workspace;

impl Workspace {
    /// Says which channels of `definition` are elsewhere by the settings than when it was locked, and the command that takes
    /// their packages from there.
    pub(crate) fn note_moved_channels(&self, definition: &Definition, receipt: &Receipt, how: &str) {
        let locked: Vec<Url> = receipt.indexes.iter().filter_map(|index| channel_of(&index.url)).collect();
        for channel in &definition.conda.channels {
            let CondaChannel::Name(name) = channel else { continue };
            let asked = CondaRequirements { channels: vec![channel.clone()], ..CondaRequirements::default() };
            let places = provenv_lock::conda::places(&asked, &self.conda_config());
            // Several are what `defaults` stands for, and no setting moves those.
            let [now] = &places[..] else { continue };
            let ending = format!("/{name}/");
            let then = locked.iter().find(|url| *url != now && url.path().ends_with(&ending));
            if let Some(then) = then.filter(|_| !locked.contains(now)) {
                self.reporter.note(&format!(
                    "the channel `{name}` was {} when this was locked, and is {} by the settings of today: what was chosen stays; \
                     `{how}` chooses anew",
                    shown(then),
                    shown(now)
                ));
            }
        }
    }
}

/// The channel of an index: the folder of its subdir's folder. A channel that is a folder stands for its indexes.
fn channel_of(index: &SafeUrl) -> Option<Url> {
    let mut url = index.as_url().clone();
    if !url.path().ends_with('/') {
        url.path_segments_mut().ok()?.pop().pop().push("");
    }
    Some(url)
}

fn shown(url: &Url) -> String {
    SafeUrl::new(url.clone()).to_string().trim_end_matches('/').to_owned()
}
