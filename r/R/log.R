# Logs of builds and runs, which are read in parts from an offset in bytes.

log_part <- function(workspace, path, offset) {
  response <- ask(workspace, "GET", c(path, "log"), query = list(offset = format(offset, scientific = FALSE)))
  if (httr2::resp_has_body(response)) httr2::resp_body_raw(response) else raw()
}

whole_log <- function(workspace, path) {
  bytes <- raw()
  repeat {
    part <- log_part(workspace, path, length(bytes))
    if (length(part) == 0) return(lines_of(bytes))
    bytes <- c(bytes, part)
  }
}

lines_of <- function(bytes) {
  if (length(bytes) == 0) return(character())
  # R has no text with a zero in it.
  text <- rawToChar(bytes[bytes != as.raw(0)])
  Encoding(text) <- "UTF-8"
  strsplit(text, "\n", fixed = TRUE)[[1]]
}

# Waits until `ended` of what is at `path`, and shows its log meanwhile.
follow <- function(workspace, path, ended, what, show_output, timeout) {
  check_workspace(workspace)
  deadline <- Sys.time() + timeout
  offset <- 0
  pause <- 0.1
  repeat {
    state <- json(ask(workspace, "GET", path))
    if (show_output) {
      repeat {
        part <- log_part(workspace, path, offset)
        if (length(part) == 0) break
        offset <- offset + length(part)
        pause <- 0.1
        cat(rawToChar(part[part != as.raw(0)]))
      }
    }
    if (ended(state)) return(state)
    if (Sys.time() >= deadline) {
      fail(
        paste0(what, " has not ended after ", format(timeout), " s"), code = "timeout",
        hint = "wait once more, or give `timeout`"
      )
    }
    Sys.sleep(pause)
    pause <- min(pause * 1.5, 5)
  }
}
