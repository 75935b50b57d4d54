#!/usr/bin/env bash
# Runs one WebDriver, on a free port that it says, until stdin ends: so that no browser outlives the tests, however they end.
set -uo pipefail

# Profiles of the browsers, and whatever else they leave behind.
folder=$(mktemp -d)
# A group of its own: whom it starts ends with it.
set -m
TMPDIR=$folder chromedriver --port=0 </dev/null &
group=$!
set +m

cat >/dev/null
kill -TERM -- "-$group" 2>/dev/null
# A browser that writes its profile while it is removed.
for _ in 1 2 3 4 5 6 7 8 9 10; do
  kill -0 -- "-$group" 2>/dev/null || break
  sleep 0.2
done
kill -KILL -- "-$group" 2>/dev/null
rm -rf "$folder"
