#!/usr/bin/env bash
# Programs that must not compile, each for the reason that it says, and with an error that names the fix.
#
# Each file in compile_errors/ is an example of this package behind a feature, and begins with
#   // error: how an error begins; every error of the compiler must be one of these, and each of these must be there
#   // names: what must be read somewhere in the compiler's output
set -uo pipefail
cd "$(dirname "$0")"

# The whole workspace is selected, so that features, and what was built with them, are those of its other builds.
check() {
  CARGO_TERM_COLOR=never cargo check --locked --workspace --features tests/compile-errors "$@"
}

check --quiet --lib || exit 1
failed=0
for program in compile_errors/*.rs; do
  name=$(basename "$program" .rs)
  fault=''
  output=$(check --example "$name" 2>&1) && fault+=$'it compiles\n'

  errors=$(grep -E '^error' <<<"$output" | grep -v '^error: could not compile `tests`' | sed -E 's/^error(\[E[0-9]+\])?: //')
  expected=$(sed -n 's|^// error: ||p' "$program")
  names=$(sed -n 's|^// names: ||p' "$program")
  [ -n "$expected" ] && [ -n "$names" ] || fault+=$'it does not say what is expected of it\n'
  while IFS= read -r error; do
    [ -z "$error" ] && continue
    begins=''
    while IFS= read -r prefix; do
      [[ $error == "$prefix"* ]] && begins=yes
    done <<<"$expected"
    [ -n "$begins" ] || fault+="another error: $error"$'\n'
  done <<<"$errors"
  while IFS= read -r prefix; do
    [[ $'\n'$errors == *$'\n'"$prefix"* ]] || fault+="no such error: $prefix"$'\n'
  done <<<"$expected"
  while IFS= read -r fix; do
    grep -qF -- "$fix" <<<"$output" || fault+="not named: $fix"$'\n'
  done <<<"$names"

  if [ -n "$fault" ]; then
    printf -- '-- %s\n%s\n%s\n' "$name" "$output" "$fault" >&2
    failed=1
  else
    printf -- '-- %s: does not compile, and says what to do\n' "$name"
  fi
done
exit "$failed"
