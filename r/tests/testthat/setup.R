# The last one ends it.
reg.finalizer(servers, function(servers) {
  if (!is.null(servers$one)) {
    tools::pskill(servers$one$pid)
    unlink(servers$one$folder, recursive = TRUE, force = TRUE)
  }
}, onexit = TRUE)
