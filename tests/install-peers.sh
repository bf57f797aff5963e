#!/bin/sh
# Installs the Debian packages that tests drive as real peers. Says what is missing where it may not install.
set -eu
missing=
for package in "$@"; do
    dpkg-query -W -f '${Status}' "$package" 2>/dev/null | grep -q 'install ok installed' || missing="$missing $package"
done
[ -n "$missing" ] || exit 0
if [ "$(id -u)" != 0 ] || ! command -v apt-get >/dev/null; then
    echo "tests need these Debian packages:$missing" >&2
    echo "install them, or set PROVENV_TEST_PEERS=optional to skip what drives them" >&2
    [ "${PROVENV_TEST_PEERS:-required}" = optional ] && exit 0
    exit 1
fi
export DEBIAN_FRONTEND=noninteractive
apt-get update -q >/dev/null
# shellcheck disable=SC2086 # a list of words
apt-get install -q -y --no-install-recommends $missing >/dev/null
