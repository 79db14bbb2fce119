package protocol

import (
	"fmt"
	"reflect"

	"github.com/twmb/franz-go/pkg/kmsg"
)

// probe learns the shape of a message at one version from kmsg's own encoder:
// it changes one field after the other and looks at what changes on the wire.
// A field of this version changes bytes, a tagged one adds them. So there is no
// second description of Kafka's messages that could differ from kmsg.
type probe struct {
	message  Body
	flexible bool
}

// shapeOf is the shape of m's type at a version. It changes m.
func shapeOf(m Body, version int16) (*shape, error) {
	m.SetVersion(version)
	p := probe{message: m, flexible: m.IsFlexible()}
	root := reflect.ValueOf(m).Elem()
	p.fill(root)
	m.SetVersion(version)
	s, err := p.structure(root)
	if err != nil {
		return nil, fmt.Errorf("%s v%d: %w", kmsg.NameForKey(m.Key()), version, err)
	}
	return s, nil
}

var typeTags = reflect.TypeFor[kmsg.Tags]()

// fill gives defaults to a structure, and one element to each array, so that
// each field somewhere within it is on the wire.
func (p *probe) fill(v reflect.Value) {
	if d, ok := v.Addr().Interface().(interface{ Default() }); ok {
		d.Default()
	}
	for i := range v.NumField() {
		f := v.Field(i)
		switch {
		case f.Type() == typeTags:
		case f.Kind() == reflect.Struct:
			p.fill(f)
		case f.Kind() == reflect.Pointer && f.Type().Elem().Kind() == reflect.Struct:
			f.Set(reflect.New(f.Type().Elem()))
			p.fill(f.Elem())
		case f.Kind() == reflect.Slice && f.Type().Elem().Kind() != reflect.Uint8:
			p.lengthen(f, 1)
		}
	}
}

// lengthen makes an array of n default elements.
func (p *probe) lengthen(f reflect.Value, n int) {
	f.Set(reflect.MakeSlice(f.Type(), n, n))
	for i := range n {
		switch e := f.Index(i); {
		case e.Kind() == reflect.Struct:
			p.fill(e)
		case e.Kind() == reflect.Slice && e.Type().Elem().Kind() != reflect.Uint8:
			p.lengthen(e, 1)
		}
	}
}

func (p *probe) encode() []byte { return p.message.AppendTo(nil) }

func (p *probe) structure(v reflect.Value) (*shape, error) {
	s := &shape{flexible: p.flexible}
	p.emptyTagged(v)
	for i := range v.NumField() {
		name := v.Type().Field(i).Name
		if v.Field(i).Type() == typeTags || name == "Version" && v.Addr().Interface() == any(p.message) {
			continue
		}
		f, present, tagged, err := p.field(v.Field(i))
		switch {
		case err != nil:
			return nil, fmt.Errorf("%s: %w", name, err)
		case tagged:
			s.tagged = append(s.tagged, f)
		case present:
			s.fields = append(s.fields, f)
			s.minBytes += f.least(p.flexible)
		}
	}
	if p.flexible {
		s.minBytes++
	}
	return s, nil
}

// emptyTagged takes the tagged arrays of a structure off the wire, so that its
// tag section is empty but for the field that is looked at.
func (p *probe) emptyTagged(v reflect.Value) {
	for i := range v.NumField() {
		f := v.Field(i)
		if f.Kind() != reflect.Slice || f.Type().Elem().Kind() == reflect.Uint8 {
			continue
		}
		if _, tagged := p.measure(f); tagged {
			f.SetZero()
			continue
		}
		p.lengthen(f, 1)
	}
}

// measure encodes an array with no, one and two elements: it leaves two. It is
// tagged when the first element costs more than the second.
func (p *probe) measure(v reflect.Value) (wire [3][]byte, tagged bool) {
	v.SetZero()
	wire[0] = p.encode()
	for n := 1; n < len(wire); n++ {
		p.lengthen(v, n)
		wire[n] = p.encode()
	}
	return wire, len(wire[1])-len(wire[0]) != len(wire[2])-len(wire[1])
}

// field describes one field, whose value is left as it was.
func (p *probe) field(v reflect.Value) (f field, present, tagged bool, err error) {
	before := reflect.New(v.Type()).Elem()
	before.Set(v)
	defer v.Set(before)

	switch {
	case v.Kind() == reflect.Slice && v.Type().Elem().Kind() != reflect.Uint8:
		return p.array(v)
	case v.Kind() == reflect.Struct:
		return p.inline(v)
	case v.Kind() == reflect.Pointer && v.Type().Elem().Kind() == reflect.Struct:
		return p.nullable(v)
	}
	if f, err = leaf(v.Type()); err != nil {
		return f, false, false, err
	}
	plain := p.encode()
	disturb(v)
	changed := p.encode()
	more := len(changed) - len(plain)
	if more > 1 {
		f.tag, err = tagAt(plain, changed)
		return f, true, true, err
	}
	return f, string(plain) != string(changed), false, nil
}

func (p *probe) array(v reflect.Value) (f field, present, tagged bool, err error) {
	wire, tagged := p.measure(v)
	if len(wire[2]) == len(wire[1]) {
		return f, false, false, nil
	}
	f = field{kind: kindArray, width: int(v.Type().Elem().Size())}
	if tagged {
		if f.tag, err = tagAt(wire[0], wire[1]); err != nil {
			return f, false, false, err
		}
	}
	p.lengthen(v, 1)
	f.elem, err = p.element(v.Index(0))
	return f, true, tagged, err
}

func (p *probe) element(v reflect.Value) (*field, error) {
	if v.Kind() == reflect.Struct {
		inner, err := p.structure(v)
		return &field{kind: kindStruct, inner: inner}, err
	}
	if v.Kind() == reflect.Slice && v.Type().Elem().Kind() != reflect.Uint8 {
		f, _, _, err := p.array(v)
		return &f, err
	}
	f, err := leaf(v.Type())
	return &f, err
}

// inline is a structure that is a field itself. When it is tagged, a change of
// one leaf adds all of it to the wire.
func (p *probe) inline(v reflect.Value) (f field, present, tagged bool, err error) {
	f = field{kind: kindStruct}
	plain := p.encode()
	for i := range v.NumField() {
		changed := p.changed(v.Field(i))
		if string(plain) == string(changed) {
			continue
		}
		if present = true; len(changed) > len(plain)+1 {
			tagged = true
			if f.tag, err = tagAt(plain, changed); err != nil {
				return f, false, false, err
			}
			disturb(v.Field(i)) // keeps the structure on the wire; field sets it back
		}
		break
	}
	if present {
		f.inner, err = p.structure(v)
	}
	return f, present, tagged, err
}

// changed is the encoding with another value of v, which is then set back. An
// array loses its elements.
func (p *probe) changed(v reflect.Value) []byte {
	before := reflect.New(v.Type()).Elem()
	before.Set(v)
	defer v.Set(before)
	if _, err := leaf(v.Type()); err == nil {
		disturb(v)
	} else {
		v.SetZero()
	}
	return p.encode()
}

func (p *probe) nullable(v reflect.Value) (f field, present, tagged bool, err error) {
	with := p.encode()
	inner := v.Interface()
	v.SetZero()
	without := p.encode()
	if string(with) == string(without) {
		return f, false, false, nil
	}
	v.Set(reflect.ValueOf(inner))
	f = field{kind: kindNullableStruct}
	f.inner, err = p.structure(v.Elem())
	if err == nil && len(with)-len(without) != f.inner.minBytes+p.filled(f.inner) {
		err = fmt.Errorf("%s is not understood", v.Type())
	}
	return f, true, false, err
}

// filled is how much more than its minimum a structure takes when fill has
// given one element to each array.
func (p *probe) filled(s *shape) int {
	n := 0
	for i := range s.fields {
		f := &s.fields[i]
		switch f.kind {
		case kindArray:
			n += f.elem.least(p.flexible)
			if f.elem.kind == kindStruct {
				n += p.filled(f.elem.inner)
			}
		case kindStruct, kindNullableStruct:
			n += p.filled(f.inner)
		}
	}
	return n
}

// tagAt finds the tag that changed has and plain has not: the first difference
// is the count of the tag section, 0 before and 1 now, and the tag follows.
func tagAt(plain, changed []byte) (uint32, error) {
	for i := range plain {
		if plain[i] == changed[i] {
			continue
		}
		if plain[i] != 0 || changed[i] != 1 || i+1 >= len(changed) || changed[i+1] >= 0x80 {
			break
		}
		return uint32(changed[i+1]), nil
	}
	return 0, fmt.Errorf("no tag section changed")
}

// leaf is a field without fields.
func leaf(t reflect.Type) (field, error) {
	switch t.Kind() {
	case reflect.Bool, reflect.Int8, reflect.Int16, reflect.Uint16, reflect.Int32, reflect.Uint32, reflect.Int64, reflect.Float64:
		return field{kind: kindFixed, size: int(t.Size())}, nil
	case reflect.Array: // a uuid
		return field{kind: kindFixed, size: t.Len()}, nil
	case reflect.String:
		return field{kind: kindString}, nil
	case reflect.Pointer:
		if t.Elem().Kind() == reflect.String {
			return field{kind: kindString}, nil
		}
	case reflect.Slice:
		if t.Elem().Kind() == reflect.Uint8 {
			return field{kind: kindBytes}, nil
		}
	}
	return field{}, fmt.Errorf("a %s is not understood", t)
}

// disturb gives a leaf a value that is not its default, one byte longer if its
// length can vary.
func disturb(v reflect.Value) {
	switch v.Kind() {
	case reflect.Bool:
		v.SetBool(!v.Bool())
	case reflect.Int8, reflect.Int16, reflect.Int32, reflect.Int64:
		v.SetInt(v.Int() ^ 0x55)
	case reflect.Uint16, reflect.Uint32:
		v.SetUint(v.Uint() ^ 0x55)
	case reflect.Float64:
		v.SetFloat(v.Float() + 1)
	case reflect.Array:
		v.Index(0).SetUint(v.Index(0).Uint() ^ 0x55)
	case reflect.String:
		v.SetString(v.String() + "x")
	case reflect.Pointer:
		text := "x"
		v.Set(reflect.ValueOf(&text))
	case reflect.Slice:
		v.SetBytes(append([]byte{}, 'x'))
	}
}
