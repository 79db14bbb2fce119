#!/bin/bash
# kfake.sh FOLDER: build a broker of franz-go's kfake in FOLDER and print the program's path; it takes the address to listen on.
# It has a module of its own there, so that nothing else depends on it. Environment: KFAKE (version; the newest).
set -eu
here=$(cd "$(dirname "$0")" && pwd)
mkdir -p "$1"; cd "$1"
cat >main.go <<'GO'
package main

import (
	"log/slog"
	"net"
	"os"
	"strconv"

	"github.com/twmb/franz-go/pkg/kfake"
)

func main() {
	_, port, err := net.SplitHostPort(os.Args[1])
	if err == nil {
		var n int
		if n, err = strconv.Atoi(port); err == nil {
			_, err = kfake.NewCluster(kfake.NumBrokers(1), kfake.Ports(n))
		}
	}
	if err != nil {
		slog.Error("kfake", "err", err)
		os.Exit(1)
	}
	select {}
}
GO
franz=$(cd "$here/.." && go list -m -f '{{.Version}}' github.com/twmb/franz-go) # kfake asks for an older one that it does not build with
{ test -f go.mod || go mod init kfakebroker; go get "github.com/twmb/franz-go/pkg/kfake@${KFAKE:-latest}" "github.com/twmb/franz-go@$franz"; go build -o kfakebroker .; } >build.log 2>&1 || { tail -5 build.log >&2; exit 1; }
echo "$PWD/kfakebroker"
