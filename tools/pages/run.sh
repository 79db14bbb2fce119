#!/bin/bash
# run.sh: the pages that oncelog writes, opened in a headless Chromium and judged. Needs bin/oncelog (make build). Pictures: out/pages.
# Where no Chromium is installed, root gets Debian's. Without one, or without the modules that drive it, a line says why nothing was opened.
set -euo pipefail
cd "$(dirname "$0")"
skip() { echo "pages: SKIPPED, no page was opened: $*"; exit 0; }
found() { local name; for name in chromium-headless-shell chromium chromium-browser google-chrome; do ! type -P "$name" >/dev/null || return 0; done; return 1; }
apt() { DEBIAN_FRONTEND=noninteractive timeout 180 apt-get -q -y -o Acquire::Retries=0 -o Acquire::http::Timeout=15 "$@"; }
log=$(mktemp); trap 'rm -f "$log"' EXIT
if ! found && test "$(id -u)" = 0 && type -P apt-get >/dev/null; then
  echo "pages: installing chromium-headless-shell"
  { apt install --no-install-recommends chromium-headless-shell || { apt update && apt install --no-install-recommends chromium-headless-shell; }; } >"$log" 2>&1 ||
    skip "chromium-headless-shell cannot be installed: $(tail -1 "$log")"
fi
found || skip "no Chromium is installed (apt-get install chromium-headless-shell)"
timeout 120 go mod download >"$log" 2>&1 || skip "the modules of tools/pages cannot be fetched: $(tail -1 "$log")"
go vet ./...
CHROMIUM=must go test -count=1 -timeout 5m ./...
