package broker

import (
	"errors"
	"fmt"
	"math"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kmsg"
)

// A key is one setting: the row from which parsing, validation, defaults and
// DescribeConfigs all follow. S is the struct its value is kept in.
type key[S any] struct {
	name string
	typ  kmsg.ConfigType
	// def is the default as Kafka 4.3 writes it; null is Kafka's null default.
	def  string
	null bool
	doc  string
	// check judges a value that parsed; nil accepts all.
	check func(any) error
	// bind says where the value is kept; nil for a setting that is accepted and
	// described, and that changes nothing here.
	bind func(*S) any

	// dynamic settings may be changed while the broker runs.
	dynamic bool
	// sensitive values are never shown.
	sensitive bool
	// wholeList says that a list is judged as a whole and shown as one.
	wholeList bool
	// internal settings are accepted and not described (Kafka's defineInternal).
	internal bool
	// synonyms are, for a topic setting, the broker settings it falls back on,
	// strongest first.
	synonyms []synonym
}

// A synonym is a broker setting that gives a topic setting its value.
type synonym struct {
	name string
	// scale converts: log.retention.hours is 3,600,000 of retention.ms. 0 is 1.
	scale int64
}

// A keyTable is a list of keys with an index by name.
type keyTable[S any] struct {
	keys   []key[S]
	byName map[string]*key[S]
}

func newKeyTable[S any](keys []key[S]) keyTable[S] {
	t := keyTable[S]{keys: keys, byName: make(map[string]*key[S], len(keys))}
	for i := range keys {
		t.byName[keys[i].name] = &keys[i]
	}
	return t
}

// fill sets every bound field of s: the value of values where there is one,
// the default elsewhere. All problems are reported together.
func (t keyTable[S]) fill(s *S, values map[string]string) error {
	var all []error
	for i := range t.keys {
		k := &t.keys[i]
		value, set := values[k.name]
		if !set && k.null {
			continue
		}
		if !set {
			value = k.def
		}
		v, err := k.parse(value)
		if err != nil {
			all = append(all, err)
			continue
		}
		if k.bind != nil {
			store(k.bind(s), v)
		}
	}
	return errors.Join(all...)
}

// parse turns the text of a setting into int64, float64, bool, string or
// []string and checks it.
//
// Errors: INVALID_CONFIG with the messages of Kafka's ConfigDef.
func (k *key[S]) parse(value string) (any, error) {
	v, err := parseValue(k.typ, value)
	if err == nil && k.check != nil {
		err = k.check(v)
	}
	if err == nil {
		return v, nil
	}
	shown := value
	if k.sensitive {
		shown = "[hidden]"
	}
	if list, ok := v.([]string); ok && k.wholeList {
		shown = "[" + strings.Join(list, ", ") + "]"
	}
	return nil, refuse(kerr.InvalidConfig, "Invalid value %s for configuration %s: %v", strings.TrimSpace(shown), k.name, err)
}

// plain writes a value as Kafka tells it: "TRUE" is true, "007" is 7, and a list
// names nothing twice.
func (k *key[S]) plain(value string) string {
	v, err := parseValue(k.typ, value)
	if err != nil {
		return value // was judged when it was set, so this program is an older one
	}
	switch v := v.(type) {
	case float64:
		return strconv.FormatFloat(v, 'f', -1, 64)
	case []string:
		var once []string
		for _, element := range v {
			if !slices.Contains(once, element) {
				once = append(once, element)
			}
		}
		return strings.Join(once, ",")
	}
	return fmt.Sprint(v)
}

func parseValue(typ kmsg.ConfigType, value string) (any, error) {
	value = strings.TrimSpace(value)
	switch typ {
	case kmsg.ConfigTypeBoolean:
		switch strings.ToLower(value) {
		case "true":
			return true, nil
		case "false":
			return false, nil
		}
		return nil, refuse(kerr.InvalidConfig, "Expected value to be either true or false")
	case kmsg.ConfigTypeShort:
		return parseInt(value, 16, "SHORT")
	case kmsg.ConfigTypeInt:
		return parseInt(value, 32, "INT")
	case kmsg.ConfigTypeLong:
		return parseInt(value, 64, "LONG")
	case kmsg.ConfigTypeDouble:
		v, err := strconv.ParseFloat(value, 64)
		if err != nil {
			return nil, refuse(kerr.InvalidConfig, "Not a number of type DOUBLE")
		}
		return v, nil
	case kmsg.ConfigTypeList:
		return splitList(value), nil
	}
	return value, nil
}

func parseInt(value string, bits int, name string) (any, error) {
	v, err := strconv.ParseInt(value, 10, bits)
	if err != nil {
		return nil, refuse(kerr.InvalidConfig, "Not a number of type %s", name)
	}
	return v, nil
}

// splitList cuts a comma separated list; the empty text is the empty list.
func splitList(value string) []string {
	list := []string{}
	for part := range strings.SplitSeq(value, ",") {
		if part = strings.TrimSpace(part); part != "" {
			list = append(list, part)
		}
	}
	return list
}

// store puts a parsed value where the key keeps it. A time.Duration holds
// milliseconds of the setting: negative ones mean "never" and stay negative,
// and what a Duration cannot hold becomes the longest one.
func store(to, v any) {
	switch to := to.(type) {
	case *bool:
		*to = v.(bool)
	case *int16:
		*to = int16(v.(int64))
	case *int32:
		*to = int32(v.(int64))
	case *int64:
		*to = v.(int64)
	case *float64:
		*to = v.(float64)
	case *string:
		*to = v.(string)
	case *[]string:
		*to = v.([]string)
	case *time.Duration:
		*to = milliseconds(v.(int64))
	default:
		panic(fmt.Sprintf("broker: a setting is bound to %T", to))
	}
}

// milliseconds converts without overflow.
func milliseconds(ms int64) time.Duration {
	if ms > math.MaxInt64/int64(time.Millisecond) {
		return math.MaxInt64
	}
	if ms < 0 {
		return -time.Millisecond
	}
	return time.Duration(ms) * time.Millisecond
}

func atLeast(least int64) func(any) error {
	return func(v any) error {
		if v.(int64) < least {
			return refuse(kerr.InvalidConfig, "Value must be at least %d", least)
		}
		return nil
	}
}

func between(least, most int64) func(any) error {
	return func(v any) error {
		if v.(int64) > most {
			return refuse(kerr.InvalidConfig, "Value must be no more than %d", most)
		}
		return atLeast(least)(v)
	}
}

// gzipLevel accepts -1, the library's own choice, and 1 to 9.
func gzipLevel(v any) error {
	if n := v.(int64); n != -1 && (n < 1 || n > 9) {
		return refuse(kerr.InvalidConfig, "Value must be between 1 and 9 or equal to -1")
	}
	return nil
}

func fraction(v any) error {
	if v.(float64) > 1 {
		return refuse(kerr.InvalidConfig, "Value must be no more than 1")
	}
	if !(v.(float64) >= 0) {
		return refuse(kerr.InvalidConfig, "Value must be at least 0")
	}
	return nil
}

func oneOf(words ...string) func(any) error {
	return func(v any) error {
		if slices.Contains(words, v.(string)) {
			return nil
		}
		return refuse(kerr.InvalidConfig, "String must be one of: %s", strings.Join(words, ", "))
	}
}

func listOf(words ...string) func(any) error {
	one := oneOf(words...)
	return func(v any) error {
		for _, word := range v.([]string) {
			if err := one(word); err != nil {
				return err
			}
		}
		return nil
	}
}
