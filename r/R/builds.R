#' Builds the image of an environment
#'
#' However many ask, an image is built once; one that is there already is a build that has succeeded.
#'
#' @param environment an environment that is registered, as [get_environment()] gives it.
#' @inheritParams register_environment
#' @param build a build, as `build_environment()` gives it.
#' @param id the identifier of one.
#' @param show_output whether its log is shown as it is written.
#' @param timeout the most seconds to wait.
#' @return a `provenv_build`: `id`, `environment`, `version`, `status` (`"queued"`, `"running"`, `"succeeded"`, `"failed"`,
#'   `"canceled"`), `image` (its digest) and what else the server says. `wait_for_build()` gives it as it ended, and fails where
#'   the build did; `get_build_log()` gives the lines of its log.
#' @examples
#' \dontrun{
#' build <- build_environment(get_environment(ws, "digits"), ws)
#' wait_for_build(build, ws)$image
#' }
#' @export
build_environment <- function(environment, workspace) {
  check_workspace(workspace)
  known <- check_registered(environment)
  as_build(json(ask(workspace, "POST", c("environments", known$name, "versions", known$version, "build"))))
}

#' @rdname build_environment
#' @export
get_build <- function(workspace, id) {
  check_workspace(workspace)
  check_text(id, "id")
  as_build(json(ask(workspace, "GET", c("jobs", id))))
}

#' @rdname build_environment
#' @export
wait_for_build <- function(build, workspace, show_output = TRUE, timeout = 3600) {
  check_class(build, "provenv_build", "build", "make one by `build_environment()`")
  ended <- follow(
    workspace, c("jobs", build$id), function(state) !state$status %in% c("queued", "running"),
    paste("the build", build$id), show_output, timeout
  )
  if (ended$status != "succeeded") {
    fail(
      paste0("the build ", build$id, " of ", ended$environment, ":", ended$version, " ", ended$status, tail_of(ended$error$message)),
      code = paste0("build-", ended$status), hint = ended$error$hint,
      causes = unlist(ended$error$causes) %or% character()
    )
  }
  invisible(as_build(ended))
}

#' @rdname build_environment
#' @export
get_build_log <- function(build, workspace) {
  check_class(build, "provenv_build", "build", "make one by `build_environment()`")
  check_workspace(workspace)
  whole_log(workspace, c("jobs", build$id))
}

as_build <- function(job) structure(job, class = "provenv_build")

tail_of <- function(message) if (is.null(message) || !nzchar(message)) "" else paste0(": ", message)

#' @export
print.provenv_build <- function(x, ...) {
  cat("<build ", x$id, ">\n", sep = "")
  cat("  environment ", x$environment, ":", x$version, "\n  status      ", x$status, "\n", sep = "")
  if (!is.null(x$image)) cat("  image       ", x$image, "\n", sep = "")
  if (!is.null(x$error$message)) cat("  because     ", x$error$message, "\n", sep = "")
  invisible(x)
}
