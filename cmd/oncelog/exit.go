package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"strings"

	"github.com/twmb/franz-go/pkg/kgo"
)

// Exit codes, the same for every command.
const (
	exitOK          = 0
	exitFailed      = 1 // what was asked was refused, or a check failed
	exitUsage       = 2 // the command line or a configuration is wrong
	exitUnreachable = 3 // no broker answered in time
	exitIncomplete  = 4 // some checks could not be judged
	exitInterrupted = 130
)

// An exitError carries the exit code that its cause asks for.
type exitError struct {
	code int
	err  error
}

func (e *exitError) Error() string { return e.err.Error() }
func (e *exitError) Unwrap() error { return e.err }

// usage is a mistake in the command line or a configuration.
func usage(format string, args ...any) error {
	return &exitError{exitUsage, fmt.Errorf(format, args...)}
}

// failed is an answer that was not the wanted one.
func failed(code int, format string, args ...any) error {
	return &exitError{code, fmt.Errorf(format, args...)}
}

// report prints err, if any, and returns the exit code for it.
func (a *app) report(ctx context.Context, err error) int {
	if err == nil {
		return exitOK
	}
	code := exitCode(ctx, err)
	if code == exitInterrupted {
		return code
	}
	fmt.Fprintf(a.err, "oncelog: %v\n", err)
	if code == exitUnreachable {
		fmt.Fprintf(a.err, "  tried %s; is a broker running there? Start one with: oncelog dev\n", strings.Join(a.client.brokers, ","))
	}
	return code
}

func exitCode(ctx context.Context, err error) int {
	var exit *exitError
	if errors.As(err, &exit) {
		return exit.code
	}
	if ctx.Err() != nil {
		return exitInterrupted
	}
	var network net.Error
	var dial *kgo.ErrFirstReadEOF
	switch {
	case errors.Is(err, context.DeadlineExceeded), errors.Is(err, io.EOF), errors.As(err, &network), errors.As(err, &dial),
		errors.Is(err, kgo.ErrRecordTimeout):
		return exitUnreachable
	case strings.HasPrefix(err.Error(), "unknown command"), strings.HasPrefix(err.Error(), "required flag"):
		return exitUsage
	}
	return exitFailed
}
