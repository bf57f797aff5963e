//! `provenv._native`: what the Python package `provenv` stands on. Python has the objects and their printing; all else is the
//! code that the command line stands on, too. Values cross as JSON, which both sides have types for.

mod definition;
mod document;
mod errors;
mod use_cases;
mod waiting;
mod workspace;

use std::path::PathBuf;

use pyo3::prelude::*;

#[pymodule]
fn _native(module: &Bound<'_, PyModule>) -> PyResult<()> {
    module.add("__version__", env!("CARGO_PKG_VERSION"))?;
    module.add_class::<definition::NativeEnvironment>()?;
    module.add_class::<workspace::NativeWorkspace>()?;
    module.add_function(wrap_pyfunction!(definition::yaml_of_json, module)?)?;
    module.add_function(wrap_pyfunction!(definition::json_of_yaml, module)?)?;
    module.add_function(wrap_pyfunction!(use_cases::build, module)?)?;
    module.add_function(wrap_pyfunction!(use_cases::image_details, module)?)?;
    module.add_function(wrap_pyfunction!(use_cases::lock, module)?)?;
    module.add_function(wrap_pyfunction!(use_cases::receipt, module)?)?;
    module.add_function(wrap_pyfunction!(use_cases::diff, module)?)?;
    module.add_function(wrap_pyfunction!(use_cases::export, module)?)?;
    module.add_function(wrap_pyfunction!(use_cases::sbom, module)?)?;
    module.add_function(wrap_pyfunction!(use_cases::verify, module)?)?;
    module.add_function(wrap_pyfunction!(use_cases::upgrade, module)?)?;
    module.add_function(wrap_pyfunction!(use_cases::label, module)?)?;
    module.add_function(wrap_pyfunction!(set_helper, module)?)?;
    Ok(())
}

/// Names the executable `provenv`, which sandboxes begin as: Python's own program is not one.
#[pyfunction]
fn set_helper(program: PathBuf) {
    provenv_workspace::set_helper(program);
}
