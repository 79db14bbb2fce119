#!/bin/bash
# up.sh PORT [DATADIR]: a single-node KRaft Kafka on loopback (controller on PORT+1); prints its pid when it answers.
# An existing DATADIR is started again as it is. Environment: see common.sh. Stop it with down.sh PID.
set -e
. "$(dirname "$0")/common.sh"
PORT=${1:?port}; CPORT=$((PORT+1)); DIR=${2:-$(mktemp -d)}
mkdir -p "$DIR"
write_props 1 $PORT $CPORT "$DIR/log" "1@127.0.0.1:$CPORT" 1 1 "$DIR/server.properties"
[ -f "$DIR/log/meta.properties" ] || format "$DIR/server.properties" "$DIR/format.log"
setsid nohup java $HEAP $PERF $SRVLOG -Dkafka.logs.dir="$DIR" -cp "$CP" kafka.Kafka "$DIR/server.properties" >"$DIR/out.log" 2>&1 </dev/null &
PID=$!
echo $PID > "$DIR/pid"
wait_port $PID $PORT || { tail -30 "$DIR/out.log" >&2; exit 1; }
for i in $(seq 1 1200); do grep -q 'Kafka Server started' "$DIR/out.log" && break; kill -0 $PID || exit 1; sleep 0.05; done
echo $PID
