#!/bin/sh
# Runs the fuzz targets for a few seconds each, on stable Rust and without cargo-fuzz:
#
#     tests/fuzz/smoke.sh [SECONDS] [TARGET...]
#
# The seed is fixed, so that a change is judged by what it changes; FUZZ_SEED=0 takes a random one.
#
# For longer hunts, with sanitizers: cargo +nightly fuzz run --fuzz-dir tests/fuzz challenge
set -eu

seconds=${1:-10}
[ $# -eq 0 ] || shift

# A relative target folder means the same here as it does to the caller's cargo.
target_dir=${CARGO_TARGET_DIR:-target}/fuzz
mkdir -p "$target_dir"
target_dir=$(cd "$target_dir" && pwd)
cd "$(dirname "$0")"

[ $# -gt 0 ] || set -- $(sed -n 's|^path = "fuzz_targets/\(.*\)\.rs"$|\1|p' Cargo.toml)

# What cargo-fuzz passes, less the address sanitizer, which needs nightly.
# With a target named, the flags spare build scripts.
export RUSTFLAGS="--cfg fuzzing \
-Cpasses=sancov-module \
-Cllvm-args=-sanitizer-coverage-level=4 \
-Cllvm-args=-sanitizer-coverage-inline-8bit-counters \
-Cllvm-args=-sanitizer-coverage-pc-table \
-Cllvm-args=-sanitizer-coverage-trace-compares \
-Ccodegen-units=1"
host=$(rustc -vV | sed -n 's/^host: //p')
cargo build --locked --release --bins --target "$host" --target-dir "$target_dir"

for target in "$@"; do
    # New finds go to the first folder, so that the seeds stay as they were written.
    found=$target_dir/corpus/$target
    artifacts=$target_dir/artifacts/$target
    mkdir -p "$found" "$artifacts"
    echo "== $target"
    "$target_dir/$host/release/$target" "$found" "corpus/$target" \
        -max_total_time="$seconds" -timeout=5 -rss_limit_mb=1024 -max_len=20480 \
        -verbosity=0 -seed="${FUZZ_SEED:-1}" -artifact_prefix="$artifacts/" -print_final_stats=1
done
