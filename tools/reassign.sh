#!/bin/bash
# reassign.sh: Kafka's own kafka-reassign-partitions, kafka-leader-election and kafka-topics against three oncelog brokers; what
# they print is compared with tools/kafka/golden/reassign.txt, which "reassign.sh record" wrote with BROKERS=host:port of a
# three-node Apache Kafka whose node ids are 1, 2 and 3. Needs bin/oncelog (make build), java and mvn.
set -e
cd "$(dirname "$0")/.."
. tools/broker.sh
golden=tools/kafka/golden/reassign.txt
scratch=$(mktemp -d)
trap 'stop_broker; rm -rf "$scratch"' EXIT
export KAFKA_HEAP_OPTS=${KAFKA_HEAP_OPTS:--Xmx128m}
start_broker --brokers 3
T=reassigned
# plain takes out what differs from run to run: ids, folders, settings, the order of in-sync replicas, proposals, stacks; and
# eligible leaders out of sync, which there are none of in a group of voters.
plain() {
  sed -E 's/TopicId: [^ \t]+/TopicId: ID/; s/Configs: .*/Configs:/; s/Elr: [0-9,]+/Elr: /; s#"/[^"]*"#"FOLDER"#g; /^\tat |^Caused by: /d; s/[[:space:]]+$//' | while IFS= read -r line; do
    if [[ $line =~ ^(.*Isr:\ )([0-9,]+)(.*)$ ]]; then
      line="${BASH_REMATCH[1]}$(tr , '\n' <<<"${BASH_REMATCH[2]}" | sort -n | paste -sd ,)${BASH_REMATCH[3]}"
    fi
    echo "$line"
  done | sed -E '/^Proposed partition/,$ s/"replicas":\[[0-9,]+\]/"replicas":[CHOSEN]/g'
}
run() { # TITLE CLASS ARGS...
  echo "== $1"; shift
  local class=$1; shift
  tools/kafka/cli.sh "$class" --bootstrap-server "$B" "$@" 2>&1 | plain || true
}
MOVE=org.apache.kafka.tools.reassign.ReassignPartitionsCommand TOPICS=org.apache.kafka.tools.TopicCommand ELECT=org.apache.kafka.tools.LeaderElectionCommand
wish() { echo '{"version":1,"partitions":['"$1"']}' >"$scratch/wish.json"; }
one() { echo '{"topic":"'$T'","partition":'"$1"',"replicas":['"$2"'],"log_dirs":['"$(sed -E 's/[0-9]+/"any"/g' <<<"$2")"']}'; }
still() { # waits until nothing moves
  for _ in $(seq 30); do
    tools/kafka/cli.sh $MOVE --bootstrap-server "$B" --list | grep -q 'No partition reassignments found' && return
  done
}
transcript() {
  tools/kafka/cli.sh $TOPICS --bootstrap-server "$B" --delete --if-exists --topic $T >/dev/null 2>&1
  run "create with an assignment" $TOPICS --create --topic $T --replica-assignment 1:2,2:3,3:1
  run "add a partition with an assignment" $TOPICS --alter --topic $T --partitions 4 --replica-assignment 1:2,2:3,3:1,3:2
  run "describe" $TOPICS --describe --topic $T
  echo '{"version":1,"topics":[{"topic":"'$T'"}]}' >"$scratch/topics.json"
  run "generate" $MOVE --generate --topics-to-move-json-file "$scratch/topics.json" --broker-list 1,2,3
  wish "$(one 0 2,3),$(one 1 1),$(one 2 1,2,3),$(one 3 2,3)"
  run "execute, with a throttle" $MOVE --execute --reassignment-json-file "$scratch/wish.json" --throttle 50000000
  still
  run "verify" $MOVE --verify --reassignment-json-file "$scratch/wish.json"
  run "list" $MOVE --list
  run "elect the preferred leaders" $ELECT --election-type preferred --all-topic-partitions >/dev/null
  run "describe what was moved" $TOPICS --describe --topic $T
  run "elect a leader that leads" $ELECT --election-type preferred --topic $T --partition 0
  run "elect without need, uncleanly" $ELECT --election-type unclean --topic $T --partition 0
  run "elect in a topic that is not there" $ELECT --election-type preferred --topic nowhere --partition 0
  run "cancel nothing" $MOVE --cancel --reassignment-json-file "$scratch/wish.json"
  wish "$(one 0 2,9)"
  run "execute with a broker that is not there" $MOVE --execute --reassignment-json-file "$scratch/wish.json"
  wish "$(one 0 2,2)"
  run "execute with a broker twice" $MOVE --execute --reassignment-json-file "$scratch/wish.json"
  wish "$(one 9 2)"
  run "execute for a partition that is not there" $MOVE --execute --reassignment-json-file "$scratch/wish.json"
  run "verify that is not so" $MOVE --verify --reassignment-json-file <(echo '{"version":1,"partitions":['"$(one 0 1,2)"']}')
  run "create with uneven replicas" $TOPICS --create --topic $T-uneven --replica-assignment 1:2,3
  run "create with a broker that is not there" $TOPICS --create --topic $T-gone --replica-assignment 1:7
  tools/kafka/cli.sh $TOPICS --bootstrap-server "$B" --delete --topic $T >/dev/null
}
transcript | sed -E "s#$scratch/?[a-z.]*#FILE#g; s#/dev/fd/[0-9]+#FILE#g; s/^\[[^]]*\] //" >"$scratch/got.txt"
if test "$1" = record; then cp "$scratch/got.txt" "$golden"; echo "recorded $(wc -l <"$golden") lines"; exit; fi
if diff "$golden" "$scratch/got.txt"; then echo "as on Apache Kafka: $(grep -c '^==' "$golden") commands"; else exit 1; fi
