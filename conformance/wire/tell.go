package wire

import (
	"encoding/base64"
	"encoding/hex"
	"encoding/json"
	"reflect"
	"regexp"
	"strconv"
	"unicode/utf8"

	"github.com/twmb/franz-go/pkg/kerr"
)

// removed stands where a secret was.
const removed = `"(removed)"`

// secretFields are the fields that hold secrets, by name: what SASL exchanges
// (KIP-152), what SCRAM stores (KIP-554), delegation tokens (KIP-48), and whole
// requests that a controller was handed (KIP-590).
var secretFields = map[string]bool{
	"SASLAuthBytes": true, "SaltedPassword": true, "Salt": true, "HMAC": true, "RequestData": true, "ResponseData": true,
}

// secretConfig finds the configs whose values are secrets, by name.
var secretConfig = regexp.MustCompile(`(?i)password|secret|jaas|credential|\bkey\b|token`)

// A teller writes a message as JSON, in the order of its fields.
type teller struct {
	out   []byte
	codes []string
}

func (t *teller) value(m any) { t.any("", reflect.ValueOf(m)) }

// any writes one value; name is the field it is in.
func (t *teller) any(name string, v reflect.Value) {
	switch v.Kind() {
	case reflect.Pointer, reflect.Interface:
		if v.IsNil() {
			t.out = append(t.out, "null"...)
			return
		}
		t.any(name, v.Elem())
	case reflect.Struct:
		t.fields(v)
	case reflect.Slice:
		if v.Type().Elem().Kind() == reflect.Uint8 {
			t.bytes(name, v.Bytes(), v.IsNil())
			return
		}
		if v.IsNil() {
			t.out = append(t.out, "null"...)
			return
		}
		t.out = append(t.out, '[')
		for i := range v.Len() {
			if i > 0 {
				t.out = append(t.out, ',')
			}
			t.any(name, v.Index(i))
		}
		t.out = append(t.out, ']')
	case reflect.Array: // a topic id, as Kafka prints it
		id := make([]byte, v.Len())
		reflect.Copy(reflect.ValueOf(id), v)
		t.text(base64.RawURLEncoding.EncodeToString(id))
	case reflect.String:
		t.text(v.String())
	case reflect.Bool:
		t.out = strconv.AppendBool(t.out, v.Bool())
	case reflect.Float32, reflect.Float64:
		t.out = strconv.AppendFloat(t.out, v.Float(), 'g', -1, 64)
	case reflect.Uint, reflect.Uint8, reflect.Uint16, reflect.Uint32, reflect.Uint64:
		t.out = strconv.AppendUint(t.out, v.Uint(), 10)
	default:
		t.out = strconv.AppendInt(t.out, v.Int(), 10)
	}
}

// fields writes a struct. The name of an error code follows the code.
func (t *teller) fields(v reflect.Value) {
	t.out = append(t.out, '{')
	first := true
	field := func(name string) {
		if !first {
			t.out = append(t.out, ',')
		}
		first = false
		t.text(name)
		t.out = append(t.out, ':')
	}
	secret := secretPair(v)
	for i := range v.NumField() {
		f := v.Type().Field(i)
		if !f.IsExported() || f.Name == "UnknownTags" || f.Name == "Version" && i == 0 {
			continue
		}
		field(f.Name)
		if secretFields[f.Name] || secret && f.Name == "Value" {
			t.out = append(t.out, removed...)
			continue
		}
		t.any(f.Name, v.Field(i))
		if f.Name == "ErrorCode" {
			code := CodeName(int16(v.Field(i).Int()))
			t.codes = append(t.codes, code)
			field("Error")
			t.text(code)
		}
	}
	t.out = append(t.out, '}')
}

// secretPair says whether a struct is a config with a secret value.
func secretPair(v reflect.Value) bool {
	name := v.FieldByName("Name")
	return name.IsValid() && name.Kind() == reflect.String && secretConfig.MatchString(name.String())
}

// bytes writes record batches as their headers, text as text and all else as
// hex.
func (t *teller) bytes(name string, b []byte, null bool) {
	switch {
	case null:
		t.out = append(t.out, "null"...)
	case name == "Records" || name == "RecordBatches":
		t.any("", reflect.ValueOf(batches(b)))
	case utf8.Valid(b):
		t.text(string(b))
	default:
		t.text("0x" + hex.EncodeToString(b[:min(len(b), 1024)]))
	}
}

func (t *teller) text(s string) {
	quoted, err := json.Marshal(s)
	if err != nil { // no string is refused
		quoted = []byte(`""`)
	}
	t.out = append(t.out, quoted...)
}

// CodeName is an error code as Kafka names it.
func CodeName(code int16) string {
	if code == 0 {
		return "NONE"
	}
	if e := kerr.TypedErrorForCode(code); e != nil {
		return e.Message
	}
	return "error " + strconv.Itoa(int(code))
}
