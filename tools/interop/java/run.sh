#!/bin/bash
# run.sh VERSION [BOOTSTRAP PREFIX]: the cells of Apache Kafka's Java client VERSION (4.4.0 and 3.9.2 are tried) against a broker.
# One line a cell on stdout: CELL, ok or fail, detail, separated by tabs. The first run fetches the client into a cache folder;
# without a broker that is all it does.
set -e
here=$(cd "$(dirname "$0")" && pwd)
. "$here/../jvm.sh"
case $1 in
  3.*) programs=(Interop); jvm_build "$here" "$1" "$here"/{Interop,Cells}.java ;; # AdminCell calls what came with 4.1
  *)   programs=(Interop AdminCell); jvm_build "$here" "$1" ;;
esac
test $# -gt 1 || exit 0
for program in "${programs[@]}"; do java "${JVM_OPTS[@]}" -cp "$CP" "$program" "$2" "$3"; done
