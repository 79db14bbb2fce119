#!/bin/bash
# verifiable.sh: Kafka's VerifiableProducer and VerifiableConsumer as a pair, on a fresh oncelog broker: each value that was
# acknowledged is consumed once, at the offset it was acknowledged with, in order within its partition.
# Environment: BROKERS=host:port, another broker; RECORDS=20000. Needs bin/oncelog (make build), java, mvn and jq.
set -euo pipefail
cd "$(dirname "$0")/.."
. tools/broker.sh
command -v jq >/dev/null || { echo "jq is missing: apt-get install jq" >&2; exit 1; }
scratch=$(mktemp -d); records=${RECORDS:-20000} topic=verifiable-$RANDOM$RANDOM consumer=
trap 'test -z "$consumer" || kill "$consumer" 2>/dev/null || true; stop_broker; rm -rf "$scratch"' EXIT
start_broker
export KAFKA_HEAP_OPTS=-Xmx256m
tools=org.apache.kafka.tools
tools/kafka/cli.sh $tools.TopicCommand --bootstrap-server "$B" --topic "$topic" --create --partitions 3 --replication-factor 1
timeout 120 tools/kafka/cli.sh $tools.VerifiableConsumer --bootstrap-server "$B" --topic "$topic" --group-id "$topic" \
  --max-messages "$records" --reset-policy earliest --verbose >"$scratch/consumed.json" 2>"$scratch/consumer.log" & consumer=$!
timeout 120 tools/kafka/cli.sh $tools.VerifiableProducer --bootstrap-server "$B" --topic "$topic" \
  --max-messages "$records" --acks -1 >"$scratch/acked.json" 2>"$scratch/producer.log" || { cat "$scratch/producer.log"; exit 1; }
wait "$consumer" || { echo "the consumer ended with $?"; tail -5 "$scratch/consumed.json" "$scratch/consumer.log"; exit 1; }
consumer=

# Both become lines of partition, offset and value; the consumer's stay in the order in which they came.
jq -r 'select(.name == "producer_send_success") | [.partition, .offset, .value] | @tsv' "$scratch/acked.json" >"$scratch/acked"
jq -r 'select(.name == "record_data") | [.partition, .offset, .value] | @tsv' "$scratch/consumed.json" >"$scratch/consumed"
failed=0
fail() { echo "FAIL $*"; failed=1; }
errors=$(jq -r 'select(.name == "producer_send_error") | .message' "$scratch/acked.json" | sort | uniq -c)
test -z "$errors" || fail "refused: $errors"
test "$(wc -l <"$scratch/acked")" = "$records" || fail "want $records values acknowledged, got $(wc -l <"$scratch/acked")"
repeated=$(cut -f3 "$scratch/consumed" | sort | uniq -d | head -3)
test -z "$repeated" || fail "consumed more than once:" $repeated
difference=$(diff <(sort "$scratch/acked") <(sort "$scratch/consumed") | head -5) || fail "acknowledged (<) and consumed (>), as partition, offset, value:" $'\n'"$difference"
disorder=$(awk '($1 in at) && $2 <= at[$1] {print "partition " $1 ": offset " $2 " after " at[$1]} {at[$1] = $2}' "$scratch/consumed" | head -3)
test -z "$disorder" || fail "out of order: $disorder"
committed=$(jq -s '[.[] | select(.name == "offsets_committed" and .success) | .offsets[]] | group_by(.partition) | map(map(.offset) | max) | add' "$scratch/consumed.json")
test "$committed" = "$records" || fail "want committed offsets that sum to $records, got $committed"
warned=$(cat "$scratch/producer.log" "$scratch/consumer.log" "$scratch/broker.log" 2>/dev/null || true)
test -z "$warned" || fail "warnings: $warned"
test "$failed" = 1 || echo "ok: $records values acknowledged, each consumed once, in order in $(cut -f1 "$scratch/acked" | sort -u | wc -l) partitions; $committed committed"
exit "$failed"
