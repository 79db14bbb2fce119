package report

import (
	"bytes"
	"encoding/xml"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"
)

// An xsd is as much of an XML schema as docs/junit.xsd uses: elements in a
// sequence, attributes, and text that has attributes.
type xsd struct {
	Elements []xsdElement `xml:"element"`
	Types    []xsdType    `xml:"complexType"`
}

type xsdElement struct {
	Name string   `xml:"name,attr"`
	Type string   `xml:"type,attr"`
	Min  string   `xml:"minOccurs,attr"`
	Max  string   `xml:"maxOccurs,attr"`
	Own  *xsdType `xml:"complexType"`
}

type xsdType struct {
	Name       string         `xml:"name,attr"`
	Elements   []xsdElement   `xml:"sequence>element"`
	Attributes []xsdAttribute `xml:"attribute"`
	Text       *struct {
		Base       string         `xml:"base,attr"`
		Attributes []xsdAttribute `xml:"attribute"`
	} `xml:"simpleContent>extension"`
}

type xsdAttribute struct {
	Name string `xml:"name,attr"`
	Type string `xml:"type,attr"`
	Use  string `xml:"use,attr"`
}

// A node is an element of a document.
type node struct {
	Name       xml.Name
	Attributes []xml.Attr `xml:",any,attr"`
	Text       string     `xml:",chardata"`
	Nodes      []node     `xml:",any"`
}

// UnmarshalXML keeps the element's name.
func (n *node) UnmarshalXML(d *xml.Decoder, start xml.StartElement) error {
	type plain node
	n.Name = start.Name
	return d.DecodeElement((*plain)(n), &start)
}

func publishedJUnit(t *testing.T) xsd {
	t.Helper()
	raw, err := os.ReadFile(filepath.Join("..", "..", "docs", "junit.xsd"))
	if err != nil {
		t.Fatal(err)
	}
	var s xsd
	if err := xml.Unmarshal(raw, &s); err != nil {
		t.Fatal(err)
	}
	return s
}

// problems lists where a document is not as the schema says.
func (s xsd) problems(t *testing.T, document []byte) []string {
	t.Helper()
	var root node
	d := xml.NewDecoder(bytes.NewReader(document))
	if err := d.Decode(&root); err != nil {
		t.Fatalf("%v in\n%s", err, document)
	}
	if _, err := d.Token(); err == nil {
		_, err = d.Token()
		if !errors.Is(err, io.EOF) {
			t.Fatalf("the document goes on behind its end: %v", err)
		}
	}
	i := slices.IndexFunc(s.Elements, func(e xsdElement) bool { return e.Name == root.Name.Local })
	if i < 0 {
		return []string{"the root is " + root.Name.Local}
	}
	return s.element(s.Elements[i], root, "/"+root.Name.Local)
}

// element judges one element.
func (s xsd) element(e xsdElement, n node, at string) []string {
	kind := e.Own
	if i := slices.IndexFunc(s.Types, func(c xsdType) bool { return c.Name == e.Type }); i >= 0 {
		kind = &s.Types[i]
	}
	if kind == nil { // a simple type
		kind = &xsdType{}
		kind.Text = &struct {
			Base       string         `xml:"base,attr"`
			Attributes []xsdAttribute `xml:"attribute"`
		}{Base: e.Type}
	}
	attributes, found := kind.Attributes, []string{}
	if kind.Text != nil {
		attributes = kind.Text.Attributes
		found = append(found, simple(kind.Text.Base, n.Text, at)...)
	} else if text := strings.TrimSpace(n.Text); text != "" {
		found = append(found, fmt.Sprintf("%s: has the text %q", at, text))
	}
	return append(append(found, judgeAttributes(attributes, n, at)...), s.sequence(kind.Elements, n, at)...)
}

// sequence judges what is inside of an element: each in its turn, so often.
func (s xsd) sequence(want []xsdElement, n node, at string) (found []string) {
	rest := n.Nodes
	for _, e := range want {
		count := 0
		for len(rest) > 0 && rest[0].Name.Local == e.Name {
			found = append(found, s.element(e, rest[0], fmt.Sprintf("%s/%s[%d]", at, e.Name, count))...)
			rest = rest[1:]
			count++
		}
		if e.Min != "0" && count == 0 {
			found = append(found, fmt.Sprintf("%s: lacks %s", at, e.Name))
		}
		if e.Max != "unbounded" && count > 1 {
			found = append(found, fmt.Sprintf("%s: has %s %d times", at, e.Name, count))
		}
	}
	if len(rest) > 0 {
		found = append(found, fmt.Sprintf("%s: %s stands where it may not", at, rest[0].Name.Local))
	}
	return found
}

func judgeAttributes(want []xsdAttribute, n node, at string) (found []string) {
	for _, have := range n.Attributes {
		i := slices.IndexFunc(want, func(a xsdAttribute) bool { return a.Name == have.Name.Local })
		if i < 0 {
			found = append(found, fmt.Sprintf("%s: has the attribute %s", at, have.Name.Local))
			continue
		}
		found = append(found, simple(want[i].Type, have.Value, at+"/@"+have.Name.Local)...)
	}
	for _, a := range want {
		if a.Use == "required" && !slices.ContainsFunc(n.Attributes, func(have xml.Attr) bool { return have.Name.Local == a.Name }) {
			found = append(found, fmt.Sprintf("%s: lacks the attribute %s", at, a.Name))
		}
	}
	return found
}

// simple judges a text by its type.
func simple(kind, text, at string) []string {
	var err error
	switch kind {
	case "xs:string":
	case "xs:nonNegativeInteger":
		_, err = strconv.ParseUint(text, 10, 64)
	case "xs:decimal":
		if strings.ContainsAny(text, "eEnNfF") {
			err = errors.New("no decimal number")
		} else {
			_, err = strconv.ParseFloat(text, 64)
		}
	case "xs:dateTime":
		_, err = time.Parse("2006-01-02T15:04:05", strings.TrimSuffix(text, "Z"))
	default:
		err = fmt.Errorf("the test does not know the type %s", kind)
	}
	if err != nil {
		return []string{fmt.Sprintf("%s: %q: %v", at, text, err)}
	}
	return nil
}

func TestJUnitIsAsTheSchemaSays(t *testing.T) {
	s := publishedJUnit(t)
	var b bytes.Buffer
	if err := JUnit(&b, sample()); err != nil {
		t.Fatal(err)
	}
	for _, p := range s.problems(t, b.Bytes()) {
		t.Error(p)
	}
	bent := strings.NewReplacer(
		`name="conformance"`, `name="conformance" colour="red"`, // an attribute nobody knows
		`<testsuite name="a" tests="2"`, `<testsuite name="a" tests="two"`, // no number
		`classname="c.d.1"`, ``, // a missing attribute
		`timestamp="2026-11-03T04:05:06"`, `timestamp="yesterday"`, // in both suites
		`</testsuites>`, `<testcase/></testsuites>`, // a case outside of a suite
	).Replace(b.String())
	if got := s.problems(t, []byte(bent)); len(got) != 6 {
		t.Errorf("%d problems are found in a document with six: %q", len(got), got)
	}
}
