package protocol

import (
	"errors"
	"math/rand"
	"reflect"
	"testing"

	"github.com/twmb/franz-go/pkg/kmsg"
)

// everyRequest calls f with each request and version that kmsg knows.
func everyRequest(t *testing.T, f func(t *testing.T, r kmsg.Request, version int16)) {
	for key := range kmsg.MaxKey + 1 {
		r := kmsg.RequestForKey(int16(key))
		if r == nil {
			continue
		}
		t.Run(kmsg.NameForKey(int16(key)), func(t *testing.T) {
			for version := range r.MaxVersion() + 1 {
				f(t, kmsg.RequestForKey(int16(key)), version)
			}
		})
	}
}

// populate fills a value with random content, arrays with up to three elements.
func populate(v reflect.Value, r *rand.Rand) {
	switch v.Kind() {
	case reflect.Bool:
		v.SetBool(r.Intn(2) == 0)
	case reflect.Int8, reflect.Int16, reflect.Int32, reflect.Int64:
		v.SetInt(r.Int63())
	case reflect.Uint8, reflect.Uint16, reflect.Uint32:
		v.SetUint(uint64(r.Int31()))
	case reflect.Float64:
		v.SetFloat(r.Float64())
	case reflect.String:
		v.SetString("some text"[:r.Intn(9)])
	case reflect.Pointer:
		if r.Intn(3) > 0 {
			v.Set(reflect.New(v.Type().Elem()))
			populate(v.Elem(), r)
		}
	case reflect.Array:
		for i := range v.Len() {
			populate(v.Index(i), r)
		}
	case reflect.Slice:
		n := r.Intn(4)
		v.Set(reflect.MakeSlice(v.Type(), n, n))
		for i := range n {
			populate(v.Index(i), r)
		}
	case reflect.Struct:
		if v.Type() == typeTags {
			if r.Intn(2) == 0 {
				v.Addr().Interface().(*kmsg.Tags).Set(100+uint32(r.Intn(100)), []byte("later"))
			}
			return
		}
		for i := range v.NumField() {
			populate(v.Field(i), r)
		}
	}
}

func TestShapesFitAllOfKmsg(t *testing.T) {
	random := rand.New(rand.NewSource(1))
	everyRequest(t, func(t *testing.T, r kmsg.Request, version int16) {
		s, err := shapeOf(r, version)
		if err != nil {
			t.Fatal(err)
		}
		for range 30 {
			populate(reflect.ValueOf(r).Elem(), random)
			r.SetVersion(version)
			body := r.AppendTo(nil)
			if _, err := s.check(body); err != nil {
				t.Fatalf("v%d: %v: %x", version, err, body)
			}
			if _, err := s.check(append(body, 0)); !errors.Is(err, errTrailing) {
				t.Fatalf("v%d with a byte more: %v", version, err)
			}
			for cut := range body {
				if _, err := s.check(body[:cut]); err == nil {
					t.Fatalf("v%d: %d of %d bytes pass: %x", version, cut, len(body), body)
				}
			}
		}
	})
}
