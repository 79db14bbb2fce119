package memnet_test

import (
	"io"
	"testing"
	"testing/synctest"
	"time"

	"github.com/oncelog/oncelog/protocol/memnet"
)

// What is sent on a slow way arrives late and in order, the end of the
// connection too; the way back is as quick as ever.
func TestSlowWayDeliversLateAndInOrder(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		n := memnet.New()
		there, here := n.Host("there"), n.Host("here")
		l, err := there.Listen("tcp", "127.0.0.1:9")
		if err != nil {
			t.Fatal(err)
		}
		defer l.Close()
		go func() {
			c, err := l.Accept()
			if err != nil {
				t.Error(err)
				return
			}
			for _, text := range []string{"a", "b"} {
				if _, err := c.Write([]byte(text)); err != nil {
					t.Error(err)
				}
				n.Slow("there", "here", 0) // overtakes nothing
			}
			c.Close()
		}()
		n.Slow("there", "here", time.Second)
		began := time.Now()
		c, err := here.Dial(t.Context(), "tcp", "there:9")
		if err != nil {
			t.Fatal(err)
		}
		defer c.Close()
		got, err := io.ReadAll(c)
		if took := time.Since(began); string(got) != "ab" || err != nil || took != time.Second {
			t.Errorf("%q, %v after %v, want ab after 1s", got, err, took)
		}
	})
}
