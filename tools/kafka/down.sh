#!/bin/bash
# down.sh PID [PID...] : TERM, wait up to 30 s, then KILL.
for p in "$@"; do kill -TERM $p 2>/dev/null; done
for p in "$@"; do for i in $(seq 1 300); do kill -0 $p 2>/dev/null || break; sleep 0.1; done; kill -0 $p 2>/dev/null && kill -KILL $p; done; true
