#!/usr/bin/env bash
# start.sh oidc | django [SECONDS]: becomes the server, which prints one line of JSON and runs until stdin ends.
set -euo pipefail

here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
# shellcheck source=tests/interop/paths.sh
. "$here/paths.sh"

# Both servers call themselves; that is loopback, and no business of a proxy's.
unset http_proxy HTTP_PROXY all_proxy ALL_PROXY NODE_USE_ENV_PROXY

# For the files that a server makes for its tests (keys and certificates).
export INTEROP_STATE=$state

case ${1:-} in
  oidc) exec node "$oidc/server.mjs" "${@:2}" ;;
  django) exec "$venv/bin/python" "$here/django/server.py" "${@:2}" ;;
  *)
    echo "usage: start.sh oidc | django [SECONDS]   (after install.sh)" >&2
    exit 2
    ;;
esac
