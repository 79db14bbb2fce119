// Command oncelog runs a Kafka-compatible broker and the tools around it: a
// development broker, a durable one, and client commands that work with any
// Kafka-compatible broker.
package main

import (
	"context"
	"io"
	"os"
	"os/signal"
	"syscall"

	"github.com/spf13/cobra"
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	go func() {
		// The first signal ends cleanly; from then on the default action, to end at once, is back.
		<-ctx.Done()
		stop()
	}()
	os.Exit(run(ctx, os.Args[1:], os.Stdin, os.Stdout, os.Stderr))
}

// An app is what the commands share: where they read and write, and the flags
// that every client command has.
type app struct {
	in       io.Reader
	out, err io.Writer
	format   string
	client   clientFlags
}

// run executes one command line and returns its exit code.
func run(ctx context.Context, args []string, in io.Reader, out, errOut io.Writer) int {
	a := &app{in: in, out: out, err: errOut}
	root := a.root()
	root.SetArgs(args)
	err := root.ExecuteContext(ctx)
	return a.report(ctx, err)
}

func (a *app) root() *cobra.Command {
	root := &cobra.Command{
		Use:           "oncelog",
		Short:         "A Kafka-compatible broker that shows what its delivery guarantees do",
		SilenceUsage:  true,
		SilenceErrors: true,
	}
	root.SetIn(a.in)
	root.SetOut(a.out)
	root.SetErr(a.err)
	root.SetFlagErrorFunc(func(_ *cobra.Command, err error) error { return usage("%w", err) })
	root.AddCommand(
		a.devCommand(), a.serveCommand(),
		a.topicCommand(), a.produceCommand(), a.consumeCommand(), a.groupCommand(), a.txnCommand(), a.clusterCommand(),
		a.logCommand(), a.conformanceCommand(), a.verifyCommand(), a.benchCommand(), a.proxyCommand(), a.monitorCommand(), a.faultCommand(), a.versionCommand(),
	)
	for _, family := range root.Commands() {
		if family.HasSubCommands() {
			family.RunE = helpOrMistake
		}
	}
	return root
}

// helpOrMistake runs a command that only holds others: its help, or what was
// asked of it is none of them.
func helpOrMistake(cmd *cobra.Command, args []string) error {
	if len(args) == 0 {
		return cmd.Help()
	}
	return usage("unknown command %q for %q: see %s --help", args[0], cmd.CommandPath(), cmd.CommandPath())
}

// exactly asks for n positional arguments and says which.
func exactly(names ...string) cobra.PositionalArgs {
	return func(cmd *cobra.Command, args []string) error {
		if len(args) == len(names) {
			return nil
		}
		return usage("%s wants %d argument(s) %v, got %d: see %s --help", cmd.CommandPath(), len(names), names, len(args), cmd.CommandPath())
	}
}
