library(testthat)
library(provenv)

test_check("provenv")
