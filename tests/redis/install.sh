#!/usr/bin/env bash
# Prints the program of a Redis (or Valkey) server, version 6 or newer; installs Debian's package where there is none.
set -euo pipefail
. "$(dirname "$0")/../debian.sh"

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

find_server && exit

debian_install 'redis-server or valkey-server, version 6 or newer' redis-server
find_server || {
  echo "$0: the package redis-server is older than version 6" >&2
  exit 1
}
