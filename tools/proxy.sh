#!/bin/bash
# proxy.sh: oncelog proxy loses the answers to 20 producers without idempotence, whose records are doubled each, and to 20 with it, whose are not.
# Environment: BROKERS=host:port, before another broker (default: a fresh oncelog one). Needs bin/oncelog (make build).
set -euo pipefail
cd "$(dirname "$0")/.."
O=bin/oncelog ROUNDS=20 topic=oncelog-proxy-$$
scratch=$(mktemp -d); servers=()
trap 'test ${#servers[@]} = 0 || kill "${servers[@]}" 2>/dev/null; wait; rm -rf "$scratch"' EXIT
started() { # FILE PID: waits for the line that a program prints when it serves
  for _ in $(seq 300); do test -s "$1" && return; kill -0 "$2"; sleep 0.1; done
  echo "no banner in $1" >&2; exit 1
}
said() { sed -nE "s/.*\"$2\": *\"([^\"]*)\".*/\1/p" "$1"; } # FILE KEY

B=${BROKERS:-}
if [ -z "$B" ]; then
  $O dev --headless --port 0 --log-dirs "$scratch/data" -o json >"$scratch/broker" 2>"$scratch/broker.log" & servers+=($!)
  started "$scratch/broker" $!
  B=$(said "$scratch/broker" bootstrap)
fi
$O proxy --upstream "$B" --listen 127.0.0.1:0 --control 127.0.0.1:0 -o json >"$scratch/proxy" 2>"$scratch/proxy.log" & servers+=($!)
started "$scratch/proxy" $!
P=$(said "$scratch/proxy" bootstrap) C=$(said "$scratch/proxy" control)

failed=0
check() { # KIND WANT FLAGS...: how often a record is stored of whose first attempt the answer is lost
  local kind=$1 want=$2 right=0 producers=(); shift 2
  $O topic create "$topic-$kind" --partitions $ROUNDS -b "$B" >/dev/null
  for n in $(seq $ROUNDS); do # Kafka's partitions are led a while after their topic is there
    echo "warm" | $O produce "$topic-$kind" -p $((n - 1)) -b "$B" >/dev/null
  done
  id=$($O fault add "lose-answer api=Produce topic=$topic-$kind per=partition" -b "$C")
  for n in $(seq $ROUNDS); do # each to a partition of its own; franz-go waits 5 s before it tries an idempotent batch again
    echo "r$n" | $O produce "$topic-$kind" -p $((n - 1)) --timeout 60s "$@" -b "$P" >"$scratch/produced-$n" & producers+=($!)
  done
  for p in "${producers[@]}"; do wait "$p" || failed=1; done
  $O fault hits "$id" --wait $ROUNDS -b "$C" >"$scratch/hits"
  lost=$(grep -c 'the broker answered NONE, which was lost' "$scratch/hits" || true)
  $O consume "$topic-$kind" -o start -e -f '%v\n' -b "$B" >"$scratch/stored"
  for n in $(seq $ROUNDS); do
    test "$(grep -cx "r$n" "$scratch/stored")" != "$want" || right=$((right + 1))
  done
  echo "$kind: $lost answers are lost, $right of $ROUNDS records are stored $want times"
  test $right = $ROUNDS && test "$lost" = $ROUNDS || failed=1
  $O topic delete "$topic-$kind" -b "$B" >/dev/null
}
check plain 2 --no-idempotence
check idempotent 1
exit $failed
