#!/bin/bash
# clients.sh: kcat and Apache Kafka's own tools against a fresh oncelog broker, each answer checked.
# Needs bin/oncelog (make build), kcat, java and mvn; Kafka comes from Maven Central.
set -e
cd "$(dirname "$0")/.."
command -v kcat >/dev/null || { echo "kcat is missing: apt-get install kcat" >&2; exit 1; }
scratch=$(mktemp -d); broker=
trap 'test -z "$broker" || kill "$broker" 2>/dev/null; wait; rm -rf "$scratch"' EXIT
start() { # runs the broker on the scratch folder and sets B
  : >"$scratch/banner.json"
  bin/oncelog dev --headless --port 0 --log-dirs "$scratch/data" -o json >"$scratch/banner.json" 2>>"$scratch/broker.log" & broker=$!
  for _ in $(seq 100); do test -s "$scratch/banner.json" && break; kill -0 "$broker"; sleep 0.1; done
  B=$(sed -nE 's/.*"bootstrap": *"([^"]*)".*/\1/p' "$scratch/banner.json")
}
stop() { kill "$broker"; wait "$broker" || true; broker=; }
start
failures=0
same() { # NAME WANT GOT
  if [ "$2" = "$3" ]; then echo "ok   $1"; else echo "FAIL $1"; echo "  want: ${2//$'\n'/ | }"; echo "  got:  ${3//$'\n'/ | }"; failures=$((failures + 1)); fi
}
has() { # NAME PATTERN GOT
  if grep -qE -- "$2" <<<"$3"; then echo "ok   $1"; else echo "FAIL $1: no line matches $2 in"; echo "  ${3//$'\n'/$'\n'  }"; failures=$((failures + 1)); fi
}
kafka() { tools/kafka/cli.sh "$@" 2>"$scratch/tool.err" || { echo "exit $?"; cat "$scratch/tool.err"; }; }

printf 'a:1\nb:2\nc:3\n' | kcat -b "$B" -P -t kcat -K: -H source=kcat
same "kcat produces and consumes with keys and headers" $'a 1 source=kcat\nb 2 source=kcat\nc 3 source=kcat' "$(kcat -b "$B" -C -t kcat -e -q -f '%k %s %h\n')"
has "kcat lists metadata" 'topic "kcat" with 1 partitions' "$(kcat -b "$B" -L)"
same "kcat consumes in a group" $'1\n2\n3' "$(timeout 30 kcat -b "$B" -G kcat-group -X auto.offset.reset=earliest -c 3 -q kcat 2>/dev/null)"
printf 'x\ny\n' | kcat -b "$B" -P -t kcat-txn -X transactional.id=kcat-1 2>"$scratch/txn.err"
same "kcat writes a transaction" $'x\ny' "$(kcat -b "$B" -C -t kcat-txn -e -q -X isolation.level=read_committed)"

TOPICS=org.apache.kafka.tools.TopicCommand
has "kafka-topics --create" 'Created topic jt' "$(kafka $TOPICS --bootstrap-server "$B" --create --topic jt --partitions 3)"
has "kafka-topics --describe" 'Topic: jt.*PartitionCount: 3.*ReplicationFactor: 1' "$(kafka $TOPICS --bootstrap-server "$B" --describe --topic jt)"
has "kafka-topics --list" '^jt$' "$(kafka $TOPICS --bootstrap-server "$B" --list)"
printf 'one\ntwo\n' | kafka org.apache.kafka.tools.ConsoleProducer --bootstrap-server "$B" --topic jt >/dev/null
same "console producer and consumer" $'one\ntwo' "$(kafka org.apache.kafka.tools.consumer.ConsoleConsumer --bootstrap-server "$B" --topic jt --from-beginning --max-messages 2 --timeout-ms 20000 | sort)"
same "kafka-topics --delete" "" "$(kafka $TOPICS --bootstrap-server "$B" --delete --topic jt)"
has "deleted topic is gone" '^kcat$' "$(kafka $TOPICS --bootstrap-server "$B" --list | grep -v '^jt$')"
has "kafka-transactions list" 'kcat-1.*CompleteCommit' "$(kafka org.apache.kafka.tools.TransactionsCommand --bootstrap-server "$B" list)"
has "kafka-consumer-groups describe" 'kcat-group +kcat +0' "$(kafka org.apache.kafka.tools.consumer.group.ConsumerGroupCommand --bootstrap-server "$B" --describe --group kcat-group)"

printf 'p\nq\n' | bin/oncelog produce dump --txn d-1 -b "$B" >/dev/null 2>&1
printf 'r\n' | bin/oncelog produce dump --txn d-1 --abort -b "$B" >/dev/null 2>&1
stop; start # a second leadership, with a higher epoch
printf 's\n' | bin/oncelog produce dump -b "$B" >/dev/null 2>&1
epoch=$(bin/oncelog topic describe dump -b "$B" -o json | grep -oE '"leader_epoch":[0-9]+' | grep -oE '[0-9]+')
stop
epochs=
for log in "$scratch"/data/*/*.log; do
  test -s "$log" || continue
  dump=$(kafka org.apache.kafka.tools.DumpLogSegments --deep-iteration --files "$log")
  holes=$(grep -oE '^baseOffset: [0-9]+ lastOffset: [0-9]+' <<<"$dump" | awk 'BEGIN{n=0} {if ($2 != n) print "offset " $2 " after " n-1; n=$4+1}')
  same "DumpLogSegments: offsets of $(basename "$(dirname "$log")")" "" "$holes"
  if grep -q 'isControl: true' <<<"$dump"; then has "DumpLogSegments: control records" 'endTxnMarker: (COMMIT|ABORT)' "$dump"; fi
  if kafka org.apache.kafka.tools.DumpLogSegments --print-data-log --files "$log" | grep -a 'payload: s$' >/dev/null; then
    epochs=$(grep -oE '^baseOffset.*partitionLeaderEpoch: [0-9]+' <<<"$dump" | grep -oE '[0-9]+$')
  fi
  if grep -qE 'isvalid: false|Exception' <<<"$dump"; then echo "FAIL DumpLogSegments $log"; failures=$((failures + 1)); fi
done
same "DumpLogSegments: the last batch has the last leader's epoch" "$epoch" "$(tail -1 <<<"$epochs")"
same "DumpLogSegments: leader epochs rise" "$(sort -n <<<"$epochs")" "$epochs"
test "$(uniq <<<"$epochs" | wc -l)" = 2 || { echo "FAIL DumpLogSegments: want batches of 2 leader epochs, got" $epochs; failures=$((failures + 1)); }
test "$failures" = 0 || { echo "$failures failed; the broker said:"; tail -20 "$scratch/broker.log"; exit 1; }
