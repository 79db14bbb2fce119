package cluster

import (
	"cmp"
	"context"
	"fmt"
	"maps"
	"math"
	"net"
	"slices"

	"github.com/twmb/franz-go/pkg/kerr"
)

// Types of the parts of a quota's entity. Source:
// org.apache.kafka.common.quota.ClientQuotaEntity.
const (
	QuotaUser     = "user"
	QuotaClientID = "client-id"
	QuotaIP       = "ip"
)

// A QuotaEntity is whom a quota is for: a name for each type, nil for all that
// have no quota of their own.
type QuotaEntity map[string]*string

// key is the same for the same entity.
func (e QuotaEntity) key() string { return string(mustJSON(e)) } // JSON sorts the types

// A Quota is the limits of an entity.
type Quota struct {
	Entity QuotaEntity        `json:"entity"`
	Values map[string]float64 `json:"values"`
}

// A quotaKind is what values a limit may have.
type quotaKind uint8

const (
	quotaLong quotaKind = 1 + iota
	quotaDouble
	quotaInt
)

// Limits of each type of entity. Source: org.apache.kafka.server.config.QuotaConfig.
var (
	clientQuotas = map[string]quotaKind{
		"producer_byte_rate": quotaLong, "consumer_byte_rate": quotaLong,
		"request_percentage": quotaDouble, "controller_mutation_rate": quotaDouble,
	}
	ipQuotas = map[string]quotaKind{"connection_creation_rate": quotaInt}
)

// A QuotaOp sets a limit, or removes it.
type QuotaOp struct {
	Key   string   `json:"key"`
	Value *float64 `json:"value"` // null: remove
}

// A QuotaAlteration changes the limits of one entity.
type QuotaAlteration struct {
	Entity QuotaEntity `json:"entity"`
	Ops    []QuotaOp   `json:"ops"`
}

type quotaChanges struct {
	Alterations  []QuotaAlteration `json:"alterations"`
	ValidateOnly bool              `json:"validateOnly,omitempty"`
}

// setQuotas changes limits of an entity; null removes one.
type setQuotas struct {
	Entity QuotaEntity         `json:"entity"`
	Values map[string]*float64 `json:"values"`
}

// Quotas are all there are, in one order.
func (i *Image) Quotas() []*Quota {
	return slices.SortedFunc(maps.Values(i.quotas), func(a, b *Quota) int { return cmp.Compare(a.Entity.key(), b.Entity.key()) })
}

func (i *Image) setQuotas(c setQuotas, dirty map[part]struct{}) {
	key := c.Entity.key()
	next := &Quota{Entity: c.Entity, Values: map[string]float64{}}
	if old, ok := i.quotas[key]; ok {
		maps.Copy(next.Values, old.Values)
	}
	for name, value := range c.Values {
		if value == nil {
			delete(next.Values, name)
		} else {
			next.Values[name] = *value
		}
	}
	i.quotas[key] = next
	if len(next.Values) == 0 {
		delete(i.quotas, key)
	}
	dirty[part{quotaParts, key}] = struct{}{}
}

// AlterQuotas changes limits and says of each entity why not.
//
// Errors: NOT_CONTROLLER; of an entity INVALID_REQUEST.
func (m *Metadata) AlterQuotas(ctx context.Context, alterations []QuotaAlteration, validateOnly bool) ([]error, error) {
	out, err := m.change(ctx, change{Quotas: &quotaChanges{alterations, validateOnly}})
	if err != nil {
		return nil, err
	}
	if len(out.Refused) != len(alterations) {
		return nil, fmt.Errorf("%d outcomes for %d alterations of quotas: %w", len(out.Refused), len(alterations), kerr.UnknownServerError)
	}
	errs := make([]error, len(alterations))
	for i, r := range out.Refused {
		if r.Code != 0 {
			errs[i] = remoteError{text: r.Message, cause: kerr.ErrorForCode(r.Code)}
		}
	}
	return errs, nil
}

// decideQuotas decides each alteration. Of those that are refused it says why, in
// the order in which they were asked for.
func decideQuotas(img *Image, asked quotaChanges) ([]command, []refused) {
	var commands []command
	why, seen := make([]refused, len(asked.Alterations)), map[string]bool{}
	for i, a := range asked.Alterations {
		key := a.Entity.key()
		err := checkQuotas(a)
		if err == nil && seen[key] {
			err = told(kerr.InvalidRequest, "Ignoring duplicate entity %s", key)
		}
		seen[key] = true
		if err != nil {
			why[i] = refusedBy(err)
			continue
		}
		if change := quotaDifference(img.quotas[key], a.Ops); len(change) > 0 {
			commands = append(commands, command{SetQuotas: &setQuotas{Entity: a.Entity, Values: change}})
		}
	}
	if asked.ValidateOnly {
		commands = nil
	}
	return commands, why
}

// quotaDifference is what the operations change.
func quotaDifference(before *Quota, ops []QuotaOp) map[string]*float64 {
	change := map[string]*float64{}
	for _, op := range ops {
		var have float64
		var has bool
		if before != nil {
			have, has = before.Values[op.Key]
		}
		if op.Value == nil && has || op.Value != nil && (!has || have != *op.Value) {
			change[op.Key] = op.Value
		}
	}
	return change
}

// checkQuotas judges an alteration. Source:
// org.apache.kafka.controller.ClientQuotaControlManager.
func checkQuotas(a QuotaAlteration) error {
	keys, err := quotaKeys(a.Entity)
	if err != nil {
		return err
	}
	seen := map[string]bool{}
	for _, op := range a.Ops {
		if seen[op.Key] {
			return told(kerr.InvalidRequest, "Duplicate quota key %s not updating quota for this entity %s", op.Key, a.Entity.key())
		}
		seen[op.Key] = true
		if op.Value == nil {
			continue
		}
		if err := checkQuota(op.Key, *op.Value, keys[op.Key]); err != nil {
			return err
		}
	}
	return nil
}

// quotaKeys are the limits that an entity may have. An ip is not looked up by its
// name, as Kafka's is: a decision asks nobody.
func quotaKeys(e QuotaEntity) (map[string]quotaKind, error) {
	for _, typ := range slices.Sorted(maps.Keys(e)) {
		if typ != QuotaUser && typ != QuotaClientID && typ != QuotaIP {
			return nil, told(kerr.InvalidRequest, "Unhandled client quota entity type: %s", typ)
		}
		if name := e[typ]; name != nil && *name == "" {
			return nil, told(kerr.InvalidRequest, "Empty %s not supported", typ)
		}
	}
	ip, hasIP := e[QuotaIP]
	switch {
	case len(e) == 0 || hasIP && len(e) > 1:
		return nil, told(kerr.InvalidRequest, "Invalid empty client quota entity")
	case hasIP && ip != nil && net.ParseIP(*ip) == nil:
		return nil, told(kerr.InvalidRequest, "%s is not a valid IP or resolvable host.", *ip)
	case hasIP:
		return ipQuotas, nil
	}
	return clientQuotas, nil
}

// quotaEpsilon is how far from a whole number a value may be that has to be one.
const quotaEpsilon = 1e-6

func checkQuota(key string, value float64, kind quotaKind) error {
	switch {
	case kind == 0:
		return told(kerr.InvalidRequest, "Invalid configuration key %s", key)
	case value <= 0:
		return told(kerr.InvalidRequest, "Quota %s must be greater than 0", key)
	case kind == quotaLong && value > math.MaxInt64:
		return told(kerr.InvalidRequest, "Proposed value for %s is too large for a LONG.", key)
	case kind == quotaInt && value > math.MaxInt32:
		return told(kerr.InvalidRequest, "Proposed value for %s is too large for an INT.", key)
	case kind != quotaDouble && math.Abs(value-math.Floor(value+quotaEpsilon)) > quotaEpsilon:
		return told(kerr.InvalidRequest, "%s cannot be a fractional value.", key)
	}
	return nil
}
