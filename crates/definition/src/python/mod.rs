//! Python projects and their locks.

pub(crate) mod bounds;
pub(crate) mod poetry_lock;
pub(crate) mod pylock;
pub(crate) mod pyproject;
pub(crate) mod uv_lock;
