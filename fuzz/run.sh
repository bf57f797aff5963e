#!/bin/sh
# run.sh SECONDS TARGET…: each target for so long, from the committed samples on; what it finds stays in artifacts/.
# Without a sanitizer, so that the stable compiler does: the parsers are safe Rust, whose faults are panics, time and memory.
set -eu
cd "$(dirname "$0")"
seconds=$1
shift
failed=
for target in "$@"; do
    case $target in
    azure_inline | conda_environment | conda_explicit | conda_list | conda_lock | document | dockerfile | fixes | mlflow | native | \
        pixi_lock | pixi_manifest | poetry_lock | pylock | pyproject | requirement | requirements | uv_lock | azure_v1) dictionary=words.dict ;;
    *) dictionary= ;;
    esac
    mkdir -p "corpus/$target"
    # The first folder takes what is found to be new; the others are read.
    set -- "corpus/$target"
    [ -z "$dictionary" ] || set -- "$@" ../crates/definition/tests/samples ../crates/definition/tests/golden
    [ ! -d "seeds/$target" ] || set -- "$@" "seeds/$target"
    echo "== $target, $seconds s"
    # shellcheck disable=SC2086 # an option or nothing
    cargo fuzz run --sanitizer none "$target" "$@" -- -max_total_time="$seconds" -timeout=10 -rss_limit_mb=2048 -max_len=16384 \
        -print_final_stats=1 ${dictionary:+-dict=$dictionary} || failed="$failed $target"
done
[ -z "$failed" ] || { echo "findings in:$failed" >&2; exit 1; }
