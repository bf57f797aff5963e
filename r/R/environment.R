#' A package of CRAN
#'
#' @param name its name on CRAN, such as `"data.table"`.
#' @param version its exact version, or `NULL` for the one that the lock chooses. Debian has one version of each package in a
#'   release; conda's channels have many.
#' @param repo the repository. Only CRAN's packages are packed by Debian and conda: another repository is refused by the server.
#' @return a `provenv_cran_package`, for [r_environment()].
#' @examples
#' cran_package("data.table")
#' cran_package("ggplot2", version = "3.4.1")
#' @export
cran_package <- function(name, version = NULL, repo = "https://cloud.r-project.org") {
  check_text(name, "name")
  check_text(version, "version", null = TRUE)
  check_text(repo, "repo")
  structure(list(name = name, version = version, repo = repo), class = "provenv_cran_package")
}

#' A package of GitHub
#'
#' Kept with an environment, as Azure's SDK has it. It cannot be locked, as it is built when it is installed: the
#' server refuses to build such an environment and says what to do instead.
#'
#' @param repository `"owner/name"`, with `"@ref"` behind it for one commit.
#' @return a `provenv_github_package`, for [r_environment()].
#' @examples
#' github_package("Azure/azureml-sdk-for-r@v1.10.0")
#' @export
github_package <- function(repository) {
  check_text(repository, "repository")
  structure(list(repository = repository), class = "provenv_github_package")
}

#' An environment with packages of R
#'
#' What a script needs: R, packages of CRAN and Bioconductor, variables, and what the image stands on. Nothing is chosen
#' yet: the server does so when the environment is registered, and keeps every file that it chose in the lock.
#'
#' Azure's `custom_docker_image` and `environment_variables` are what they are there. Its `use_gpu` and `shm_size` are
#' for the place where a run takes place, and not here.
#'
#' @param name what it is registered as: letters, digits, `-`, `_` and `.`.
#' @param version the version to register; `NULL` for the next number.
#' @param environment_variables a named list or character vector: variables that are set when a command runs. They are
#'   no part of the image. No place for secrets.
#' @param r_version the version of R, or how it begins: `"4.2"`; `NULL` for any.
#' @param cran_packages packages of CRAN: a character vector of names, or a list of [cran_package()]s.
#' @param github_packages a list of [github_package()]s; see there.
#' @param custom_url_packages URLs of archives. They are kept and cannot be locked, as those of GitHub.
#' @param bioconductor_packages names of packages of Bioconductor.
#' @param custom_docker_image an image in a registry as the base, such as `"debian:bookworm-slim"`; `NULL` for a base of Debian's
#'   packages.
#' @param from where packages of R are taken from: `"debian"` or `"conda"`. `NULL` is conda where `conda_channels` are
#'   given, and Debian elsewhere.
#' @param conda_channels channels to look in, first to last, such as `"conda-forge"`.
#' @param conda_packages other packages to take from them.
#' @param system_packages Debian packages besides.
#' @param user_managed `TRUE`: the base has R and its packages already, and none are installed.
#' @param description free text.
#' @param tags a named list or character vector of texts.
#' @return a `provenv_environment`, for [register_environment()] and [submit()].
#' @examples
#' r_environment("digits", cran_packages = c("data.table", "jsonlite"))
#' r_environment(
#'   "plots", r_version = "4.3",
#'   cran_packages = list(cran_package("ggplot2", "3.4.4")),
#'   conda_channels = "conda-forge"
#' )
#' @export
r_environment <- function(name, version = NULL, environment_variables = NULL, r_version = NULL,
                          cran_packages = NULL, github_packages = NULL, custom_url_packages = NULL,
                          bioconductor_packages = NULL, custom_docker_image = NULL, from = NULL,
                          conda_channels = NULL, conda_packages = NULL, system_packages = NULL,
                          user_managed = FALSE, description = NULL, tags = NULL) {
  check_text(name, "name")
  for (one in c("version", "r_version", "custom_docker_image", "description")) {
    check_text(get(one), one, null = TRUE)
  }
  if (!is.null(from) && !(is.character(from) && length(from) == 1 && from %in% c("debian", "conda"))) {
    fail(
      paste0("packages of R cannot be taken from ", describe(from)), code = "argument",
      hint = "write `from = \"debian\"` or `from = \"conda\"`"
    )
  }
  r <- without_empty(list(
    version = r_version,
    from = from,
    cran = lapply(as_list(cran_packages), cran_entry),
    github = lapply(as_list(github_packages), github_entry),
    urls = as.list(custom_url_packages),
    bioconductor = as.list(bioconductor_packages)
  ))
  if (isTRUE(user_managed)) r$user_managed <- TRUE
  # An environment of R has R, whatever else it asks for.
  if (length(r) == 0) r$from <- if (length(conda_channels) > 0) "conda" else "debian"
  conda <- if (length(conda_channels) + length(conda_packages) > 0) {
    list(channels = as.list(conda_channels), dependencies = as.list(conda_packages))
  }
  content <- without_empty(list(
    name = name,
    version = version,
    description = description,
    tags = as_named(tags, "tags"),
    environment_variables = as_named(environment_variables, "environment_variables"),
    image = custom_docker_image,
    system_packages = as.list(system_packages),
    conda_file = conda,
    r = r
  ))
  structure(list(content = content), class = "provenv_environment")
}

#' An environment from a file
#'
#' @param path a file of any format that Provenv reads and that names no other file: environment YAML, `requirements.txt`, conda's
#'   `environment.yml`, Azure's `azureml_environment.json` …
#' @param name the name to register it under, where the file gives none or another one is wanted.
#' @return a `provenv_environment`.
#' @examples
#' file <- tempfile(fileext = ".yaml")
#' writeLines(c("name: digits", "r: {cran: [data.table]}"), file)
#' environment_from_file(file)
#' @export
environment_from_file <- function(path, name = NULL) {
  check_text(path, "path")
  check_text(name, "name", null = TRUE)
  if (!file.exists(path)) fail(paste0("there is no file `", path, "`"), code = "file-not-found")
  text <- paste0(paste(readLines(path, warn = FALSE, encoding = "UTF-8"), collapse = "\n"), "\n")
  structure(list(file = list(name = basename(path), text = text), name = name), class = "provenv_environment")
}

# What the server is sent of an environment, to register or to plan.
as_proposal <- function(environment) {
  check_class(environment, "provenv_environment", "environment", "make one by `r_environment()`")
  if (!is.null(environment$registered)) return(list(environment = environment$registered$environment))
  if (!is.null(environment$file)) return(without_empty(list(file = environment$file, name = environment$name)))
  list(file = list(name = "environment.json", text = as_text(environment)))
}

# The environment in Provenv's own format, of which JSON is a part.
as_text <- function(environment) {
  as.character(jsonlite::toJSON(environment$content, auto_unbox = TRUE, pretty = TRUE))
}

as_list <- function(packages) {
  if (inherits(packages, c("provenv_cran_package", "provenv_github_package"))) return(list(packages))
  as.list(packages)
}

cran_entry <- function(package) {
  if (is.character(package)) package <- cran_package(package)
  check_class(package, "provenv_cran_package", "cran_packages", "make each by `cran_package()`")
  repository <- if (!identical(package$repo, "https://cloud.r-project.org")) package$repo
  if (is.null(package$version) && is.null(repository)) return(package$name)
  without_empty(list(name = package$name, version = package$version, repository = repository))
}

github_entry <- function(package) {
  if (is.character(package)) return(package)
  check_class(package, "provenv_github_package", "github_packages", "make each by `github_package()`")
  package$repository
}

as_named <- function(values, name) {
  if (length(values) == 0) return(NULL)
  if (is.null(names(values)) || !all(nzchar(names(values)))) {
    fail(paste0("a value of `", name, "` has no name"), code = "argument", hint = paste0(name, " = c(NAME = \"value\")"))
  }
  lapply(as.list(values), as.character)
}

without_empty <- function(values) values[lengths(values) > 0]

#' @export
print.provenv_cran_package <- function(x, ...) {
  version <- if (is.null(x$version)) "" else paste0(" ", x$version)
  cat("<package of CRAN ", x$name, version, ">\n", sep = "")
  invisible(x)
}

#' @export
print.provenv_github_package <- function(x, ...) {
  cat("<package of GitHub ", x$repository, ">\n", sep = "")
  invisible(x)
}

#' @export
print.provenv_environment <- function(x, ...) {
  known <- x$registered
  if (!is.null(known)) {
    cat("<environment ", known$name, ":", known$version, ">\n", sep = "")
    line <- function(what, value) {
      if (length(value) > 0) cat("  ", formatC(what, width = -12), paste(value, collapse = ", "), "\n", sep = "")
    }
    line("description", known$environment$description)
    line("labels", unlist(known$labels))
    line("registered", c(known$created_at, if (!is.null(known$created_by)) paste("by", known$created_by)))
    line("definition", known$definition_digest)
    line("lock", known$lock)
    r <- known$environment$definition$r
    line("R", c(r$version, r_names(r)))
    return(invisible(x))
  }
  if (!is.null(x$file)) {
    cat("<environment of ", x$file$name, ", not registered>\n", sep = "")
    return(invisible(x))
  }
  cat("<environment ", x$content$name, ", not registered>\n", sep = "")
  cat(as_text(x), "\n", sep = "")
  invisible(x)
}

r_names <- function(r) {
  cran <- vapply(r$cran, function(one) paste(c(one$name, one$version), collapse = " "), "")
  c(cran, unlist(r$bioconductor))
}
