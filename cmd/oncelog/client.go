package main

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"os"
	"strings"
	"time"

	"github.com/spf13/cobra"
	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kgo"
	"github.com/twmb/franz-go/pkg/sasl/plain"
	"github.com/twmb/franz-go/pkg/sasl/scram"
)

// clientFlags say how to reach a cluster; every client command has them.
type clientFlags struct {
	brokers  []string
	timeout  time.Duration
	tls      bool
	ca       string
	cert     string
	key      string
	insecure bool
	saslName string
	user     string
	password string
}

// clientFlagsOn adds the connection flags to cmd and everything below it.
func (a *app) clientFlagsOn(cmd *cobra.Command) *cobra.Command {
	f, c := cmd.PersistentFlags(), &a.client
	f.StringSliceVarP(&c.brokers, "brokers", "b", []string{"localhost:9092"}, "bootstrap brokers, host:port")
	f.DurationVar(&c.timeout, "timeout", 15*time.Second, "give up when the cluster has not answered for this long")
	a.tlsFlagsOn(cmd)
	f.StringVar(&c.saslName, "sasl-mechanism", "", "PLAIN, SCRAM-SHA-256 or SCRAM-SHA-512")
	f.StringVar(&c.user, "sasl-user", "", "SASL user name")
	f.StringVar(&c.password, "sasl-password-file", "", "file whose first line is the SASL password")
	return cmd
}

// tlsFlagsOn adds those of the connection flags that are of TLS.
func (a *app) tlsFlagsOn(cmd *cobra.Command) {
	f, c := cmd.PersistentFlags(), &a.client
	f.BoolVar(&c.tls, "tls", false, "connect with TLS")
	f.StringVar(&c.ca, "tls-ca", "", "file with the CA certificates to trust (PEM); implies --tls")
	f.StringVar(&c.cert, "tls-cert", "", "file with the client certificate (PEM); implies --tls")
	f.StringVar(&c.key, "tls-key", "", "file with the client certificate's key (PEM)")
	f.BoolVar(&c.insecure, "tls-insecure", false, "do not verify the broker's certificate; implies --tls")
}

// options turns the flags into client options.
func (c *clientFlags) options() ([]kgo.Opt, error) {
	opts := []kgo.Opt{
		kgo.SeedBrokers(c.brokers...),
		kgo.ClientID("oncelog"),
		kgo.RetryTimeout(c.timeout),
		kgo.RecordDeliveryTimeout(c.timeout),
		kgo.DialTimeout(min(c.timeout, 5*time.Second)),
		kgo.RequestTimeoutOverhead(max(c.timeout/4, 100*time.Millisecond)), // then another broker is asked
	}
	secure, err := c.tlsConfig()
	if err != nil {
		return nil, err
	}
	if secure != nil {
		opts = append(opts, kgo.DialTLSConfig(secure))
	}
	auth, err := c.sasl()
	if err != nil {
		return nil, err
	}
	return append(opts, auth...), nil
}

func (c *clientFlags) tlsConfig() (*tls.Config, error) {
	if !c.tls && c.ca == "" && c.cert == "" && !c.insecure {
		return nil, nil
	}
	config := &tls.Config{MinVersion: tls.VersionTLS12, InsecureSkipVerify: c.insecure}
	if c.ca != "" {
		pem, err := os.ReadFile(c.ca)
		if err != nil {
			return nil, usage("--tls-ca: %w", err)
		}
		config.RootCAs = x509.NewCertPool()
		if !config.RootCAs.AppendCertsFromPEM(pem) {
			return nil, usage("--tls-ca %s holds no PEM certificate", c.ca)
		}
	}
	if c.cert != "" {
		pair, err := tls.LoadX509KeyPair(c.cert, c.key)
		if err != nil {
			return nil, usage("--tls-cert and --tls-key: %w", err)
		}
		config.Certificates = []tls.Certificate{pair}
	}
	return config, nil
}

func (c *clientFlags) sasl() ([]kgo.Opt, error) {
	if c.saslName == "" {
		return nil, nil
	}
	if c.user == "" || c.password == "" {
		return nil, usage("--sasl-mechanism %s wants --sasl-user and --sasl-password-file", c.saslName)
	}
	content, err := os.ReadFile(c.password)
	if err != nil {
		return nil, usage("--sasl-password-file: %w", err)
	}
	password, _, _ := strings.Cut(string(content), "\n")
	password = strings.TrimSuffix(password, "\r")
	switch strings.ToUpper(c.saslName) {
	case "PLAIN":
		return []kgo.Opt{kgo.SASL(plain.Auth{User: c.user, Pass: password}.AsMechanism())}, nil
	case "SCRAM-SHA-256":
		return []kgo.Opt{kgo.SASL(scram.Auth{User: c.user, Pass: password}.AsSha256Mechanism())}, nil
	case "SCRAM-SHA-512":
		return []kgo.Opt{kgo.SASL(scram.Auth{User: c.user, Pass: password}.AsSha512Mechanism())}, nil
	}
	return nil, usage("--sasl-mechanism is %q, want PLAIN, SCRAM-SHA-256 or SCRAM-SHA-512", c.saslName)
}

// dial makes a client that has reached a broker, so that a wrong address is
// told at once and by its name.
func (a *app) dial(ctx context.Context, extra ...kgo.Opt) (*kgo.Client, error) {
	opts, err := a.client.options()
	if err != nil {
		return nil, err
	}
	client, err := kgo.NewClient(append(opts, extra...)...)
	if err != nil {
		return nil, usage("%w", err)
	}
	ctx, cancel := context.WithTimeout(ctx, a.client.timeout)
	defer cancel()
	if err := client.Ping(ctx); err != nil {
		client.Close()
		return nil, &exitError{exitUnreachable, fmt.Errorf("cannot reach a broker: %w", err)}
	}
	return client, nil
}

// admin runs do with an administration client.
func (a *app) admin(ctx context.Context, do func(context.Context, *kadm.Client) error) error {
	client, err := a.dial(ctx)
	if err != nil {
		return err
	}
	defer client.Close()
	ctx, cancel := context.WithTimeout(ctx, a.client.timeout)
	defer cancel()
	admin := kadm.NewClient(client)
	admin.SetTimeoutMillis(int32((a.client.timeout - min(a.client.timeout/10, time.Second)).Milliseconds())) // so that its answer is not missed
	err = do(ctx, admin)
	var shards *kadm.ShardErrors
	if errors.As(err, &shards) && len(shards.Errs) > 0 {
		return fmt.Errorf("%s: %w", shards.Name, shards.Errs[0].Err)
	}
	return err
}
