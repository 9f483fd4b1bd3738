#!/usr/bin/env bash
# Runs the ClickHouse engine behind its HTTP interface in the foreground. usage: clickhouse.sh FOLDER PORT
set -euo pipefail
folder=$1 port=$2
echo $$ >"$folder/pid"
here=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)
python=${OPTIBID_TOOLS:-${XDG_CACHE_HOME:-$HOME/.cache}/optibid}/clickhouse/bin/python
[ -x "$python" ] || { echo "no ClickHouse engine at $python: scripts/install.sh test"; exit 1; }
cd "$folder"
exec "$python" "$here/clickhouse_http.py" "$folder/data" "$port"
