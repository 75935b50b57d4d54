# Where install.sh puts things and start.sh finds them; git ignores all of it. Sourced, with $here set.
# shellcheck shell=bash disable=SC2034,SC2154
root=$(cd "$here/../.." && pwd)
target=${CARGO_TARGET_DIR:-$root/target}
case $target in /*) ;; *) target=$root/$target ;; esac # cargo, too, takes it relative to where it was started
state=$target/interop
venv=$state/venv
oidc=$here/oidc-provider
