//! Checks of environment variables.

use super::placed;
use crate::read::Origins;
use crate::secrets::{holds_secret, is_secret_name, shown};
use crate::{Diagnostic, Environment, Remarks, codes};

/// Set by what runs the command: beginnings of names.
const RUN_PREFIXES: &[&str] =
    &["AZUREML_RUN_", "AZUREML_ARM_", "AZ_BATCH", "AZUREML_CR_", "SLURM_", "KUBERNETES_"];

/// Set by what runs the command: whole names.
const RUN_NAMES: &[&str] = &[
    "AZUREML_DATAREFERENCE_workspaceblobstore",
    "AZUREML_EXPERIMENT_ID",
    "AZUREML_EXPERIMENT_SCOPE",
    "AZUREML_SERVICE_ENDPOINT",
    "AZUREML_WORKSPACE_ID",
    "AZUREML_WORKSPACE_SCOPE",
    "AZUREML_MODEL_DIR",
    "AZUREML_ENTRY_SCRIPT",
    "AZUREML_INFERENCE_SERVER_HTTP_ENABLED",
    "CONDA_DEFAULT_ENV",
    "CONDA_PREFIX",
    "HOSTNAME",
    "LOCAL_RANK",
    "MLFLOW_RUN_ID",
    "OMPI_COMM_WORLD_RANK",
    "RANK",
    "VIRTUAL_ENV",
    "WORLD_SIZE",
];

/// Steer how every program is found, loaded or started.
const LOADER_NAMES: &[&str] =
    &["BASH_ENV", "HOME", "LD_AUDIT", "LD_LIBRARY_PATH", "LD_PRELOAD", "PATH", "PYTHONHOME", "SHELL", "USER"];

pub(super) fn variables(environment: &Environment, origins: &Origins, remarks: &mut Remarks) {
    for (name, value) in &environment.environment_variables {
        let place = origins.variables.get(name);
        let empty = value.is_empty() || value.starts_with("${");
        if !empty && (is_secret_name(name) || holds_secret(value)) {
            let message = format!("the variable `{}` looks like a secret", shown(name));
            let remark = Diagnostic::new(codes::SECRET, message)
                .with_hint("pass it when the command is run; definitions are stored and shown in clear");
            remarks.push(placed(remark, place));
        }
        let reason = if LOADER_NAMES.contains(&name.as_str()) {
            "steers how programs are found and loaded, and replaces what the image sets"
        } else if RUN_NAMES.contains(&name.as_str())
            || RUN_PREFIXES.iter().any(|prefix| name.starts_with(prefix))
        {
            "is set by what runs the command"
        } else {
            continue;
        };
        let remark = Diagnostic::new(codes::RUNTIME_VARIABLE, format!("`{}` {reason}", shown(name)))
            .with_hint("leave it out, or set it in the command itself");
        remarks.push(placed(remark, place));
    }
}
