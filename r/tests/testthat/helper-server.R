# A server of the tests' own: the real binary, which the variable PROVENV names. Without it these tests are skipped, and say so.

servers <- new.env()

the_server <- function() {
  program <- Sys.getenv("PROVENV")
  skip_if(!nzchar(program), "PROVENV names no command line to test with")
  if (is.null(servers$one)) servers$one <- start_server(normalizePath(program))
  servers$one
}

start_server <- function(program) {
  folder <- tempfile("provenv-server-")
  dir.create(folder)
  said <- file.path(folder, "said")
  failed <- file.path(folder, "failed")
  pid <- file.path(folder, "pid")
  line <- paste(
    "echo $$ >\"$3\";", "exec \"$0\" -o json serve --root \"$1/root\" --listen 127.0.0.1:0 >\"$2\" 2>\"$4\" </dev/null"
  )
  system2("sh", c("-c", shQuote(line), shQuote(c(program, folder, said, pid, failed))), wait = FALSE)
  for (attempt in 1:600) {
    Sys.sleep(0.1)
    served <- tryCatch(jsonlite::fromJSON(paste(readLines(said, warn = FALSE), collapse = "")), error = function(error) NULL)
    if (!is.null(served)) break
  }
  if (is.null(served)) stop("the server did not start: ", paste(readLines(failed), collapse = "\n"))
  list(
    program = program, folder = folder, url = paste0(served$url, "/default"), token = served$owner_token,
    pid = as.integer(readLines(pid))
  )
}

the_workspace <- function() {
  server <- the_server()
  get_workspace(server$url, server$token)
}

withr_free_folder <- function() {
  folder <- tempfile("provenv-test-")
  dir.create(folder)
  folder
}
