#!/usr/bin/env bash
# Builds the page into api/web/dist, unless what is there is newer than its sources. `web.sh test` also runs its tests.
# Takes Node.js 20 or newer from the PATH or from $OPTIBID_TOOLS/node, and installs it there when there is none.
set -euo pipefail

HERE=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
TOOLS=${OPTIBID_TOOLS:-${XDG_CACHE_HOME:-$HOME/.cache}/optibid}
cd "$HERE/../api/web"

say() { echo "web: $*"; }
stale() {
  [ ! -e dist/index.html ] ||
    [ -n "$(find package.json package-lock.json index.html vite.config.ts tsconfig.json src public -newer dist/index.html -print -quit)" ]
}
new_enough() { [ "$(node -p 'process.versions.node.split(".")[0]' 2>/dev/null || echo 0)" -ge 20 ] && command -v npm >/dev/null; }

prepare() {
  new_enough || PATH=$TOOLS/node/bin:$PATH
  new_enough || { "$HERE/install.sh" page; hash -r; }
  new_enough || { say "no Node.js 20 or newer here" >&2; exit 1; }
  # npm writes this file last: it says that an install is whole.
  if [ ! -e node_modules/.package-lock.json ] || [ package-lock.json -nt node_modules/.package-lock.json ]; then
    say "installing what the page is built with"
    npm ci --no-audit --no-fund --loglevel=error
    touch node_modules/.package-lock.json
  fi
}

if stale; then
  prepare
  npm run --silent build -- --logLevel warn
  touch -c ../build.rs # which puts the page into the binary
  say "built api/web/dist"
else
  say "api/web/dist is up to date"
fi
if [ "${1:-}" = test ]; then
  prepare
  npm test --silent
fi
