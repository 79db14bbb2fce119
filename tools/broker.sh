# Sourced by scripts that need a broker: start_broker sets B to $BROKERS (host:port) when that is given, else to a fresh oncelog
# on a free port with its data in $scratch; stop_broker ends that one. Needs bin/oncelog (make build).
broker=
start_broker() { # [FLAG...]
  B=${BROKERS:-}
  test -z "$B" || return 0
  : >"$scratch/banner.json"
  "$(dirname "${BASH_SOURCE[0]}")/../bin/oncelog" dev --headless --port 0 --log-dirs "$scratch/data" -o json "$@" >"$scratch/banner.json" 2>>"$scratch/broker.log" & broker=$!
  local i; for i in $(seq 100); do test -s "$scratch/banner.json" && break; kill -0 "$broker"; sleep 0.1; done
  B=$(sed -nE 's/.*"bootstrap": *"([^"]*)".*/\1/p' "$scratch/banner.json")
}
stop_broker() { test -z "$broker" || { kill "$broker"; wait "$broker" || true; broker=; }; }
