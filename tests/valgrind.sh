#!/usr/bin/env bash
# Makes sure that there is a valgrind, which counts instructions for the gates of speed; installs Debian's package where there
# is none. Says nothing unless something fails.
set -euo pipefail
. "$(dirname "$0")/debian.sh"

command -v valgrind >/dev/null || debian_install valgrind valgrind
