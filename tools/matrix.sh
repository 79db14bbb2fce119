#!/bin/bash
# matrix.sh [FOLDER]: the conformance suite against oncelog (one node and three), Apache Kafka, kfake and librdkafka's mock cluster, one
# after the other, and docs/conformance-matrix.md from what they answered. Needs bin/oncelog (make build), java, mvn, go and python3; the
# reports stay in FOLDER. Environment: PORT (30400; Kafka takes the next one too), KAFKAS ("version transaction.version"; several with
# commas between).
set -eu
here=$(cd "$(dirname "$0")" && pwd); root=$here/..; oncelog=$root/bin/oncelog
PORT=${PORT:-30400}; KAFKAS=${KAFKAS-4.3.1 2,4.3.1 1,3.9.2 2}
out=$(mkdir -p "${1:-$root/out/matrix}" && cd "${1:-$root/out/matrix}" && pwd); scratch=$(mktemp -d); kafka=
. "$here/broker.sh"
trap 'stop_broker || true; test -z "$kafka" || "$here/kafka/down.sh" "$kafka"; rm -rf "$scratch"' EXIT
columns=()
judge() { # NAME FILE ADDRESS [FLAG...]: a broker that fails rules has a column, too
  local name=$1 file=$out/$2.json address=$3 code=0; shift 3
  "$oncelog" conformance run -b "$address" --destructive --traces "$out/traces" --json "$file" --html "${file%.json}.html" "$@" >"${file%.json}.txt" || code=$?
  test $code -le 1 || { echo "$name: exit $code"; tail -5 "${file%.json}.txt"; exit $code; }
  echo "$name: $(tail -1 "${file%.json}.txt")"
  columns+=("$name=$file")
}
for brokers in 1 3; do
  BROKERS= start_broker --brokers $brokers
  judge "oncelog, $brokers broker$(test $brokers = 1 || echo s)" "oncelog-$brokers" "$B"
  stop_broker; rm -rf "$scratch/data"; B=
done
while read -r version level; do
  test -n "$version" || continue
  features=; case $version in 3.*) level= ;; *) features=transaction.version=$level ;; esac
  kafka=$(KAFKA_VERSION=$version KAFKA_FEATURES=$features KAFKA_HEAP_OPTS="${KAFKA_HEAP_OPTS:--Xmx400m}" "$here/kafka/up.sh" "$PORT" "$scratch/kafka-$version-$level")
  "$oncelog" conformance run -b "127.0.0.1:$PORT" --parallel 1 --traces "" txn/flow group/offset/1 >"$out/warm-up.txt" || true # it makes its coordinators' topics, which takes a busy machine longer than a case waits
  judge "Apache Kafka $version${level:+, transaction.version $level}" "kafka-$version${level:+-tv$level}" "127.0.0.1:$PORT"
  "$here/kafka/down.sh" "$kafka"; kafka=
done < <(tr ',' '\n' <<<"$KAFKAS")
if kfake=$("$here/kfake.sh" "$scratch/kfake"); then
  judge "kfake" kfake "127.0.0.1:$PORT" --parallel 1 --start "exec '$kfake' 127.0.0.1:$PORT"
fi
export CACHE=${XDG_CACHE_HOME:-$HOME/.cache}/oncelog-interop
if "$here/interop/install" python; then
  judge "librdkafka's mock cluster" librdkafka-mock "127.0.0.1:$PORT" --parallel 1 --timeout 10s --start "exec '$CACHE/python/bin/python' '$here/interop/python/mock_cluster.py' 127.0.0.1:$PORT 2>/dev/null"
fi
{ cat <<'HEAD'
# Which rules each broker keeps

Written by `make matrix`: the conformance suite against each target on one machine, one after the other. ✓ kept, – not offered (a version, a feature or a
number of brokers that the target does not have). What a rule says, what is sent and what Apache Kafka answers: `oncelog conformance explain ID`.

Four cases run at a time; on kfake and the mock, which cases end, one. The mock offers few requests and takes any sequence. Seconds are of a machine with two cores that did
other work, too, and say nothing of what a broker can do.

HEAD
  "$oncelog" conformance matrix "${columns[@]}"; } >"$scratch/matrix.md"
cp "$scratch/matrix.md" "$root/docs/conformance-matrix.md"
