#' Runs a script in an environment
#'
#' The script runs on this machine, in the image that the server has, or builds; how it runs, its log and how it ended are on record
#' on the server. The command line `provenv` does it: it must be installed here.
#'
#' @param environment an environment: one that is registered, or one that is registered by this; or its name, such as
#'   `"digits:2"`.
#' @inheritParams register_environment
#' @param source_directory the folder with the script, which is copied to the run; outputs that the script writes into
#'   `./outputs` are kept.
#' @param script the script, below `source_directory`. It is run by `Rscript`, or by `python` where its name ends in `.py`.
#' @param script_params arguments: a character vector, or a named list, of which `list(trees = 5)` is `--trees 5`.
#' @param environment_variables variables for this run, over the environment's own: a named list or character vector. Kept
#'   with the run, so no place for secrets.
#' @param inputs a named list of values for `${{inputs.NAME}}` in `command`.
#' @param command what to run in the place of `script`: a line for the shell.
#' @param display_name what the run is called.
#' @param provenv the command line.
#' @param timeout the most seconds to wait until the run is there: the image may have to be built.
#' @return a `provenv_run`, as [get_run()] gives it. The run goes on: [wait_for_run_completion()].
#' @examples
#' \dontrun{
#' run <- submit("digits", ws, source_directory = "src", script = "train.R", script_params = list(trees = 5))
#' wait_for_run_completion(run, ws)
#' }
#' @export
submit <- function(environment, workspace, source_directory = ".", script = NULL, script_params = NULL,
                   environment_variables = NULL, inputs = NULL, command = NULL, display_name = NULL,
                   provenv = Sys.which("provenv"), timeout = 3600) {
  check_workspace(workspace)
  check_text(source_directory, "source_directory")
  if (is.null(script) == is.null(command)) {
    fail("one of `script` and `command` says what is run", code = "argument", hint = "give `script = \"train.R\"`")
  }
  if (!is.null(script)) {
    check_text(script, "script")
    if (!file.exists(file.path(source_directory, script))) {
      fail(paste0("there is no `", script, "` in ", source_directory), code = "file-not-found")
    }
    command <- as.list(c(if (grepl("[.]py$", script)) "python" else "Rscript", script, script_arguments(script_params)))
  } else if (!is.null(script_params)) {
    fail("`script_params` are for a `script`", code = "argument", hint = "write them into `command`")
  }
  if (!nzchar(provenv) || !file.exists(provenv)) {
    fail(
      "the command line `provenv`, which runs the script here, was not found", code = "no-command-line",
      hint = "install it, or say where it is: `provenv = \"/path/to/provenv\"`"
    )
  }
  job <- without_empty(list(
    name = display_name, environment = named_environment(environment, workspace), command = command,
    code = normalizePath(source_directory), inputs = inputs,
    environment_variables = as_named(environment_variables, "environment_variables")
  ))
  folder <- tempfile("provenv-job-")
  dir.create(folder, mode = "0700")
  file <- file.path(folder, "job.json")
  writeLines(jsonlite::toJSON(job, auto_unbox = TRUE), file)
  begin_run(workspace, provenv, file, timeout)
}

# `name:version`.
named_environment <- function(environment, workspace) {
  if (is.character(environment)) {
    check_text(environment, "environment")
    return(environment)
  }
  check_class(environment, "provenv_environment", "environment", "make one by `r_environment()`")
  if (is.null(environment$registered)) environment <- register_environment(environment, workspace)
  paste0(environment$registered$name, ":", environment$registered$version)
}

script_arguments <- function(params) {
  if (is.null(names(params))) return(as.character(unlist(params)))
  unlist(Map(function(name, value) c(if (nzchar(name)) paste0("--", name), as.character(value)), names(params), params), use.names = FALSE)
}

# Begins the run and waits until it says what it is called.
begin_run <- function(workspace, provenv, job, timeout) {
  said <- file.path(dirname(job), "said")
  ended <- file.path(dirname(job), "ended")
  # A shell of its own, so that how it ended can be asked later; the token is in its environment alone, not in its arguments.
  line <- paste0("\"$0\" submit \"$1\" >/dev/null 2>\"$2\" </dev/null; echo $? >\"$3\"")
  arguments <- c("-c", shQuote(line), shQuote(c(provenv, job, said, ended)))
  with_variables(
    list(PROVENV_WORKSPACE = workspace$url, PROVENV_TOKEN = workspace$token(), NO_COLOR = "1"),
    system2("sh", arguments, wait = FALSE)
  )
  deadline <- Sys.time() + timeout
  repeat {
    lines <- if (file.exists(said)) readLines(said, warn = FALSE) else character()
    begun <- regmatches(lines, regexec("^run (\\S+) in ", lines))
    begun <- unlist(lapply(begun, function(found) found[2][!is.na(found[2])]))
    if (length(begun) > 0) {
      run <- tryCatch(get_run(workspace, begun[[1]]), provenv_error_run_not_found = function(error) NULL)
      if (!is.null(run)) return(run)
    }
    if (file.exists(ended) && file.size(ended) > 0) refuse_run(lines)
    if (Sys.time() >= deadline) {
      fail("the run has not begun", code = "timeout", causes = utils::tail(lines, 1), hint = "give `timeout`, or build the image first: `build_environment()`")
    }
    Sys.sleep(0.2)
  }
}

refuse_run <- function(lines) {
  hint <- sub("^\\s*hint: ", "", grep("^\\s*hint: ", lines, value = TRUE))
  message <- sub("^error(\\[[A-Z0-9]+\\])?: ", "", grep("^error", lines, value = TRUE))
  fail(
    paste0("the script could not be run", tail_of(if (length(message) > 0) message[[1]])),
    code = "not-started", hint = if (length(hint) > 0) hint[[1]],
    causes = if (length(message) == 0) utils::tail(lines, 3) else character()
  )
}

with_variables <- function(variables, expression) {
  before <- Sys.getenv(names(variables), unset = NA, names = TRUE)
  on.exit({
    there <- !is.na(before)
    if (any(there)) do.call(Sys.setenv, as.list(before[there]))
    Sys.unsetenv(names(before)[!there])
  })
  do.call(Sys.setenv, variables)
  force(expression)
}

#' Runs
#'
#' @inheritParams register_environment
#' @param id the run's identifier.
#' @param run a run, as [submit()] and `get_run()` give it.
#' @param limit at most so many, the newest first.
#' @param show_output whether the log is shown as it is written.
#' @param timeout the most seconds to wait.
#' @return `get_run()` and `get_run_details()`: a `provenv_run`, a list with `id`, `name`, `environment`, `status`, `exit_code`, `started_at`,
#'   `ended_at`, `image` and what else the server says; the second asks anew. `wait_for_run_completion()`: the same, as it
#'   ended, and an error of class `provenv_error_run_failed` where it failed. `get_runs()`: a data frame. `get_run_log()`: lines.
#' @examples
#' \dontrun{
#' run <- get_run(ws, "digits-20260701-093000-5f3a1c")
#' wait_for_run_completion(run, ws, show_output = TRUE)
#' }
#' @export
get_run <- function(workspace, id) {
  check_workspace(workspace)
  check_text(id, "id")
  as_run(json(ask(workspace, "GET", c("runs", id))))
}

#' @rdname get_run
#' @export
get_run_details <- function(run, workspace) {
  check_run(run)
  get_run(workspace, run$id)
}

#' @rdname get_run
#' @export
get_runs <- function(workspace, limit = 50) {
  check_workspace(workspace)
  runs <- ask_all(workspace, "runs", "runs", limit = limit)
  data.frame(
    id = texts(runs, "id"), name = texts(runs, "name"), environment = texts(runs, "environment"),
    status = texts(runs, "status"), exit_code = as.integer(texts(runs, "exit_code")),
    started_at = texts(runs, "started_at"), ended_at = texts(runs, "ended_at")
  )
}

#' @rdname get_run
#' @export
get_run_log <- function(run, workspace) {
  check_run(run)
  check_workspace(workspace)
  whole_log(workspace, c("runs", run$id))
}

#' @rdname get_run
#' @export
wait_for_run_completion <- function(run, workspace, show_output = TRUE, timeout = Inf) {
  check_run(run)
  ended <- follow(
    workspace, c("runs", run$id), function(state) !state$status %in% c("preparing", "queued", "running"),
    paste("the run", run$id), show_output, timeout
  )
  if (ended$status != "completed") {
    code <- if (is.null(ended$exit_code)) "" else paste(" with exit code", ended$exit_code)
    fail(
      paste0("the run ", run$id, " ", ended$status, code, tail_of(ended$error)),
      code = paste0("run-", ended$status), hint = paste0("`get_run_log()` has what it wrote")
    )
  }
  invisible(as_run(ended))
}

as_run <- function(run) structure(run, class = "provenv_run")

check_run <- function(run) check_class(run, "provenv_run", "run", "get one by `get_run()`")

#' @export
print.provenv_run <- function(x, ...) {
  cat("<run ", x$id, ">\n", sep = "")
  for (field in c("name", "environment", "status", "exit_code", "started_at", "ended_at", "image", "error")) {
    if (!is.null(x[[field]])) cat("  ", formatC(field, width = -12), format(x[[field]]), "\n", sep = "")
  }
  invisible(x)
}
