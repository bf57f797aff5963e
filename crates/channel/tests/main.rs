//! Conda channels of these tests beside what clients of conda make of them.

mod access;
mod oci;
mod real;
mod support;
mod tiny;
