//! Files that pages name: embedded in the binary, with a part of their digest in the name, so that browsers keep them for good.

use std::sync::LazyLock;

use axum::extract::Path;
use axum::http::{StatusCode, header};
use axum::response::{IntoResponse as _, Response};
use provenv_definition::Digest;

/// A file.
pub(super) struct Asset {
    /// Its name with a part of its digest.
    pub name: String,
    kind: &'static str,
    bytes: &'static [u8],
}

impl Asset {
    fn new(stem: &str, ending: &str, kind: &'static str, bytes: &'static [u8]) -> Self {
        let digest = Digest::of(bytes).hex();
        Self { name: format!("{stem}.{}.{ending}", &digest[..16]), kind, bytes }
    }

    /// Where it is.
    pub fn path(&self) -> String {
        format!("/assets/{}", self.name)
    }
}

/// Every file.
pub(super) struct Assets {
    /// The base of the look: Pico CSS, whose licence stands beside it.
    pub base: Asset,
    /// Our own look.
    pub look: Asset,
    /// The log of a build as it is written.
    pub live: Asset,
    /// The mark.
    pub mark: Asset,
}

pub(super) static ASSETS: LazyLock<Assets> = LazyLock::new(|| Assets {
    base: Asset::new("pico", "css", "text/css; charset=utf-8", include_bytes!("../../assets/pico.min.css")),
    look: Asset::new("look", "css", "text/css; charset=utf-8", include_bytes!("../../assets/look.css")),
    live: Asset::new("live", "js", "text/javascript; charset=utf-8", include_bytes!("../../assets/live.js")),
    mark: Asset::new("mark", "svg", "image/svg+xml", include_bytes!("../../assets/mark.svg")),
});

/// Serves one of them.
pub(super) async fn serve(Path(file): Path<String>) -> Response {
    let all = [&ASSETS.base, &ASSETS.look, &ASSETS.live, &ASSETS.mark];
    let Some(asset) = all.into_iter().find(|asset| asset.name == file) else {
        return StatusCode::NOT_FOUND.into_response();
    };
    let fixed = [
        (header::CONTENT_TYPE, asset.kind),
        (header::CACHE_CONTROL, "public, max-age=31536000, immutable"),
        (header::X_CONTENT_TYPE_OPTIONS, "nosniff"),
    ];
    (fixed, asset.bytes).into_response()
}
