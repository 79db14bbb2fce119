package main

import (
	"fmt"
	"runtime"
	"runtime/debug"

	"github.com/spf13/cobra"
)

// version is the version of the binary; a release sets it at link time.
var version = "0.1.0-dev"

// speaks is the Kafka release whose behaviour is the model.
const speaks = "4.3"

func (a *app) versionCommand() *cobra.Command {
	cmd := &cobra.Command{
		Use:   "version",
		Short: "Print the version",
		Args:  exactly(),
		RunE: func(*cobra.Command, []string) error {
			revision := revision()
			if a.format == "json" {
				return a.printJSON(map[string]string{
					"version": version, "revision": revision, "kafka": speaks,
					"go": runtime.Version(), "platform": runtime.GOOS + "/" + runtime.GOARCH,
				})
			}
			_, err := fmt.Fprintf(a.out, "oncelog %s (%s), speaking Kafka %s, %s %s/%s\n",
				version, revision, speaks, runtime.Version(), runtime.GOOS, runtime.GOARCH)
			return err
		},
	}
	a.formatFlag(cmd)
	return cmd
}

// revision is the commit that the binary was built from, where Go noted it.
func revision() string {
	info, ok := debug.ReadBuildInfo()
	if !ok {
		return "unknown"
	}
	for _, setting := range info.Settings {
		if setting.Key == "vcs.revision" {
			return setting.Value
		}
	}
	return "unknown"
}
