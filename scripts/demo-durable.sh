#!/usr/bin/env bash
# Runs the demo on a real Kafka broker, with checkpoints, in ./data/durable (or OPTIBID_DURABLE). The broker outlives
# the demo: kill the demo with -9, run this again, and it goes on where it was. `stop` instead of a program ends the
# broker; remove the folder to begin anew.
#   usage: demo-durable.sh PROGRAM [ARGUMENT…] | demo-durable.sh stop
set -euo pipefail
here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
folder=${OPTIBID_DURABLE:-$here/../data/durable}
port=${OPTIBID_DURABLE_PORT:-19092}
say() { printf 'durable: %s\n' "$*" >&2; }
alive() { [ -e "$folder/kafka/pid" ] && kill -0 "$(cat "$folder/kafka/pid")" 2>/dev/null; }

if [ "$1" = stop ]; then
  alive && kill "$(cat "$folder/kafka/pid")" && say "the broker stops"
  exit 0
fi
mkdir -p "$folder/kafka"
folder=$(cd "$folder" && pwd)
if alive; then
  say "the broker is there, on port $port"
else
  say "starting Apache Kafka on port $port, in $folder/kafka"
  # A broker that was killed may come back only when its session is over.
  KAFKA_SESSION_MS=9000 setsid bash "$here/servers/kafka.sh" "$folder/kafka" "$port" "$((port + 1))" \
    </dev/null >>"$folder/kafka/log" 2>&1 &
  sleep 0.5
fi
until python3 "$here/servers/answers.py" kafka "$port" 2>/dev/null; do
  alive || { say "Kafka ended: $folder/kafka/log"; exit 1; }
  sleep 0.3
done
say "http://127.0.0.1:8000 (end: Ctrl-C; the broker: scripts/demo-durable.sh stop)"
export KAFKA_BOOTSTRAP_SERVERS=127.0.0.1:$port
program=$1
shift
exec "$program" demo --durable --data "$folder/optibid" "$@"
