#!/bin/sh
# Fetches docker with buildx from Debian trixie into a folder: bookworm's docker has no BuildKit that takes images and gives one
# back. Tests drive it; nothing is installed.
set -eu
folder=$1
[ ! -e "$folder" ] || exit 0
for program in apt-get dpkg-deb; do
    command -v "$program" >/dev/null || { echo "$program is not here, so docker and buildx cannot be fetched" >&2; exit 1; }
done
work=$folder.new
rm -rf "$work"
mkdir -p "$work/apt/sources" "$work/apt/lists/partial" "$work/apt/cache/archives/partial" "$work/debs" "$work/root"
cat >"$work/apt/sources/trixie.sources" <<END
Types: deb
URIs: ${DEBIAN_MIRROR:-http://deb.debian.org/debian}
Suites: trixie
Components: main
Signed-By: /usr/share/keyrings/debian-archive-keyring.gpg
END
apt() {
    apt-get -qq -o Dir::Etc::SourceList=/dev/null -o Dir::Etc::SourceParts="$work/apt/sources" -o Dir::State::Lists="$work/apt/lists" \
        -o Dir::Cache="$work/apt/cache" -o APT::Sandbox::User="$(id -un)" -o Acquire::Retries=3 "$@"
}
apt update
(cd "$work/debs" && apt download docker.io docker-cli docker-buildx containerd)
for deb in "$work"/debs/*.deb; do
    dpkg-deb --extract "$deb" "$work/root"
done
mv "$work/root" "$folder"
rm -rf "$work"
