package proxy

import (
	"bytes"
	"fmt"
	"reflect"
	"slices"
	"strings"

	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kmsg"
)

// refusal makes an answer that holds an error code for all that a request asks.
//
// kmsg names the same thing alike in a request and its answer: topics, partitions
// and groups that the request has are given to the answer by the names of fields.
func refusal(request kmsg.Request, code int16) (kmsg.Response, error) {
	response := request.ResponseKind()
	response.SetVersion(request.GetVersion())
	v := reflect.ValueOf(response).Elem()
	setDefault(v)
	response.SetVersion(request.GetVersion())
	mirror(reflect.ValueOf(request).Elem(), v)
	plain := response.AppendTo(nil)
	if !overwrite(response, code) || bytes.Equal(plain, response.AppendTo(nil)) {
		return nil, fmt.Errorf("%s v%d has no place for an error code", kmsg.NameForKey(request.Key()), request.GetVersion())
	}
	return response, nil
}

func setDefault(v reflect.Value) {
	if d, ok := v.Addr().Interface().(interface{ Default() }); ok {
		d.Default()
	}
}

// mirror gives an answer the elements that its request has.
func mirror(from, to reflect.Value) {
	for i := range to.NumField() {
		name, f := to.Type().Field(i).Name, to.Field(i)
		asked := from.FieldByName(name)
		if !asked.IsValid() || name == "Version" {
			continue
		}
		if f.Kind() != reflect.Slice || f.Type().Elem().Kind() != reflect.Struct {
			if name == "Topic" || name == "TopicID" || name == "Partition" || name == "Group" {
				give(f, asked)
			}
			continue
		}
		if asked.Kind() != reflect.Slice {
			continue
		}
		f.Set(reflect.MakeSlice(f.Type(), asked.Len(), asked.Len()))
		for j := range asked.Len() {
			setDefault(f.Index(j))
			if one := asked.Index(j); one.Kind() == reflect.Struct {
				mirror(one, f.Index(j))
			} else {
				give(f.Index(j).FieldByName(strings.TrimSuffix(name, "s")), one) // Partitions []int32
			}
		}
	}
}

// give sets a field from one that may be a pointer where it is none, or the
// other way round.
func give(to, from reflect.Value) {
	switch {
	case !to.IsValid():
	case to.Type() == from.Type():
		to.Set(from)
	case from.Kind() == reflect.Pointer && !from.IsNil() && from.Type().Elem() == to.Type():
		to.Set(from.Elem())
	case to.Kind() == reflect.Pointer && to.Type().Elem() == from.Type():
		to.Set(reflect.New(from.Type()))
		to.Elem().Set(from)
	}
}

// overwrite puts an error code into the elements of an answer, or into the answer
// itself where no element has a place for it.
func overwrite(response kmsg.Response, code int16) bool {
	v := reflect.ValueOf(response).Elem()
	within := false
	for i := range v.NumField() {
		within = each(v.Field(i), func(f reflect.Value) { f.SetInt(int64(code)) }) || within
	}
	if top := v.FieldByName("ErrorCode"); !within && top.IsValid() {
		top.SetInt(int64(code))
		return true
	}
	return within
}

// each calls do with the error codes of a list's elements, and says whether there
// are any.
func each(list reflect.Value, do func(reflect.Value)) (found bool) {
	if list.Kind() != reflect.Slice || list.Type().Elem().Kind() != reflect.Struct {
		return false
	}
	for i := range list.Len() {
		element := list.Index(i)
		within := false
		for j := range element.NumField() {
			within = each(element.Field(j), do) || within
		}
		if code := element.FieldByName("ErrorCode"); !within && code.IsValid() && code.Kind() == reflect.Int16 {
			do(code)
			within = true
		}
		found = found || within
	}
	return found
}

// codesOf names the error codes of an answer, each once, NONE where there are none.
func codesOf(response kmsg.Response) string {
	var names []string
	add := func(f reflect.Value) {
		if name := codeName(int16(f.Int())); !slices.Contains(names, name) {
			names = append(names, name)
		}
	}
	v := reflect.ValueOf(response).Elem()
	for i := range v.NumField() {
		each(v.Field(i), add)
	}
	if top := v.FieldByName("ErrorCode"); top.IsValid() && (len(names) == 0 || top.Int() != 0) {
		add(top)
	}
	if len(names) == 0 {
		return codeName(0)
	}
	return strings.Join(names, " and ")
}

func codeName(code int16) string {
	if e := kerr.TypedErrorForCode(code); e != nil {
		return e.Message
	}
	if code == 0 {
		return "NONE"
	}
	return fmt.Sprint("error ", code)
}
