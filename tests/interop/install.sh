#!/usr/bin/env bash
# Installs the two servers of the interop tests at the versions that package-lock.json and requirements.txt pin.
# Does nothing when they are there already; says nothing unless something fails.
set -euo pipefail

here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
# shellcheck source=tests/interop/paths.sh
. "$here/paths.sh"

# Test binaries may come here at the same time.
mkdir -p "$state"
if [ -z "${INTEROP_LOCKED:-}" ] && command -v flock >/dev/null; then
  INTEROP_LOCKED=1 exec flock "$state/lock" "$here/install.sh"
fi

log=$state/install.log
quietly() {
  "$@" >"$log" 2>&1 || {
    echo "tests/interop/install.sh: failed: $*" >&2
    cat "$log" >&2
    return 1
  }
}

# A bare container of a Debian kind gets what is missing; elsewhere that is the user's to do.
missing=()
command -v npm >/dev/null || missing+=(npm)
command -v node >/dev/null || missing+=(nodejs)
python3 -c 'import ensurepip, venv' 2>/dev/null || missing+=(python3 python3-venv)
if [ ${#missing[@]} -gt 0 ]; then
  if [ "$(id -u)" = 0 ] && command -v apt-get >/dev/null; then
    export DEBIAN_FRONTEND=noninteractive
    quietly apt-get update
    quietly apt-get install -y --no-install-recommends "${missing[@]}"
  else
    echo "tests/interop/install.sh: please install ${missing[*]} (Node 20 or newer, Python 3.10 or newer)" >&2
    exit 1
  fi
fi

# done_already STAMP FILE: by content, because a checkout touches files.
done_already() { [ "$(cat "$1" 2>/dev/null)" = "$(cksum "$2")" ]; }

lock=$oidc/package-lock.json
if ! done_already "$oidc/node_modules/.interop-stamp" "$lock"; then
  # No install scripts: nothing here needs one, and they would run foreign code at install time.
  (cd "$oidc" && quietly npm ci --ignore-scripts --no-audit --no-fund --loglevel=error)
  cksum "$lock" >"$oidc/node_modules/.interop-stamp"
fi

requirements=$here/django/requirements.txt
if ! done_already "$venv/.interop-stamp" "$requirements" || ! "$venv/bin/python" -c '' 2>/dev/null; then
  rm -rf "$venv"
  quietly python3 -m venv "$venv"
  # Wheels only, for the same reason as above.
  quietly "$venv/bin/python" -m pip install --no-input --disable-pip-version-check --only-binary=:all: \
    --no-deps -r "$requirements"
  cksum "$requirements" >"$venv/.interop-stamp"
fi
