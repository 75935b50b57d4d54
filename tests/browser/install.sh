#!/usr/bin/env bash
# Makes sure that there are Chromium and its WebDriver, for the tests in a real browser; installs Debian's packages where
# they are missing. Says nothing unless something fails.
set -euo pipefail
. "$(dirname "$0")/../debian.sh"

there() {
  command -v chromium >/dev/null && command -v chromedriver >/dev/null
}

there && exit
# Without a font, screenshots have no letters.
debian_install 'chromium and chromedriver' chromium chromium-driver fonts-liberation
there || {
  echo "$0: the packages brought no chromium or no chromedriver" >&2
  exit 1
}
