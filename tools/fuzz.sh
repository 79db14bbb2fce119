#!/bin/bash
# fuzz.sh TIME: runs every fuzz target of the module for TIME, one after the other.
# Making an interesting input smaller may else take a minute each, which is all of TIME.
set -e
cd "$(dirname "$0")/.."
grep -rlE '^func Fuzz' --include='*_test.go' . | while read -r file; do
  dir=$(dirname "$file")
  grep -hoE '^func Fuzz[A-Za-z0-9_]+' "$file" | sed 's/^func //' | while read -r target; do
    echo "== $dir $target"
    go test -run '^$' -fuzz "^$target\$" -fuzztime "${1:-30s}" -fuzzminimizetime 20x "$dir" </dev/null
  done
done
