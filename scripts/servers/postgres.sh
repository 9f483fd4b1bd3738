#!/usr/bin/env bash
# Runs a throw-away PostgreSQL in the foreground. usage: postgres.sh FOLDER PORT
# PostgreSQL refuses to run as root, so root becomes user postgres. Nothing is synced to disk: it is for tests.
set -euo pipefail
folder=$1 port=$2
echo $$ >"$folder/pid"
bin=$(dirname "$(command -v initdb || ls -d /usr/lib/postgresql/*/bin/initdb 2>/dev/null | sort -V | tail -1)")
[ -x "$bin/postgres" ] || { echo "no PostgreSQL here: scripts/install.sh test"; exit 1; }

user=()
if [ "$(id -u)" = 0 ]; then
  user=(setpriv --reuid=postgres --regid=postgres --init-groups --)
  chown postgres: "$folder"
  "${user[@]}" test -w "$folder" || { echo "user postgres cannot reach $folder: set TMPDIR to a folder that all may enter"; exit 1; }
fi
cd "$folder"
"${user[@]}" "$bin/initdb" -D "$folder/data" -U postgres -A trust -E UTF8 --locale=C.UTF-8 --no-sync >/dev/null
exec "${user[@]}" "$bin/postgres" -D "$folder/data" -p "$port" \
  -c listen_addresses=127.0.0.1 -c unix_socket_directories= \
  -c fsync=off -c synchronous_commit=off -c full_page_writes=off \
  -c max_connections=200 -c shared_buffers=128MB -c max_wal_size=2GB
