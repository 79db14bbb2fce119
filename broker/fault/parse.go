package fault

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"unicode/utf8"
)

// Bounds of what is read.
const (
	MaxRule  = 4 << 10 // bytes of one line
	MaxFile  = 1 << 20 // bytes of a file of rules
	MaxRules = 256     // in a Set, and in a file
)

var errValue = errors.New("no such value")

// Parse reads a rule from one line: an act, then key=value in any order. A value
// with spaces stands in double quotes.
func Parse(line string) (Rule, error) {
	if err := checkLine(line); err != nil {
		return Rule{}, err
	}
	act, rest, _ := strings.Cut(strings.TrimSpace(line), " ")
	pairs, err := pairsOf(rest)
	if err != nil {
		return Rule{}, err
	}
	return build(act, pairs)
}

// ParseMatch reads only what events must be like, such as "api=Produce topic=orders".
func ParseMatch(line string) (Match, error) {
	if err := checkLine(line); err != nil {
		return Match{}, err
	}
	pairs, err := pairsOf(line)
	if err != nil {
		return Match{}, err
	}
	for _, p := range pairs {
		if !slices.Contains(matching, p[0]) {
			return Match{}, fmt.Errorf("key %q, want one of %s", shorten(p[0]), strings.Join(matching, ", "))
		}
	}
	r, err := build(string(Drop), pairs)
	return r.Match, err
}

func checkLine(line string) error {
	if len(line) > MaxRule {
		return fmt.Errorf("a rule of %d bytes, want at most %d", len(line), MaxRule)
	}
	if !utf8.ValidString(line) {
		return errors.New("a rule that is not UTF-8")
	}
	return nil
}

// pairsOf cuts a line into its keys and values.
func pairsOf(rest string) (pairs [][2]string, err error) {
	for rest = strings.TrimSpace(rest); rest != ""; rest = strings.TrimSpace(rest) {
		name, value, found := strings.Cut(rest, "=")
		if !found || strings.ContainsAny(name, " \t\"") {
			return nil, fmt.Errorf("%q in a rule, want key=value", shorten(rest))
		}
		if value, rest, err = valueOf(value); err != nil {
			return nil, fmt.Errorf("%s=%w", name, err)
		}
		pairs = append(pairs, [2]string{name, value})
	}
	return pairs, nil
}

// valueOf cuts a value, which may be quoted, off what follows it.
func valueOf(s string) (value, rest string, err error) {
	if !strings.HasPrefix(s, `"`) {
		end := strings.IndexAny(s, " \t")
		if end < 0 {
			end = len(s)
		}
		return s[:end], s[end:], nil
	}
	quoted, err := strconv.QuotedPrefix(s)
	if err != nil {
		return "", "", fmt.Errorf("%s: the quote does not end, or holds what is no character", shorten(s))
	}
	rest = s[len(quoted):]
	if rest != "" && rest[0] != ' ' && rest[0] != '\t' {
		return "", "", fmt.Errorf("%s is followed by %q, want a space", shorten(quoted), shorten(rest))
	}
	value, err = strconv.Unquote(quoted)
	return value, rest, err
}

// ParseFile reads rules: one a line, with empty lines and those that begin with #
// passed over, or one JSON array of objects such as
// {"act": "drop", "api": "Produce", "nth": 2}.
func ParseFile(content []byte) ([]Rule, error) {
	if len(content) > MaxFile {
		return nil, fmt.Errorf("a file of %d bytes, want at most %d", len(content), MaxFile)
	}
	if trimmed := bytes.TrimSpace(content); bytes.HasPrefix(trimmed, []byte("[")) {
		return parseJSON(trimmed)
	}
	var rules []Rule
	number := 0
	for line := range strings.Lines(string(content)) {
		number++
		if line = strings.TrimSpace(line); line == "" || line[0] == '#' {
			continue
		}
		r, err := Parse(line)
		if err != nil {
			return nil, fmt.Errorf("line %d: %w", number, err)
		}
		if rules = append(rules, r); len(rules) > MaxRules {
			return nil, fmt.Errorf("line %d: more than %d rules", number, MaxRules)
		}
	}
	return rules, nil
}

func parseJSON(content []byte) ([]Rule, error) {
	var objects []map[string]any
	d := json.NewDecoder(bytes.NewReader(content))
	d.UseNumber()
	if err := d.Decode(&objects); err != nil {
		return nil, fmt.Errorf("rules in JSON, want an array of objects: %w", err)
	}
	if d.More() {
		return nil, errors.New("rules in JSON: something follows the array")
	}
	if len(objects) > MaxRules {
		return nil, fmt.Errorf("%d rules, want at most %d", len(objects), MaxRules)
	}
	rules := make([]Rule, 0, len(objects))
	for i, o := range objects {
		r, err := parseObject(o)
		if err != nil {
			return nil, fmt.Errorf("rule %d: %w", i+1, err)
		}
		rules = append(rules, r)
	}
	return rules, nil
}

func parseObject(o map[string]any) (Rule, error) {
	act := ""
	var pairs [][2]string
	for name, value := range o {
		switch v := value.(type) {
		case string:
			if name == "act" {
				act = v
				continue
			}
			pairs = append(pairs, [2]string{name, v})
		case json.Number:
			pairs = append(pairs, [2]string{name, v.String()})
		default:
			return Rule{}, fmt.Errorf("%q is %v, want a string or a number", shorten(name), value)
		}
	}
	// In one order, so that of several mistakes the same one is told.
	slices.SortFunc(pairs, func(a, b [2]string) int { return strings.Compare(a[0], b[0]) })
	return build(act, pairs)
}

// build makes a rule of its parts, with defaults for what is not said.
func build(name string, pairs [][2]string) (Rule, error) {
	act, err := actOf(name)
	if err != nil {
		return Rule{}, err
	}
	r := Rule{Act: act, Nth: 1, Times: 1, Per: "all", Behind: 1, At: "request", Then: "close"}
	given := map[string]bool{}
	for _, p := range pairs {
		if given[p[0]] {
			return Rule{}, fmt.Errorf("%s is given twice", p[0])
		}
		given[p[0]] = true
		if err := r.set(p[0], p[1]); err != nil {
			return Rule{}, err
		}
	}
	if r.Chance > 0 && !given["times"] {
		r.Times = 0
	}
	return r, r.complete(given)
}

func (r *Rule) set(name, value string) error {
	at := slices.IndexFunc(keys[:], func(k key) bool { return k.name == name })
	if at < 0 {
		return fmt.Errorf("key %q, want one of %s", shorten(name), strings.Join(r.may(), ", "))
	}
	k := &keys[at]
	if !k.anywhere && !slices.Contains(kinds[r.Act].keys, name) {
		return fmt.Errorf("%s says nothing to %s, want one of %s", name, r.Act, strings.Join(r.may(), ", "))
	}
	if len(value) > MaxRule || k.set(r, value) != nil {
		return fmt.Errorf("%s=%s, want %s", name, strconv.Quote(shorten(value)), k.want)
	}
	return nil
}

// may lists the keys that the act has.
func (r *Rule) may() (names []string) {
	for _, k := range keys {
		if k.anywhere || slices.Contains(kinds[r.Act].keys, k.name) {
			names = append(names, k.name)
		}
	}
	return names
}

// complete asks for what has no default.
func (r *Rule) complete(given map[string]bool) error {
	switch {
	case r.Act == Error && !given["code"]:
		return errors.New("error wants code=, such as code=NOT_LEADER_OR_FOLLOWER")
	case r.Act == Delay && r.For == 0:
		return errors.New("delay wants for=, such as for=2s")
	case r.Act == Reorder && r.For == 0:
		r.For = defaultReorder
	case r.Act == Clock && r.By == 0:
		return errors.New("clock wants by=, such as by=60s")
	case given["seed"] && !given["chance"]:
		return errors.New("seed says nothing without chance=, such as chance=0.1")
	}
	return nil
}
