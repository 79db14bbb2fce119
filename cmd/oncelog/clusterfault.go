package main

import (
	"context"
	"fmt"
	"strconv"
	"strings"
	"time"

	"github.com/spf13/cobra"
)

// faultCommands show and act on the processes of dev --processes.
func (a *app) faultCommands() []*cobra.Command {
	return []*cobra.Command{
		a.fault(&cobra.Command{Use: "processes", Short: "Show the processes of dev --processes, and the links that are cut or slow", Args: exactly()},
			func([]int32) clusterAct { return clusterAct{} }),
		a.nodeFault("kill", "Kill a broker's process (SIGKILL)"),
		a.nodeFault("pause", "Stop a broker's process where it is (SIGSTOP)"),
		a.nodeFault("resume", "Let a paused broker's process go on (SIGCONT)"),
		a.nodeFault("restart", "Start a broker that has ended, or end and start one that runs"),
		a.nodeFault("isolate", "Part a broker from all others; clients still reach it"),
		a.linkFault("cut", "Hold all bytes between two brokers, or from the first to the second"),
		a.linkFault("slow", "Delay all bytes between two brokers, or from the first to the second"),
		a.fault(&cobra.Command{Use: "heal", Short: "End every cut and delay: what was held is delivered", Args: exactly()},
			func([]int32) clusterAct { return clusterAct{Do: "heal"} }),
	}
}

// fault makes a command of an act, whose arguments are brokers.
func (a *app) fault(cmd *cobra.Command, act func(nodes []int32) clusterAct) *cobra.Command {
	var dir string
	cmd.RunE = func(cmd *cobra.Command, args []string) error {
		nodes := make([]int32, 0, len(args))
		for _, arg := range args {
			n, err := strconv.ParseInt(arg, 10, 32)
			if err != nil {
				return usage("broker %q, want its node id, such as 1", arg)
			}
			nodes = append(nodes, int32(n))
		}
		return a.act(cmd.Context(), dir, act(nodes))
	}
	cmd.Flags().StringVar(&dir, "dir", "", "the folder of the cluster's data (default: that of the only one in a temporary folder)")
	return cmd
}

func (a *app) nodeFault(name, short string) *cobra.Command {
	return a.fault(&cobra.Command{Use: name + " BROKER", Short: short, Example: fmt.Sprintf("  oncelog cluster %s 1", name), Args: exactly("BROKER")},
		func(nodes []int32) clusterAct { return clusterAct{Do: name, Node: nodes[0]} })
}

func (a *app) linkFault(name, short string) *cobra.Command {
	var oneWay bool
	var delay time.Duration
	cmd := a.fault(&cobra.Command{Use: name + " BROKER BROKER", Short: short, Example: fmt.Sprintf("  oncelog cluster %s 1 2 --one-way", name), Args: exactly("BROKER", "BROKER")},
		func(nodes []int32) clusterAct {
			return clusterAct{Do: name, Node: nodes[0], Other: nodes[1], OneWay: oneWay, Delay: delay}
		})
	cmd.Flags().BoolVar(&oneWay, "one-way", false, "only what the first sends to the second")
	if name == "slow" {
		cmd.Flags().DurationVar(&delay, "delay", 100*time.Millisecond, "how long each piece of 32 KiB takes")
	}
	return cmd
}

// act does something to a cluster of processes and prints what it is then.
func (a *app) act(ctx context.Context, dir string, act clusterAct) error {
	file, err := readClusterFile(dir)
	if err != nil {
		return err
	}
	now, err := file.call(ctx, act)
	if err != nil {
		return err
	}
	return a.printNow(now)
}

func (a *app) printNow(now clusterNow) error {
	var rows [][]string
	for _, n := range now.Nodes {
		rows = append(rows, text(n.ID, n.Address, n.State, n.PID, n.Folder))
	}
	if err := a.print(now, []string{"BROKER", "ADDRESS", "PROCESS", "PID", "FOLDER"}, rows); err != nil || a.format == "json" || len(now.Links) == 0 {
		return err
	}
	_, err := fmt.Fprintf(a.out, "\nlinks: %s\n", strings.Join(now.Links, ", "))
	return err
}
