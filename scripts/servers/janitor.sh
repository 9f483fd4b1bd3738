#!/usr/bin/env bash
# Stops the servers of one scratch folder and removes it, when its own standard input ends: that is, when
# with-servers.sh closes it or dies, however it dies. Unless a line there says that the command has ended
# by itself, what is left of the command is stopped too. usage: janitor.sh SCRATCH
set -uo pipefail
scratch=$1
trap '' INT TERM HUP
ended=$(cat)

# Processes that were started with this scratch folder in their environment.
ours() { grep -lzsx "OPTIBID_SERVERS_SCRATCH=$scratch" /proc/[0-9]*/environ | cut -d/ -f3; }

if [ -z "$ended" ]; then
  for pid in $(ours); do kill -TERM "$pid" 2>/dev/null; done
fi

pids=()
for file in "$scratch"/*/pid; do
  [ -e "$file" ] || continue
  pid=$(cat "$file")
  [ -n "$pid" ] || continue
  pids+=("$pid")
  kill -TERM -- "-$pid" 2>/dev/null # the server and what it is still preparing with
  case $file in
    */postgres-*) kill -QUIT "$pid" 2>/dev/null ;; # to it TERM means "when all have left"
  esac
done
for _ in {1..100}; do
  kill -0 -- "${pids[@]/#/-}" 2>/dev/null || break
  sleep 0.1
done
for pid in "${pids[@]}"; do kill -KILL -- "-$pid" 2>/dev/null; done
if [ -z "$ended" ]; then
  for pid in $(ours); do kill -KILL "$pid" 2>/dev/null; done
fi
rm -rf "$scratch"
