#' A workspace on a server
#'
#' Environments, builds and runs are kept in a workspace. Nothing is kept open: the connection is made anew for each
#' request.
#'
#' @param url the workspace's address, `https://HOST/NAME`; by default the variable `PROVENV_WORKSPACE`. Plain `http` is taken
#'   for this machine only, for whoever reads a request has the token.
#' @param token the token to ask with; by default the variable `PROVENV_TOKEN`. `provenv token create` and the page
#'   of the server make one.
#' @return a `provenv_workspace`. The token is not in what it prints.
#' @seealso [load_workspace_from_config()], which reads the address from a file.
#' @examples
#' \dontrun{
#' ws <- get_workspace("https://envs.example/default")
#' }
#' @export
get_workspace <- function(url = Sys.getenv("PROVENV_WORKSPACE"), token = Sys.getenv("PROVENV_TOKEN")) {
  workspace <- new_workspace(url, token)
  # Whoever asks wants to know at once whether the address and the token hold.
  who <- json(perform(base_request(paste0(workspace$server, "/api/v1/whoami"), workspace$token())))
  known <- json(perform(base_request(paste0(workspace$server, "/api/v1/workspaces"), workspace$token())))
  of_name <- Filter(function(one) identical(one$name, workspace$name), known$workspaces)
  if (length(of_name) == 0) {
    names <- vapply(known$workspaces, function(one) one$name, "")
    there <- if (length(names) > 0) paste("there is", paste(names, collapse = ", ")) else "ask an owner for a role in one"
    fail(
      paste0("there is no workspace `", workspace$name, "` for ", who$user, " on ", workspace$server),
      code = "workspace-not-found", status = 404L, hint = there
    )
  }
  workspace$user <- who$user
  workspace$role <- of_name[[1]]$role
  workspace
}

new_workspace <- function(url, token) {
  if (!is.character(url) || length(url) != 1 || !grepl("^https?://[^/]+/[^/]+/?$", url)) {
    fail(
      paste0("`url` is no address of a workspace: ", describe(url)),
      code = "argument",
      hint = "give `https://HOST/NAME`, or set PROVENV_WORKSPACE to it"
    )
  }
  check_token(token)
  parts <- httr2::url_parse(url)
  if (!is.null(parts$username) || !is.null(parts$password)) {
    fail("`url` holds a password", code = "argument", hint = "give the token as `token`, or in PROVENV_TOKEN")
  }
  if (parts$scheme == "http" && !parts$hostname %in% c("localhost", "127.0.0.1", "::1", "[::1]")) {
    fail(
      paste0("plain http to ", parts$hostname, " would show the token to whoever listens"),
      code = "argument", hint = "write `https://`"
    )
  }
  url <- sub("/$", "", url)
  server <- sub("/[^/]+$", "", url)
  name <- sub("^.*/", "", url)
  structure(
    class = "provenv_workspace",
    list(
      url = url, server = server, name = name,
      api = paste0(server, "/api/v1/workspaces/", name),
      # A function, so that no `str()` or `dput()` of the list shows it by itself.
      token = local({ kept <- token; function() kept }),
      user = NA_character_, role = NA_character_
    )
  )
}

check_token <- function(token) {
  if (!is.character(token) || length(token) != 1 || is.na(token) || !nzchar(token)) {
    # What was given may be a part of one: it is not shown.
    fail(
      "no token to ask the server with", code = "argument",
      hint = "give `token`, or set PROVENV_TOKEN; `provenv token create` makes one"
    )
  }
}

#' Reads the address of a workspace from a file
#'
#' @param path a file, or the folder with `config.json` or `.provenv/config.json` in it: JSON with a field `url`. The token is
#'   never in it.
#' @inheritParams get_workspace
#' @return a `provenv_workspace`.
#' @examples
#' \dontrun{
#' write_workspace_config(ws)
#' ws <- load_workspace_from_config()
#' }
#' @export
load_workspace_from_config <- function(path = ".", token = Sys.getenv("PROVENV_TOKEN")) {
  check_text(path, "path")
  tried <- if (dir.exists(path)) file.path(path, c("config.json", ".provenv/config.json")) else path
  found <- Filter(file.exists, tried)
  if (length(found) == 0) {
    fail(
      paste0("there is no ", paste(tried, collapse = " and no ")), code = "config-not-found",
      hint = "`write_workspace_config()` writes it"
    )
  }
  read <- tryCatch(jsonlite::fromJSON(found[[1]]), error = function(error) {
    fail(paste0(found[[1]], " is not JSON"), code = "config-invalid", causes = conditionMessage(error))
  })
  if (!is.character(read$url)) {
    fail(
      paste0(found[[1]], " has no `url`"), code = "config-invalid",
      hint = "`write_workspace_config()` writes it anew"
    )
  }
  get_workspace(read$url, token)
}

#' @rdname load_workspace_from_config
#' @param workspace a workspace, as [get_workspace()] gives it.
#' @export
write_workspace_config <- function(workspace, path = ".") {
  check_workspace(workspace)
  check_text(path, "path")
  file <- file.path(path, ".provenv", "config.json")
  dir.create(dirname(file), showWarnings = FALSE, recursive = TRUE)
  writeLines(jsonlite::toJSON(list(url = workspace$url), auto_unbox = TRUE, pretty = TRUE), file)
  invisible(file)
}

#' @export
print.provenv_workspace <- function(x, ...) {
  cat("<workspace ", x$name, ">\n", sep = "")
  cat("  server  ", x$server, "\n", sep = "")
  cat("  user    ", x$user, " (", x$role, ")\n", sep = "")
  invisible(x)
}
