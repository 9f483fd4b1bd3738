#!/usr/bin/env bash
# Runs the demo with accounts: starts a private PostgreSQL and a private Redis in a scratch folder, and stops them with it.
# Servers of yours in DATABASE_URL and REDIS_URL are used as they are.
#   usage: demo.sh PROGRAM [ARGUMENT…]
set -euo pipefail
here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
if [ -z "${OPTIBID_TEST_POSTGRES:-}" ] || [ -z "${OPTIBID_TEST_REDIS:-}" ]; then
  OPTIBID_SERVERS="postgres redis" exec "$here/with-servers.sh" "$0" "$@"
fi
program=$1
shift
export DATABASE_URL=$OPTIBID_TEST_POSTGRES REDIS_URL=$OPTIBID_TEST_REDIS
export OPTIBID__PLATFORM__ENABLED=true
# Secrets are sealed with it; what is sealed goes with the demo.
export OPTIBID__PLATFORM__MASTER_KEY=${OPTIBID__PLATFORM__MASTER_KEY:-$(head -c 32 /dev/urandom | base64)}
exec "$program" demo "$@"
