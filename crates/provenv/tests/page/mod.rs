//! The page: as a program sees it, and as people do, in Debian's Chromium.

mod browser;
mod flows;
mod keyboard;
mod look;
mod plain;
