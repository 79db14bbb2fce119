# Sourced by scripts that need a broker: start_broker sets B to $BROKERS (host:port) when that is given, else to a fresh oncelog
# on a free port with its data in $scratch; stop_broker ends that one. Needs bin/oncelog (make build).
# With KILL=seconds it is three brokers in three processes, one of which is killed and started again that often, each in turn,
# so that always some partitions lose their leader. What they log is in $scratch/broker.log.
broker=; killer=
oncelog=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)/bin/oncelog
start_broker() { # [FLAG...]
  B=${BROKERS:-}
  test -z "$B" || return 0
  : >"$scratch/banner.json"
  test -z "${KILL:-}" || set -- --brokers 3 --processes "$@"
  "$oncelog" dev --headless --port 0 --log-dirs "$scratch/data" -o json "$@" >"$scratch/banner.json" 2>>"$scratch/broker.log" & broker=$!
  local i; for i in $(seq 100); do test -s "$scratch/banner.json" && break; kill -0 "$broker"; sleep 0.1; done
  B=$(sed -nE 's/^[^[]*"bootstrap": *"([^"]*)".*/\1/p' "$scratch/banner.json" | head -1)
  test -z "${KILL:-}" || { kill_in_turn & killer=$!; }
}
kill_in_turn() {
  local n=0
  while sleep "$KILL"; do
    n=$((n % 3 + 1)); echo "killed broker $n ($(date +%T))" >>"$scratch/kills.log"
    "$oncelog" cluster kill $n --dir "$scratch/data" >/dev/null && sleep 2 && "$oncelog" cluster restart $n --dir "$scratch/data" >/dev/null ||
      { echo "broker $n was not started again" >>"$scratch/kills.log"; return 1; }
  done
}
stop_broker() {
  test -z "$broker" || { kill "$broker"; wait "$broker" || true; broker=; }
  test -n "$killer" || return 0
  kill "$killer" 2>/dev/null || true; wait "$killer" || true; killer=
  echo "$(grep -c '^killed' "$scratch/kills.log" || true) brokers were killed and started again"
  ! grep -v '^killed' "$scratch/kills.log"
}
