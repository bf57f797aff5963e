sent <- function(environment) jsonlite::fromJSON(as_text(environment), simplifyVector = FALSE)

test_that("an environment says what was asked for, and nothing else", {
  expect_identical(
    sent(r_environment("digits", cran_packages = c("data.table", "jsonlite"))),
    list(name = "digits", r = list(cran = list("data.table", "jsonlite")))
  )
  environment <- r_environment(
    "plots", version = "7", r_version = "4.3", environment_variables = c(SEED = 7),
    cran_packages = list(cran_package("ggplot2", "3.4.4"), "MASS", cran_package("own", repo = "https://cran.example")),
    bioconductor_packages = "limma", github_packages = github_package("a/b@c"),
    conda_channels = "conda-forge", tags = list(team = "vision")
  )
  expect_identical(sent(environment), list(
    name = "plots", version = "7", tags = list(team = "vision"), environment_variables = list(SEED = "7"),
    conda_file = list(channels = list("conda-forge"), dependencies = list()),
    r = list(
      version = "4.3",
      cran = list(
        list(name = "ggplot2", version = "3.4.4"), "MASS", list(name = "own", repository = "https://cran.example")
      ),
      github = list("a/b@c"), bioconductor = list("limma")
    )
  ))
  expect_identical(sent(r_environment("bare"))$r, list(from = "debian"))
  expect_identical(sent(r_environment("own", custom_docker_image = "rocker/r-ver:4", user_managed = TRUE))$r, list(user_managed = TRUE))
})

test_that("arguments that make no sense are refused with a hint", {
  for (wrong in list(
    quote(r_environment("")), quote(r_environment(c("a", "b"))), quote(r_environment("a", from = "cran")),
    quote(r_environment("a", cran_packages = list(5))), quote(r_environment("a", environment_variables = "x")),
    quote(cran_package(NULL)), quote(environment_from_file("/nonexistent/x.yaml")),
    quote(get_workspace("envs.example", "t")), quote(get_workspace("http://envs.example/default", "t")),
    quote(get_workspace("https://ann:secret@envs.example/default", "t")), quote(get_workspace("https://envs.example/default", ""))
  )) {
    expect_error(eval(wrong), class = "provenv_error")
  }
  error <- tryCatch(get_workspace("http://envs.example/default", "hunter2"), error = identity)
  expect_match(conditionMessage(error), "hint: write `https://`", fixed = TRUE)
  expect_no_match(conditionMessage(error), "hunter2")
})

test_that("environments print as what they are", {
  expect_snapshot({
    print(r_environment("digits", cran_packages = list(cran_package("data.table", "1.14.8"))))
    print(cran_package("data.table"))
    print(github_package("a/b@c"))
  })
})

test_that("a server that is not there is said so", {
  error <- tryCatch(get_workspace("http://127.0.0.1:9/default", "none"), error = identity)
  expect_s3_class(error, "provenv_error_unreachable")
  expect_match(conditionMessage(error), "no answer from http://127.0.0.1:9", fixed = TRUE)
  expect_identical(error$status, NA_integer_)
})
