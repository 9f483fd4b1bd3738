#!/usr/bin/env bash
# Runs a throw-away Apache Kafka (KRaft, one node) in the foreground. usage: kafka.sh FOLDER PORT CONTROLLER_PORT
# A folder that holds data already is used on: that is how a test lets a broker die and come back.
set -euo pipefail
folder=$1 port=$2 controller=$3
echo $$ >"$folder/pid"
here=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)
lib=${OPTIBID_TOOLS:-${XDG_CACHE_HOME:-$HOME/.cache}/optibid}/kafka/lib
command -v java >/dev/null || { echo "no Java here: scripts/install.sh test"; exit 1; }
[ -e "$lib/pom.xml" ] || { echo "no Apache Kafka in $lib: scripts/install.sh test"; exit 1; }

cat >"$folder/server.properties" <<END
process.roles=broker,controller
node.id=1
listeners=PLAINTEXT://127.0.0.1:$port,CONTROLLER://127.0.0.1:$controller
advertised.listeners=PLAINTEXT://127.0.0.1:$port
controller.listener.names=CONTROLLER
listener.security.protocol.map=PLAINTEXT:PLAINTEXT,CONTROLLER:PLAINTEXT
controller.quorum.bootstrap.servers=127.0.0.1:$controller
log.dirs=$folder/data
# One node, few partitions, no waiting for a group to fill: a test wants its first message soon.
offsets.topic.replication.factor=1
offsets.topic.num.partitions=1
transaction.state.log.replication.factor=1
transaction.state.log.min.isr=1
transaction.state.log.num.partitions=1
share.coordinator.state.topic.replication.factor=1
share.coordinator.state.topic.min.isr=1
group.initial.rebalance.delay.ms=0
num.network.threads=2
num.io.threads=4
log.cleaner.dedupe.buffer.size=16777216
# A machine busy with compilers may starve the broker for a while; it must not fence itself.
# (A broker that was killed may only come back when its session is over: a test of that sets this lower.)
broker.session.timeout.ms=${KAFKA_SESSION_MS:-60000}
initial.broker.registration.timeout.ms=240000
END
# Released classes need no verifying at every start.
java=(java -XX:+UseSerialGC -XX:+UnlockDiagnosticVMOptions -XX:-BytecodeVerificationRemote -Dlog4j2.configurationFile="$here/kafka/log4j2.properties" -cp "$lib/*")
if [ ! -e "$folder/data/meta.properties" ]; then
  id=$(head -c 16 /dev/urandom | base64 | tr '+/' '-_' | tr -d '=')
  case $id in -*) id=A${id:1} ;; esac # an id with a leading dash would read as an option
  "${java[@]}" -XX:TieredStopAtLevel=1 -Xmx128m kafka.tools.StorageTool format --standalone -t "$id" -c "$folder/server.properties" >/dev/null
fi
# KAFKA_JVM: options of one's own, e.g. -XX:TieredStopAtLevel=1 for a broker that lives for minutes.
# shellcheck disable=SC2086 # options: several words
exec "${java[@]}" ${KAFKA_JVM:-} -Xmx512m kafka.Kafka "$folder/server.properties"
