#!/bin/bash
# kgo.sh VERSION: franz-go's own integration tests, run in a scratch module against a fresh oncelog broker.
# Environment: KGO_TEST_RECORDS (50000), KGO_TEST_RUN (a -run pattern).
set -e
cd "$(dirname "$0")/.."
scratch=$(mktemp -d); broker=
trap 'test -z "$broker" || kill "$broker" 2>/dev/null; wait; rm -rf "$scratch"' EXIT
bin/oncelog dev --headless --port 0 -o json >"$scratch/banner.json" 2>"$scratch/broker.log" & broker=$!
for _ in $(seq 100); do test -s "$scratch/banner.json" && break; kill -0 "$broker"; sleep 0.1; done
seeds=$(sed -nE 's/.*"bootstrap": *"([^"]*)".*/\1/p' "$scratch/banner.json" | head -1)
echo "franz-go $1 against $seeds"
cd "$scratch"
go mod init scratch >/dev/null 2>&1
go get -t "github.com/twmb/franz-go/pkg/kgo@$1" >/dev/null
KGO_SEEDS=$seeds KGO_TEST_RF=1 KGO_TEST_RECORDS=${KGO_TEST_RECORDS:-50000} KGO_LOG_LEVEL=none \
  go test -count=1 -v -timeout 15m -run "${KGO_TEST_RUN:-.}" github.com/twmb/franz-go/pkg/kgo >kgo.log 2>&1 || failed=1
grep -E '^(--- FAIL|FAIL|ok|panic)|^ +--- FAIL' kgo.log || true
echo "skipped:"; grep -oE -- '--- SKIP: [^ ]+' kgo.log | sed 's/--- SKIP: /  /' | sort
test -z "$failed" || { tail -40 kgo.log; echo "broker said:"; tail -20 broker.log; exit 1; }
