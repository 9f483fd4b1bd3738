#!/usr/bin/env bash
# Runs a command with real servers beside it, and stops them afterwards.
#
#   scripts/with-servers.sh COMMAND [ARGUMENT…]
#
# Starts PostgreSQL, Redis, Apache Kafka and the ClickHouse engine on free ports in one scratch folder,
# waits until each answers, and tells the command where they are:
#   OPTIBID_TEST_POSTGRES OPTIBID_TEST_REDIS OPTIBID_TEST_KAFKA OPTIBID_TEST_CLICKHOUSE
# One that is set already is used as it is, and so are servers of yours in DATABASE_URL, REDIS_URL,
# KAFKA_BOOTSTRAP_SERVERS and CLICKHOUSE_HOST. Exit status is the command's.
#
# Any number can run at once. OPTIBID_SERVERS="postgres redis" starts only those;
# OPTIBID_SERVERS_PATIENCE_S (default 240) bounds the wait.
set -euo pipefail

HERE=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
PATIENCE_S=${OPTIBID_SERVERS_PATIENCE_S:-240}
ATTEMPTS=3
[ $# -gt 0 ] || { sed -n '2,14s/^# \{0,1\}//p' "${BASH_SOURCE[0]}"; exit 2; }

say() { printf 'servers: %s\n' "$*" >&2; }
command -v python3 >/dev/null || { say "no python3 here: scripts/install.sh test"; exit 1; }

SCRATCH=$(mktemp -d "${TMPDIR:-/tmp}/optibid-servers.XXXXXX")
chmod 711 "$SCRATCH" # user postgres must pass through
# The janitor lives in a session of its own and waits for this pipe to end: whatever happens to this
# script, the servers stop and the folder goes. No other process may hold the pipe ({LIFE}>&-). What the
# command leaves running when this script is killed carries this variable, so the janitor finds it.
exec {LIFE}> >(exec setsid bash "$HERE/servers/janitor.sh" "$SCRATCH" >/dev/null)
JANITOR=$!
export OPTIBID_SERVERS_SCRATCH=$SCRATCH

finish() {
  local status=$1
  trap '' INT TERM HUP
  trap - EXIT
  exec {LIFE}>&-
  wait "$JANITOR" || true
  exit "$status"
}

# Two ports that nobody listens on, below the range that outgoing connections use.
free_ports() {
  python3 - <<'END'
import random, socket
held = []
while len(held) < 2:
    s = socket.socket()
    try:
        s.bind(("127.0.0.1", random.randrange(15000, 32000)))
        held.append(s)
    except OSError:
        s.close()
print(*(s.getsockname()[1] for s in held))
END
}

declare -A PORT PID FOLDER TRIES
start() {
  local name=$1 ports
  TRIES[$name]=$((${TRIES[$name]:-0} + 1))
  FOLDER[$name]=$SCRATCH/$name-${TRIES[$name]}
  mkdir "${FOLDER[$name]}"
  ports=$(free_ports)
  PORT[$name]=${ports% *}
  # shellcheck disable=SC2086 # two ports: two arguments
  setsid bash "$HERE/servers/$name.sh" "${FOLDER[$name]}" $ports \
    </dev/null >"$SCRATCH/$name.log" 2>&1 {LIFE}>&- &
  PID[$name]=$!
}

# Waits until the server answers; starts it anew if somebody took its port in the meantime.
await() {
  local name=$1
  until python3 "$HERE/servers/answers.py" "$name" "${PORT[$name]}" {LIFE}>&-; do
    if ! kill -0 "${PID[$name]}" 2>/dev/null; then
      if grep -qi 'in use' "$SCRATCH/$name.log" && [ "${TRIES[$name]}" -lt $ATTEMPTS ]; then
        start "$name"
        continue
      fi
      give_up "$name" "ended instead of answering"
    fi
    [ $SECONDS -lt "$PATIENCE_S" ] || give_up "$name" "does not answer after $PATIENCE_S s"
    sleep 0.2
  done
}

give_up() {
  say "$1 $2; its last words:"
  tail -n 30 "$SCRATCH/$1.log" >&2
  finish 1
}

# The variable that names a server of the user's, or nothing.
given() {
  local test_variable=OPTIBID_TEST_${1^^} own
  case $1 in
    postgres) own=DATABASE_URL ;;
    redis) own=REDIS_URL ;;
    kafka) own=KAFKA_BOOTSTRAP_SERVERS ;;
    clickhouse) own=CLICKHOUSE_HOST ;;
  esac
  if [ -n "${!test_variable:-}" ]; then echo "$test_variable"
  elif [ -n "${!own:-}" ]; then echo "$own"
  fi
}

address() {
  case $1 in
    postgres) echo "postgres://postgres@127.0.0.1:$2/postgres" ;;
    redis) echo "redis://127.0.0.1:$2/0" ;;
    kafka) echo "127.0.0.1:$2" ;;
    clickhouse) echo "http://127.0.0.1:$2" ;;
  esac
}

# CLICKHOUSE_HOST may be a bare host, host:port or an address.
clickhouse_url() {
  case $1 in
    *://*) echo "$1" ;;
    *:*) echo "http://$1" ;;
    *) echo "http://$1:8123" ;;
  esac
}

trap 'finish 130' INT
trap 'finish 143' TERM
trap 'finish 129' HUP
trap 'finish $?' EXIT

started=()
for name in ${OPTIBID_SERVERS:-postgres redis kafka clickhouse}; do
  [ -e "$HERE/servers/$name.sh" ] || { say "no server is called $name"; finish 2; }
  variable=$(given "$name")
  if [ -n "$variable" ]; then
    value=${!variable}
    [ "$variable" != CLICKHOUSE_HOST ] || value=$(clickhouse_url "$value")
    export "OPTIBID_TEST_${name^^}=$value"
    say "$name: yours, from $variable"
  else
    start "$name"
    started+=("$name")
  fi
done
for name in "${started[@]}"; do
  await "$name"
  export "OPTIBID_TEST_${name^^}=$(address "$name" "${PORT[$name]}")"
done
[ ${#started[@]} = 0 ] || say "${started[*]} answer after $SECONDS s, in $SCRATCH"

# In the background, so that a signal to this script is heard at once; with the terminal's input, and with
# Ctrl-C as usual (a shell's background jobs would ignore it).
# On a terminal Ctrl-C has reached the command as well; else it is passed on.
interrupted() { [ -t 0 ] || kill -INT "$CHILD" 2>/dev/null || true; }
terminated() { kill -TERM "$CHILD" 2>/dev/null || true; LEAVE_NOTHING=yes; }
CHILD= LEAVE_NOTHING=no
trap interrupted INT
trap terminated TERM HUP
env --default-signal=INT,QUIT "$@" <&0 {LIFE}>&- &
CHILD=$!
status=0
wait "$CHILD" || status=$?
while kill -0 "$CHILD" 2>/dev/null; do # a signal ended the wait, not the command
  status=0
  wait "$CHILD" || status=$?
done
[ $LEAVE_NOTHING = yes ] || echo "the command has ended" >&"$LIFE"
finish "$status"
