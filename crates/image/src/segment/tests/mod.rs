//! Archives made by the tests, good ones and hostile ones, and what becomes of them.

pub mod bytecode;
mod conda;
pub mod conda_package;
mod deb;
mod hostile_deb;
mod hostile_wheel;
mod linkage;
mod real;
pub mod support;
mod wheel;
