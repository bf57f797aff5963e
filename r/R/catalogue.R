#' Registers an environment
#'
#' The server chooses every package, keeps the lock, and gives the environment a version. The same name with the same
#' content is the version that is there already.
#'
#' @param environment a [r_environment()] or [environment_from_file()].
#' @param workspace a workspace, as [get_workspace()] gives it.
#' @return the environment as it is registered, as [get_environment()] gives it.
#' @examples
#' \dontrun{
#' env <- register_environment(r_environment("digits", cran_packages = "data.table"), ws)
#' }
#' @export
register_environment <- function(environment, workspace) {
  check_workspace(workspace)
  # Whoever asks again with the same key gets the same answer, and nothing is registered twice.
  key <- paste0("r-", paste(sample(c(0:9, letters), 24, replace = TRUE), collapse = ""))
  answer <- json(ask(
    workspace, "POST", "environments", as_proposal(environment), headers = list("Idempotency-Key" = key)
  ))
  get_environment(workspace, answer$name, answer$version)
}

#' Looks an environment up
#'
#' @inheritParams register_environment
#' @param name its name.
#' @param version its version; `NULL` for the newest that is not archived.
#' @param label a label in the place of a version.
#' @return a `provenv_environment` whose field `registered` has all that the server says of it: `name`, `version`, `labels`,
#'   `created_at`, `created_by`, `definition_digest`, `receipt`, `lock` (digests), and the `environment` itself.
#' @examples
#' \dontrun{
#' get_environment(ws, "digits")
#' get_environment(ws, "digits", label = "prod")$registered$lock
#' }
#' @export
get_environment <- function(workspace, name, version = NULL, label = NULL) {
  check_workspace(workspace)
  check_text(name, "name")
  check_text(version, "version", null = TRUE)
  check_text(label, "label", null = TRUE)
  if (!is.null(version) && !is.null(label)) {
    fail("only one of `version` and `label` says which environment is meant", code = "argument", hint = "leave one of them out")
  }
  which <- if (is.null(version)) paste0("@", label %or% "latest") else version
  registered <- json(ask(workspace, "GET", c("environments", name, "versions", which)))
  structure(list(registered = registered), class = "provenv_environment")
}

#' Lists environments
#'
#' @inheritParams register_environment
#' @param name only names that fit: `*` stands for anything.
#' @param term only those for which all of these are so, such as `"package:r-cran-data.table"` or `"package:r-base-core>=4.2"`.
#' @param tag only those with these tags, each `NAME` or `NAME=VALUE`.
#' @param all every version, and not only the newest of each name.
#' @return a data frame with a row for each: `name`, `version`, `labels` (a list of texts), `created_at`, `created_by`,
#'   `definition`, `lock`.
#' @examples
#' \dontrun{
#' list_environments_in_workspace(ws, term = "package:r-cran-data.table")
#' }
#' @export
list_environments_in_workspace <- function(workspace, name = NULL, term = NULL, tag = NULL, all = FALSE) {
  check_workspace(workspace)
  query <- list(name = name, term = term, tag = tag, all = if (isTRUE(all)) "true")
  versions_frame(ask_all(workspace, "environments", "environments", query))
}

#' @rdname list_environments_in_workspace
#' @export
list_environment_versions <- function(workspace, name) {
  check_workspace(workspace)
  check_text(name, "name")
  versions_frame(ask_all(workspace, c("environments", name), "environments"))
}

versions_frame <- function(versions) {
  frame <- data.frame(
    name = texts(versions, "name"), version = texts(versions, "version"),
    created_at = texts(versions, "created_at"), created_by = texts(versions, "created_by"),
    definition = texts(versions, "definition_digest"), lock = texts(versions, "lock")
  )
  frame$labels <- I(lapply(versions, function(one) as.character(unlist(one$labels))))
  frame[c("name", "version", "labels", "created_at", "created_by", "definition", "lock")]
}

texts <- function(items, field) vapply(items, function(one) as.character(one[[field]] %or% NA), "")

#' Labels a version
#'
#' `get_environment(workspace, name, label = label)` is that version from now on.
#'
#' @inheritParams get_environment
#' @param version the version.
#' @param label the label: `"prod"`. `latest` moves by itself.
#' @return nothing, invisibly.
#' @examples
#' \dontrun{
#' label_environment(ws, "digits", "2", "prod")
#' }
#' @export
label_environment <- function(workspace, name, version, label) {
  check_workspace(workspace)
  for (one in c("name", "version", "label")) check_text(get(one), one)
  ask(workspace, "PUT", c("environments", name, "labels", label), list(version = version))
  invisible()
}

#' What a registered environment is made of
#'
#' @param environment an environment that is registered, as [get_environment()] gives it.
#' @inheritParams register_environment
#' @return `get_lock()`: the lock, with every artifact's URL, size and sha256. `get_packages()`: a data frame of its packages with
#'   `platform`, `ecosystem` (`"deb"`, `"conda"`, `"pypi"`), `name`, `version` and `sha256`.
#' @examples
#' \dontrun{
#' packages <- get_packages(get_environment(ws, "digits"), ws)
#' packages[grepl("^r-", packages$name), ]
#' }
#' @export
get_packages <- function(environment, workspace) {
  lock <- get_lock(environment, workspace)
  rows <- list()
  for (platform in names(lock$platforms)) {
    chosen <- lock$platforms[[platform]]
    for (part in c(deb = "debian", conda = "conda", pypi = "pypi")) {
      ecosystem <- c(debian = "deb", conda = "conda", pypi = "pypi")[[part]]
      rows <- c(rows, lapply(chosen[[part]], function(package) {
        data.frame(
          platform = platform, ecosystem = ecosystem, name = package$name, version = package$version,
          sha256 = sha256_of(package)
        )
      }))
    }
  }
  if (length(rows) == 0) return(data.frame(platform = character(), ecosystem = character(), name = character(), version = character(), sha256 = character()))
  do.call(rbind, rows)
}

# A built wheel has its own digest, everything else that of its artifact.
sha256_of <- function(package) {
  found <- unlist(package)
  found <- found[grepl("(^|\\.)sha256$", names(found))]
  if (length(found) == 0) NA_character_ else found[[1]]
}

#' @rdname get_packages
#' @export
get_lock <- function(environment, workspace) {
  check_workspace(workspace)
  known <- check_registered(environment)
  json(ask(workspace, "GET", c("environments", known$name, "versions", known$version, "lock")))
}

check_registered <- function(environment) {
  check_class(environment, "provenv_environment", "environment", "get one by `get_environment()`")
  if (is.null(environment$registered)) {
    fail("the environment is not registered", code = "not-registered", hint = "`register_environment()` gives it a version")
  }
  environment$registered
}
