#' Errors of this package
#'
#' Whatever goes wrong is signalled as an error of class `provenv_error`, with these fields:
#' `message`, what was being done, to what, and why it failed; `code`, what kind of problem it is, for programs, such as
#' `"environment-not-found"`; `status`, the HTTP status, or `NA` where no server answered; `hint`, what to do next, or `NULL`;
#' `causes`, a character vector of causes, the nearest first; and `remarks`, a list of what is wrong with a definition, each
#' with `code`, `message`, `hint`, and `line` and `column` in the text that was sent.
#'
#' A further class is made of the code: `provenv_error_environment_not_found`.
#'
#' @name provenv_error
#' @examples
#' tryCatch(
#'   get_workspace("http://127.0.0.1:9/default", token = "none"),
#'   provenv_error = function(error) error$code
#' )
NULL

# Signals a `provenv_error`.
fail <- function(message, code = "client", status = NA_integer_, hint = NULL, causes = character(),
                 remarks = list()) {
  of_code <- paste0("provenv_error_", gsub("[^a-z0-9]+", "_", tolower(code)))
  condition <- structure(
    class = c(of_code, "provenv_error", "error", "condition"),
    list(
      message = message, call = NULL, code = code, status = status, hint = hint, causes = causes,
      remarks = remarks
    )
  )
  stop(condition)
}

#' @export
conditionMessage.provenv_error <- function(c) {
  lines <- c$message
  for (cause in c$causes) lines <- c(lines, paste0("  because ", cause))
  for (remark in c$remarks) {
    # The message has the first of them.
    if (!grepl(remark$message, c$message, fixed = TRUE)) {
      lines <- c(lines, paste0("  ", remark$severity, "[", remark$code, "] ", remark$message))
    }
  }
  hints <- unique(c(c$hint, unlist(lapply(c$remarks, function(remark) remark$hint))))
  if (length(hints) > 0) lines <- c(lines, paste0("hint: ", hints))
  paste(lines, collapse = "\n")
}

check_text <- function(value, name, null = FALSE) {
  if (null && is.null(value)) return(invisible())
  if (!is.character(value) || length(value) != 1 || is.na(value) || !nzchar(value)) {
    fail(
      paste0("`", name, "` must be one text, not ", describe(value)),
      code = "argument", hint = paste0("give it as `", name, " = \"...\"`")
    )
  }
}

check_class <- function(value, class, name, hint) {
  if (!inherits(value, class)) {
    fail(paste0("`", name, "` must be a ", class, ", not ", describe(value)), code = "argument", hint = hint)
  }
}

check_workspace <- function(value) {
  check_class(value, "provenv_workspace", "workspace", "make one by `get_workspace()`")
}

describe <- function(value) {
  if (is.null(value)) return("NULL")
  if (length(value) == 1 && is.atomic(value)) return(paste0("`", format(value), "`"))
  paste0("a ", class(value)[[1]], " of length ", length(value))
}
