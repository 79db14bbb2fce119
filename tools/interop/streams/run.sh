#!/bin/bash
# run.sh: a Kafka Streams application counts words exactly once while it is killed three times, on a fresh oncelog broker.
# Environment: BROKERS=host:port, another broker; LIMIT=180, seconds at most; LOG=file, keeps what Streams logs; KILL=seconds,
# three brokers, one of them killed that often.
# Needs bin/oncelog (make build), java, javac and mvn.
set -euo pipefail
here=$(cd "$(dirname "$0")" && pwd)
. "$here/../jvm.sh"; . "$here/../../broker.sh"
scratch=$(mktemp -d)
trap 'stop_broker; rm -rf "$scratch"' EXIT
jvm_build "$here" 4.3.1
start_broker
log=${LOG:-$scratch/streams.log} # Streams warns at length of the state that a killed process leaves
timeout -k 5 "${LIMIT:-180}" java "${JVM_OPTS[@]}" -cp "$CP" WordCount drive "$B" "streams-$RANDOM$RANDOM" 2>"$log" ||
  { echo "failed (exit $?); Streams said:"; tail -30 "$log"; test ! -s "$scratch/broker.log" ||
    { echo "the broker said:"; tail -20 "$scratch/broker.log"; }; exit 1; }
test -n "${KILL:-}" || test ! -s "$scratch/broker.log" || { echo "the broker warned:"; cat "$scratch/broker.log"; exit 1; }
