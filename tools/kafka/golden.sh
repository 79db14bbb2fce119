#!/bin/bash
# golden.sh record|compare|accept [STEPS]: Kafka's own tools against a fresh broker, step by step. "record" runs Apache Kafka and writes
# golden/kafka.txt; "compare" runs bin/oncelog and fails on each difference that golden/oncelog.txt does not explain; "accept" rewrites that file.
# Environment: PORT (30300; Kafka takes the next one too), RAW (keep the transcript in this file).
set -e
here=$(cd "$(dirname "$0")" && pwd); root=$here/../..; golden=$here/golden
mode=${1:?record, compare or accept}; steps=${2:-$golden/steps.txt}; PORT=${PORT:-30300}
. "$here/common.sh"
scratch=$(mktemp -d); pid=
trap 'test -z "$pid" || "$here/down.sh" "$pid"; rm -rf "$scratch"' EXIT
mkdir "$scratch/files"
if [ "$mode" = record ]; then
  pid=$(KAFKA_HEAP_OPTS=-Xmx400m timeout 120 "$here/up.sh" "$PORT" "$scratch/kafka")
  logs=$scratch/kafka/log
else
  logs=$scratch/log
  write_props 1 "$PORT" $((PORT + 1)) "$logs" "1@127.0.0.1:$((PORT + 1))" 1 1 "$scratch/server.properties" # the file that Kafka gets
  timeout 900 "$root/bin/oncelog" serve -c "$scratch/server.properties" -o json >"$scratch/banner.json" 2>"$scratch/broker.log" & pid=$!
  for _ in $(seq 100); do test -s "$scratch/banner.json" && break; kill -0 "$pid" 2>/dev/null || { cat "$scratch/broker.log"; exit 1; }; sleep 0.1; done
fi
run=0; timeout 600 java -Xmx256m -XX:+UseSerialGC $LOGCFG -cp "$CP" "$golden/Tools.java" "127.0.0.1:$PORT" "$logs" "$scratch/files" "$steps" "$scratch/raw.txt" || run=$?
test -z "$RAW" || cp "$scratch/raw.txt" "$RAW"
test "$run" = 0 || { echo "the steps stopped with $run; the broker said:"; tail -20 "$scratch/broker.log" "$scratch/kafka/out.log" 2>/dev/null; exit 1; }
replace=(-replace "$scratch/files=<dir>" -replace "$logs=<log.dirs>" -replace "127.0.0.1:$PORT=<broker>")
cd "$root/tools"
if [ "$mode" = record ]; then
  go run ./kafka/golden "${replace[@]}" record "$scratch/raw.txt" "$golden/kafka.txt"
else
  go run ./kafka/golden "${replace[@]}" "$mode" "$scratch/raw.txt" "$golden/kafka.txt" "$golden/oncelog.txt" "$root/docs/differences.md"
fi
