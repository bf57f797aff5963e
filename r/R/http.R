# Requests to the HTTP API of a server.

base_request <- function(url, token) {
  request <- httr2::request(url)
  request <- httr2::req_user_agent(request, paste0("provenv-r/", utils::packageVersion("provenv")))
  if (!is.null(token)) request <- httr2::req_auth_bearer_token(request, token)
  # What fails is made a condition of ours.
  request <- httr2::req_error(request, is_error = function(response) FALSE)
  # Requests that were refused for their number, or by a server that is about to end, did nothing.
  httr2::req_retry(request, max_tries = 4, is_transient = function(response) {
    httr2::resp_status(response) %in% c(429L, 503L)
  })
}

# The answer to a request below the workspace's own path.
ask <- function(workspace, method, path = character(), body = NULL, query = list(), headers = list()) {
  path <- vapply(path, utils::URLencode, "", reserved = TRUE, USE.NAMES = FALSE)
  url <- paste(c(workspace$api, path), collapse = "/")
  request <- httr2::req_method(base_request(url, workspace$token()), method)
  query <- query[!vapply(query, is.null, NA)]
  # A parameter may be there several times.
  if (length(query) > 0) {
    pairs <- unlist(Map(function(name, values) {
      paste0(name, "=", vapply(as.character(values), utils::URLencode, "", reserved = TRUE, USE.NAMES = FALSE))
    }, names(query), query), use.names = FALSE)
    request <- httr2::req_url(request, paste0(url, "?", paste(pairs, collapse = "&")))
  }
  if (!is.null(body)) {
    text <- jsonlite::toJSON(body, auto_unbox = TRUE, null = "null", digits = NA)
    request <- httr2::req_body_raw(request, as.character(text), type = "application/json")
  }
  if (length(headers) > 0) request <- do.call(httr2::req_headers, c(list(request), headers))
  perform(request)
}

perform <- function(request) {
  response <- tryCatch(httr2::req_perform(request), error = function(error) {
    fail(
      paste0("no answer from ", host_of(request$url)),
      code = "unreachable", causes = root_message(error),
      hint = "check the address, and that the server runs"
    )
  })
  if (httr2::resp_status(response) >= 400) refuse(response, request$url)
  response
}

# Signals what a server says is wrong (RFC 9457).
refuse <- function(response, url) {
  status <- httr2::resp_status(response)
  problem <- tryCatch(
    jsonlite::fromJSON(httr2::resp_body_string(response), simplifyVector = FALSE),
    error = function(error) list()
  )
  if (is.null(problem$detail)) {
    fail(
      paste0(host_of(url), " answered with status ", status, " and no word why"),
      code = "no-provenv", status = status,
      hint = "check that the address is that of a Provenv server, and not of a proxy before it"
    )
  }
  fail(
    problem$detail, code = problem$code, status = status, hint = problem$hint,
    causes = unlist(problem$causes, use.names = FALSE) %or% character(),
    remarks = problem$remarks %or% list()
  )
}

json <- function(response) {
  jsonlite::fromJSON(httr2::resp_body_string(response), simplifyVector = FALSE)
}

# Every item of a list that comes in parts.
ask_all <- function(workspace, path, field, query = list(), limit = Inf) {
  items <- list()
  repeat {
    part <- json(ask(workspace, "GET", path, query = c(query, list(limit = min(500, limit - length(items))))))
    items <- c(items, part[[field]])
    if (is.null(part[["next"]]) || length(items) >= limit) return(items)
    query[["after"]] <- part[["next"]]
  }
}

# `url` without what may be secret in it.
host_of <- function(url) {
  parts <- httr2::url_parse(url)
  port <- if (is.null(parts$port)) "" else paste0(":", parts$port)
  paste0(parts$scheme, "://", parts$hostname, port)
}

root_message <- function(error) {
  while (!is.null(error$parent)) error <- error$parent
  conditionMessage(error)
}

`%or%` <- function(value, other) if (is.null(value)) other else value
