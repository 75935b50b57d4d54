#!/usr/bin/env bash
# Makes sure that there is a valgrind, which counts instructions for the gates of speed; installs Debian's package where there
# is none. Says nothing unless something fails.
set -euo pipefail

command -v valgrind >/dev/null && exit

if command -v apt-get >/dev/null; then
  if [ "$(id -u)" = 0 ]; then
    as_root=(env)
  elif command -v sudo >/dev/null && sudo -n true 2>/dev/null; then
    as_root=(sudo -n)
  fi
fi
if [ -z "${as_root:-}" ]; then
  echo 'tests/valgrind.sh: please install valgrind' >&2
  exit 1
fi

log=$(mktemp)
trap 'rm -f "$log"' EXIT
export DEBIAN_FRONTEND=noninteractive
# Other tests may install something at the same time.
wait='DPkg::Lock::Timeout=120'
if ! { "${as_root[@]}" apt-get -o "$wait" update &&
  "${as_root[@]}" apt-get -o "$wait" install -y --no-install-recommends valgrind </dev/null; } >"$log" 2>&1; then
  cat "$log" >&2
  echo 'tests/valgrind.sh: the package valgrind could not be installed' >&2
  exit 1
fi
