#!/bin/sh
# Checks the package of R as CRAN does, with its tests against a server: check.sh PROVENV FOLDER.
# It needs from Debian: r-base-dev r-cran-httr2 r-cran-jsonlite r-cran-testthat r-cran-knitr r-cran-rmarkdown r-cran-roxygen2.
set -eu
provenv=$(realpath "$1")
mkdir -p "$2"
folder=$(realpath "$2")
here=$(realpath "$(dirname "$0")")

# What roxygen2 makes of the comments is what is committed.
rm -rf "$folder/r"
cp -r "$here" "$folder/r"
Rscript -e 'roxygen2::roxygenise(commandArgs(TRUE)[1])' "$folder/r" >"$folder/roxygen.log" 2>&1 || {
    cat "$folder/roxygen.log" >&2
    exit 1
}
diff -r "$here/man" "$folder/r/man" && diff "$here/NAMESPACE" "$folder/r/NAMESPACE" || {
    echo "error: man and NAMESPACE are not what the comments say" >&2
    echo "hint: cd r && Rscript -e 'roxygen2::roxygenise()'" >&2
    exit 1
}

cd "$folder"
rm -f provenv_*.tar.gz
R CMD build r
# No manual in PDF, which takes TeX; no questions to servers of CRAN's, which may be out of reach.
export _R_CHECK_CRAN_INCOMING_=FALSE _R_CHECK_FORCE_SUGGESTS_=TRUE _R_CHECK_SYSTEM_CLOCK_=FALSE NOT_CRAN=true
PROVENV="$provenv" R CMD check --as-cran --no-manual provenv_*.tar.gz | tee check.log
if ! grep -q '^Status: OK$' check.log; then
    cat provenv.Rcheck/tests/testthat.Rout* 2>/dev/null || true
    echo "error: R CMD check is not clean" >&2
    exit 1
fi
tail -n 20 provenv.Rcheck/tests/testthat.Rout
