#!/usr/bin/env bash
# Runs a throw-away Redis in the foreground. usage: redis.sh FOLDER PORT
set -euo pipefail
folder=$1 port=$2
echo $$ >"$folder/pid"
command -v redis-server >/dev/null || { echo "no Redis here: scripts/install.sh test"; exit 1; }
exec redis-server --port "$port" --bind 127.0.0.1 --dir "$folder" --save "" --appendonly no --daemonize no
