test_that("a workspace is known by its address and a token", {
  ws <- the_workspace()
  server <- the_server()
  shown <- paste(capture.output(print(ws), str(unclass(ws))), collapse = "\n")
  expect_match(shown, "<workspace default>", fixed = TRUE)
  expect_match(shown, "owner (owner)", fixed = TRUE)
  expect_no_match(shown, server$token, fixed = TRUE)

  error <- tryCatch(get_workspace(server$url, "pvt_wrong"), error = identity)
  expect_s3_class(error, "provenv_error")
  expect_identical(error$status, 401L)
  expect_error(get_workspace(sub("default$", "other", server$url), server$token), class = "provenv_error_workspace_not_found")

  folder <- withr_free_folder()
  write_workspace_config(ws, folder)
  expect_no_match(readLines(file.path(folder, ".provenv/config.json")), server$token, fixed = TRUE)
  expect_identical(load_workspace_from_config(folder, server$token)$url, ws$url)
  expect_error(load_workspace_from_config(withr_free_folder(), server$token), class = "provenv_error_config_not_found")
})

test_that("an environment with packages of R is registered, found and looked into", {
  ws <- the_workspace()
  asked <- r_environment("digits", r_version = "4", cran_packages = "jsonlite", environment_variables = list(SEED = 7), description = "with R")
  env <- register_environment(asked, ws)
  expect_identical(env$registered$version, "1")
  expect_identical(env$registered$environment$definition$r$cran[[1]]$name, "jsonlite")
  expect_match(paste(capture.output(print(env)), collapse = "\n"), "R +4, jsonlite")
  # The same content is the same version, and other content another.
  expect_identical(register_environment(asked, ws)$registered$version, "1")
  more <- register_environment(r_environment("digits", cran_packages = c("jsonlite", "R6")), ws)
  expect_identical(more$registered$version, "2")

  expect_identical(get_environment(ws, "digits")$registered$version, "2")
  expect_identical(get_environment(ws, "digits", "1"), env)
  label_environment(ws, "digits", "1", "prod")
  expect_identical(get_environment(ws, "digits", label = "prod")$registered$version, "1")
  expect_error(get_environment(ws, "digits", "1", label = "prod"), "only one of", class = "provenv_error")
  error <- tryCatch(get_environment(ws, "digts"), error = identity)
  expect_s3_class(error, "provenv_error_environment_not_found")
  expect_match(conditionMessage(error), "there is no environment `digts`", fixed = TRUE)

  packages <- get_packages(env, ws)
  of_r <- packages[grepl("^r-", packages$name), ]
  expect_setequal(of_r$name, c("r-base-core", "r-cran-jsonlite"))
  expect_true(all(of_r$ecosystem == "deb") && all(grepl("^(sha256:)?[0-9a-f]{64}$", packages$sha256)))

  found <- list_environments_in_workspace(ws, term = "package:r-cran-r6")
  expect_identical(found[c("name", "version")], data.frame(name = "digits", version = "2"))
  listed <- list_environment_versions(ws, "digits")
  expect_identical(listed$version, c("2", "1"))
  expect_true("prod" %in% listed$labels[[2]])
  expect_identical(nrow(list_environments_in_workspace(ws, name = "none*")), 0L)
})

test_that("what cannot be locked is refused with its code and a hint", {
  ws <- the_workspace()
  error <- tryCatch(
    register_environment(r_environment("own", github_packages = github_package("a/b@c")), ws), error = identity
  )
  expect_s3_class(error, "provenv_error")
  expect_match(conditionMessage(error), "packages of R from GitHub cannot be locked", fixed = TRUE)
  expect_true(error$status %in% c(400L, 422L))

  error <- tryCatch(register_environment(r_environment("own", cran_packages = "no.such.thing"), ws), error = identity)
  expect_match(conditionMessage(error), "r-cran-no.such.thing", fixed = TRUE)
  expect_match(conditionMessage(error), "hint: ", fixed = TRUE)

  file <- file.path(withr_free_folder(), "environment.yaml")
  writeLines(c("name: own", "piip: [numpy]"), file)
  error <- tryCatch(register_environment(environment_from_file(file), ws), error = identity)
  expect_true(length(error$remarks) > 0)
  expect_match(conditionMessage(error), "piip", fixed = TRUE)
})

test_that("a script of R runs in the image that the server builds", {
  ws <- the_workspace()
  env <- get_environment(ws, "digits", "1")
  log <- capture.output(build <- wait_for_build(build_environment(env, ws), ws))
  expect_identical(build$status, "succeeded")
  expect_match(build$image, "^sha256:")
  expect_true(length(log) > 0)
  expect_true(any(grepl("attempt 1", get_build_log(build, ws))))
  expect_identical(get_build(ws, build$id)$image, build$image)
  expect_output(print(build), "digits:1")

  code <- withr_free_folder()
  writeLines(c(
    "arguments <- commandArgs(trailingOnly = TRUE)",
    "cat(jsonlite::toJSON(list(arguments = arguments, seed = Sys.getenv('SEED'))), '\\n')",
    "dir.create('outputs', showWarnings = FALSE)",
    "saveRDS(lm(mpg ~ wt, mtcars), 'outputs/model.rds')"
  ), file.path(code, "train.R"))
  run <- submit(
    env, ws, source_directory = code, script = "train.R", script_params = list(trees = 5),
    environment_variables = c(MORE = "yes"), display_name = "first", provenv = the_server()$program
  )
  expect_output(ended <- wait_for_run_completion(run, ws), "\"arguments\":[\"--trees\",\"5\"]", fixed = TRUE)
  expect_identical(ended$status, "completed")
  expect_identical(ended$environment, "digits:1")
  expect_match(get_run_log(run, ws), "\"seed\":[\"7\"]", fixed = TRUE)
  expect_identical(get_run_details(run, ws)$exit_code, 0L)
  expect_true(run$id %in% get_runs(ws)$id)
  expect_output(print(ended), "first")

  writeLines("stop('on purpose')", file.path(code, "fails.R"))
  run <- submit("digits:1", ws, source_directory = code, script = "fails.R", provenv = the_server()$program)
  error <- tryCatch(wait_for_run_completion(run, ws, show_output = FALSE), error = identity)
  expect_s3_class(error, "provenv_error_run_failed")
  expect_match(conditionMessage(error), "with exit code 1", fixed = TRUE)
  expect_match(paste(get_run_log(run, ws), collapse = "\n"), "on purpose")

  error <- tryCatch(submit("nothing:1", ws, code, "train.R", provenv = the_server()$program), error = identity)
  expect_s3_class(error, "provenv_error_not_started")
  expect_match(conditionMessage(error), "nothing", fixed = TRUE)
})
