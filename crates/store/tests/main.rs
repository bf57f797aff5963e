//! The store through the public API, in one process and in many.

mod common;
mod crash;
mod damage;
mod store;
