#!/usr/bin/env bash
# Builds the page into api/web/dist, unless what is there is newer than its sources.
# Takes Node.js 20 or newer from the PATH or from $OPTIBID_TOOLS/node, and installs it there when there is none.
set -euo pipefail

HERE=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
TOOLS=${OPTIBID_TOOLS:-${XDG_CACHE_HOME:-$HOME/.cache}/optibid}
cd "$HERE/../api/web"

newer() { [ -n "$(find package.json package-lock.json index.html vite.config.ts tsconfig.json src public -newer "$1" -print -quit)" ]; }
if [ -e dist/index.html ] && ! newer dist/index.html; then
  echo "web: api/web/dist is up to date"
  exit 0
fi

new_enough() { [ "$(node -p 'process.versions.node.split(".")[0]' 2>/dev/null || echo 0)" -ge 20 ] && command -v npm >/dev/null; }
new_enough || PATH=$TOOLS/node/bin:$PATH
new_enough || { "$HERE/install.sh" page; hash -r; }
new_enough || { echo "web: no Node.js 20 or newer here" >&2; exit 1; }

# npm leaves this file behind when an install is whole.
if [ ! -e node_modules/.package-lock.json ] || [ package-lock.json -nt node_modules/.package-lock.json ]; then
  echo "web: installing what the page is built with"
  npm ci --no-audit --no-fund --loglevel=error
  touch node_modules/.package-lock.json
fi
npm run --silent build -- --logLevel warn
echo "web: built api/web/dist"
