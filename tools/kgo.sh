#!/bin/bash
# kgo.sh VERSION: franz-go's own integration tests, run in a scratch module against a fresh oncelog broker.
# Environment: KGO_TEST_RECORDS (50000), KGO_TEST_RUN (a -run pattern), KILL=seconds: three brokers, one of them killed that often.
# The tests take no error of a poll, not even that a broker is gone for a moment, or that the coordinator after it does not know a
# member which had not been through a rebalance yet: neither does Kafka's. So with KILL those that failed by nothing else run again,
# four times at most; any other failure counts.
set -e
cd "$(dirname "$0")/.."
. tools/broker.sh
scratch=$(mktemp -d)
trap 'stop_broker; rm -rf "$scratch"' EXIT
start_broker
replicas=1 runs=1; test -z "${KILL:-}" || replicas=3 runs=5
echo "franz-go $1 against $B"
cd "$scratch"
go mod init scratch >/dev/null 2>&1
go get -t "github.com/twmb/franz-go/pkg/kgo@$1" >/dev/null

run() { # PATTERN
  KGO_SEEDS=$B KGO_TEST_RF=$replicas KGO_TEST_RECORDS=${KGO_TEST_RECORDS:-50000} KGO_LOG_LEVEL=none \
    go test -count=1 -v -timeout 15m -run "$1" github.com/twmb/franz-go/pkg/kgo >kgo.log 2>&1
}
# complaints are what tests said, without what they tell of a run that is well.
complaints() { grep -E '_test\.go:[0-9]+: |^panic:' kgo.log | grep -vE 'deleting (group|topic)|NOT DELETING|completed in|[Ss]kipping|broker (does not support|still takes)|: writes (succeeded|failed): ' || true; }
absence='UNKNOWN_MEMBER_ID|connection refused|connection reset|EOF|broken pipe|i/o timeout|use of closed network connection'
pattern=${KGO_TEST_RUN:-.} failed=
while ! run "$pattern"; do
  cat kgo.log >>earlier.log
  pattern="^($(grep -oE '^--- FAIL: [^ ]+' kgo.log | sed 's/--- FAIL: //' | paste -sd '|'))\$"
  grep -E '^(--- FAIL|panic)|^ +--- FAIL' kgo.log || true; complaints | cut -c1-300
  runs=$((runs - 1))
  if test $runs = 0 || test "$pattern" = '^()$' || complaints | grep -qvE "$absence"; then failed=1; break; fi
  echo "a broker was gone for a moment; again: $pattern"
done
grep -E '^(FAIL|ok)' kgo.log || true
echo "skipped:"; cat kgo.log earlier.log 2>/dev/null | grep -oE -- '--- SKIP: [^ ]+' | sed 's/--- SKIP: /  /' | sort -u
test -z "$failed" || { echo "broker said:"; tail -20 broker.log; exit 1; }
