#!/usr/bin/env bash
# Runs a throw-away PostgreSQL in the foreground. usage: postgres.sh FOLDER PORT
# PostgreSQL refuses to run as root, so root becomes user postgres. Nothing is synced to disk: it is for tests.
# PostGIS is made once, in template1, so that every database that a test makes has it at the price of a copy.
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
# A single-user server goes on after an error, and says so on its stderr alone.
"${user[@]}" "$bin/postgres" --single -F -D "$folder/data" template1 \
  <<<'CREATE EXTENSION postgis SCHEMA public' >/dev/null 2>"$folder/postgis.log"
if grep -E 'ERROR|FATAL|PANIC' "$folder/postgis.log"; then
  echo "no PostGIS here: scripts/install.sh test"
  exit 1
fi
exec "${user[@]}" "$bin/postgres" -D "$folder/data" -p "$port" \
  -c listen_addresses=127.0.0.1 -c unix_socket_directories= \
  -c fsync=off -c synchronous_commit=off -c full_page_writes=off \
  -c max_connections=200 -c shared_buffers=128MB -c max_wal_size=2GB
