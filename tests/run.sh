#!/usr/bin/env bash
# Runs every test of the workspace and prints a summary; installs what it needs below the target folder.
#
#   tests/run.sh          everything, real servers included
#   tests/run.sh quick    format, lints, unit and acceptance tests: for daily work
set -uo pipefail
cd "$(dirname "$0")/.."

target=${CARGO_TARGET_DIR:-$PWD/target}
tools=$target/tools
published=(-p oauth-tokens -p tower-oauth -p axum-oauth -p oauth-tokens-redis -p oauth-test-server)
mode=${1:-full}
summary=()
failed=0

# Runs one step, whatever became of those before it.
step() {
  local name=$1 began=$SECONDS result=ok
  shift
  printf '\n== %s\n' "$name"
  "$@" || { result=FAILED; failed=1; }
  summary+=("$(printf '%-7s %5ss  %s' "$result" $((SECONDS - began)) "$name")")
}

acceptance() {
  cargo test --locked --workspace --exclude tests --exclude examples --lib --bins --tests &&
    cargo test --locked -p tests --test acceptance
}

all_tests() {
  tests/interop/install.sh && tests/redis/install.sh && tests/browser/install.sh && cargo test --locked --workspace
}

# The programs that the tests have built: the same code, features and all.
examples() {
  local name command
  for name in quickstart reqwest_client compose identity_servers grpc on_behalf_of device_login login mcp_client \
    multi_tenant egress_proxy 'web_login --demo' fleet 'fleet --lifetimes 2 --kill-redis'; do
    printf -- '-- %s\n' "$name"
    read -ra command <<<"$name"
    "$target/debug/examples/${command[0]}" "${command[@]:1}" || return 1
  done
}

# Once as always, and once as never before.
chaos() {
  cargo run --locked -p tests --bin chaos -- 20 1 && cargo run --locked -p tests --bin chaos -- 20
}

# The README's command, to the letter.
readme_command() {
  cargo run --locked --example quickstart
}

# Instructions, allocations and sizes, which do not depend on what else the machine does.
gates_of_speed() {
  tests/valgrind.sh && cargo run --locked --release -p bench -- gates
}

documentation() {
  RUSTDOCFLAGS='-D warnings' cargo doc --locked --workspace --no-deps
}

# Installs a pinned tool once.
tool() {
  local name=$1 version=$2
  if ! "$tools/bin/$name" --version 2>/dev/null | grep -qF "$version"; then
    cargo install --quiet --debug --locked --root "$tools" --target-dir "$target/tools-build" "$name@$version" &&
      rm -rf "$target/tools-build"
  fi
}

each_feature_alone() {
  tool cargo-hack 0.6.46 &&
    PATH=$tools/bin:$PATH cargo hack clippy --locked --each-feature "${published[@]}" -- -D warnings
}

# Nobody should have to take in half of the registry for a token.
crate_counts() {
  local package limit count
  while read -r package limit; do
    count=$(cargo tree --locked -p "$package" --no-default-features --edges normal,build,no-proc-macro \
      --prefix none --format '{p}' | sed 's/ (\*)$//' | sort -u | wc -l) || return 1
    printf '%s: %s crates, at most %s\n' "$package" "$count" "$limit"
    [ "$count" -gt 0 ] && [ "$count" -le "$limit" ] || return 1
  done <<<'oauth-tokens 25
tower-oauth 28'
}

supply_chain() {
  tool cargo-deny 0.20.2 || return 1
  "$tools/bin/cargo-deny" --locked check licenses bans sources || return 1
  # The database is a git repository elsewhere; without a way to it, that is said and not held against the change.
  if timeout 20 git ls-remote --quiet https://github.com/rustsec/advisory-db HEAD >/dev/null 2>&1; then
    "$tools/bin/cargo-deny" --locked check advisories
  else
    echo 'advisories: not checked, their database cannot be reached from here'
  fi
}

step 'format' cargo fmt --all --check
step 'lints' cargo clippy --locked --workspace --all-targets -- -D warnings
if [ "$mode" = quick ]; then
  step 'unit and acceptance tests' acceptance
else
  step 'all tests, real servers included' all_tests
  step 'chaos' chaos
  step 'examples' examples
  step 'the command of the README' readme_command
  step 'gates of speed' gates_of_speed
  step 'documentation' documentation
  step 'compile errors name the fix' tests/compile_errors.sh
  step 'each feature alone' each_feature_alone
  step 'crate counts' crate_counts
  step 'licences, bans, sources, advisories' supply_chain
  step 'fuzz smoke' tests/fuzz/smoke.sh 5
fi

printf '\n== summary\n'
printf '%s\n' "${summary[@]}"
exit "$failed"
