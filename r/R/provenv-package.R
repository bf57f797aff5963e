#' provenv: environments for machine learning, on a server
#'
#' An environment says what a script needs; a server locks it, so that every file of it is known, and makes an image that is
#' the same bit for bit on any machine. Begin with [get_workspace()], make an environment by [r_environment()], give it a
#' version by [register_environment()], and run a script in it by [submit()].
#'
#' Every failure is a condition of class `provenv_error`; see [provenv_error].
#'
#' @keywords internal
"_PACKAGE"
