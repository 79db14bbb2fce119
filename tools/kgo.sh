#!/bin/bash
# kgo.sh VERSION: franz-go's own integration tests, run in a scratch module against a fresh oncelog broker.
# Environment: KGO_TEST_RECORDS (50000), KGO_TEST_RUN (a -run pattern), KILL=seconds: three brokers, one of them killed that often.
set -e
cd "$(dirname "$0")/.."
. tools/broker.sh
scratch=$(mktemp -d)
trap 'stop_broker; rm -rf "$scratch"' EXIT
start_broker
replicas=1; test -z "${KILL:-}" || replicas=3
echo "franz-go $1 against $B"
cd "$scratch"
go mod init scratch >/dev/null 2>&1
go get -t "github.com/twmb/franz-go/pkg/kgo@$1" >/dev/null
KGO_SEEDS=$B KGO_TEST_RF=$replicas KGO_TEST_RECORDS=${KGO_TEST_RECORDS:-50000} KGO_LOG_LEVEL=none \
  go test -count=1 -v -timeout 15m -run "${KGO_TEST_RUN:-.}" github.com/twmb/franz-go/pkg/kgo >kgo.log 2>&1 || failed=1
grep -E '^(--- FAIL|FAIL|ok|panic)|^ +--- FAIL' kgo.log || true
echo "skipped:"; grep -oE -- '--- SKIP: [^ ]+' kgo.log | sed 's/--- SKIP: /  /' | sort
test -z "$failed" || { tail -40 kgo.log; echo "broker said:"; tail -20 broker.log; exit 1; }
