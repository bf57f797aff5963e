//! What the result of a Dockerfile stands on, as far as that is known before it is run.

use provenv_definition::{Definition, Platform, Recipe};
use provenv_image::base_image::{Error as BaseError, Unfit};
use provenv_lock::{BaseLock, ImageLock};

use super::engine::Named;
use crate::{Error, Result, Workspace};

/// Where images of ours have their packages.
const PREFIX: &str = "/opt/provenv";

impl Workspace {
    /// Refuses a Dockerfile whose last stage begins from an image of an environment, where packages are to be put on what it
    /// makes: it would be refused afterwards, when all steps have run. Only a step that names the prefix could take it away.
    pub(super) async fn leaves_room(
        &self,
        definition: &Definition,
        platform: Platform,
        recipe: &Recipe,
        images: &[(&Named, &ImageLock)],
    ) -> Result<()> {
        let has_conda = definition.conda.has_packages_for(platform);
        let installs = !definition.user_managed && (has_conda || !definition.pip.requirements.is_empty());
        if !installs || recipe.steps.iter().any(|step| step.arguments.contains(PREFIX)) {
            return Ok(());
        }
        let Some(written) = first_image(recipe) else { return Ok(()) };
        let image = images.iter().find(|(named, _)| named.names.iter().any(|name| name == written));
        let Some((_, image)) = image else { return Ok(()) };
        let known = self.known_base(&BaseLock::Image((*image).clone()), platform).await?;
        if known.facts.has_prefix {
            return Err(Error::Image(BaseError::from(Unfit::Prefix).into()));
        }
        Ok(())
    }
}

/// The image that the last stage begins from, as it is written, through the stages that it stands on.
fn first_image(recipe: &Recipe) -> Option<&str> {
    let mut stages: Vec<(&str, Option<&str>)> = Vec::new();
    for step in recipe.steps.iter().filter(|step| step.keyword == "FROM") {
        let mut words = step.arguments.split_whitespace();
        let image = words.next()?;
        let name = words.next().filter(|word| word.eq_ignore_ascii_case("as")).and_then(|_| words.next());
        stages.push((image, name));
    }
    let (mut image, _) = stages.pop()?;
    // A stage is named by later ones alone.
    while let Some((below, name)) = stages.pop() {
        if name.is_some_and(|name| name.eq_ignore_ascii_case(image)) {
            image = below;
        }
    }
    Some(image)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn stages_are_followed_to_the_image_that_they_begin_from() {
        for (text, first) in [
            ("FROM a:1\nRUN true\n", "a:1"),
            ("FROM a AS one\nFROM b AS two\nFROM ONE\n", "a"),
            ("FROM a AS one\nFROM one AS two\nFROM c\nFROM two\n", "a"),
            ("FROM a AS one\nFROM b\nCOPY --from=one /x /x\n", "b"),
            ("FROM --platform=linux/amd64 a AS one\nFROM one\n", "a"),
            // The later of two of one name counts.
            ("FROM a AS one\nFROM b AS one\nFROM one\n", "b"),
        ] {
            assert_eq!(first_image(&Recipe::read(text).unwrap()), Some(first), "{text}");
        }
    }
}
