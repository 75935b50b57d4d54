# To be sourced: installs Debian's packages, quietly, for the tests' own installers.
#
#   debian_install "what to ask for where there is no apt" package...
debian_install() {
  local what=$1 log
  shift
  local as_root=()
  if command -v apt-get >/dev/null; then
    if [ "$(id -u)" = 0 ]; then
      as_root=(env)
    elif command -v sudo >/dev/null && sudo -n true 2>/dev/null; then
      as_root=(sudo -n)
    fi
  fi
  if [ "${#as_root[@]}" = 0 ]; then
    echo "$0: please install $what" >&2
    return 1
  fi
  log=$(mktemp)
  # No server of a package's own is started: the tests start theirs, on free ports. And other tests may install something at
  # the same time.
  if ! "${as_root[@]}" sh -s "$@" >"$log" 2>&1 <<'ROOT'; then
set -eu
export DEBIAN_FRONTEND=noninteractive
policy=/usr/sbin/policy-rc.d
if [ ! -e "$policy" ]; then
  trap 'rm -f "$policy"' EXIT
  printf '#!/bin/sh\nexit 101\n' >"$policy"
  chmod 755 "$policy"
fi
wait='-o DPkg::Lock::Timeout=120'
apt-get $wait update
apt-get $wait install -y --no-install-recommends "$@" </dev/null
ROOT
    cat "$log" >&2
    rm -f "$log"
    echo "$0: could not be installed: $*" >&2
    return 1
  fi
  rm -f "$log"
}
