#!/usr/bin/env bash
# Prints the program of a Redis (or Valkey) server, version 6 or newer; installs Debian's package where there is none.
set -euo pipefail

log=$(mktemp)
trap 'rm -f "$log"' EXIT

# Debian puts servers where a user's PATH may not look.
PATH=$PATH:/usr/local/bin:/usr/local/sbin:/usr/sbin:/sbin

find_server() {
  local name program version
  for name in redis-server valkey-server; do
    program=$(command -v "$name") || continue
    # "Redis server v=7.0.15 ...", "Valkey server v=8.0.1 ...": users with rights of their own came with 6.
    version=$("$program" --version)
    if [[ $version =~ \ v=([0-9]+)\. ]] && [ "${BASH_REMATCH[1]}" -ge 6 ]; then
      printf '%s\n' "$program"
      return
    fi
  done
  return 1
}

# No server of the package's own is started: the tests start theirs, on free ports.
install_package() {
  cat <<'ROOT' | "$@" sh -s
set -eu
export DEBIAN_FRONTEND=noninteractive
policy=/usr/sbin/policy-rc.d
if [ ! -e "$policy" ]; then
  trap 'rm -f "$policy"' EXIT
  printf '#!/bin/sh\nexit 101\n' >"$policy"
  chmod 755 "$policy"
fi
# Test binaries may come here at the same time.
wait='-o DPkg::Lock::Timeout=120'
apt-get $wait update
apt-get $wait install -y --no-install-recommends redis-server </dev/null
ROOT
}

find_server && exit

if command -v apt-get >/dev/null; then
  if [ "$(id -u)" = 0 ]; then
    as_root=(env)
  elif command -v sudo >/dev/null && sudo -n true 2>/dev/null; then
    as_root=(sudo -n)
  fi
fi
if [ -z "${as_root:-}" ]; then
  echo 'tests/redis/install.sh: please install redis-server or valkey-server, version 6 or newer' >&2
  exit 1
fi
if ! install_package "${as_root[@]}" >"$log" 2>&1; then
  cat "$log" >&2
  echo 'tests/redis/install.sh: the package redis-server could not be installed' >&2
  exit 1
fi
find_server || {
  echo 'tests/redis/install.sh: the package redis-server is older than version 6' >&2
  exit 1
}
