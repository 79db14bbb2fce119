package cluster

import (
	"math"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

func TestDecideQuotas(t *testing.T) {
	name, ip, empty := "c1", "127.0.0.1", ""
	client, number := QuotaEntity{QuotaClientID: &name}, func(f float64) *float64 { return &f }
	one := func(e QuotaEntity, ops ...QuotaOp) []QuotaAlteration { return []QuotaAlteration{{e, ops}} }
	img := state(command{SetQuotas: &setQuotas{client, map[string]*float64{"producer_byte_rate": number(5), "request_percentage": number(1)}}})
	for _, tt := range []struct {
		rule   string
		asked  []QuotaAlteration
		refuse string             // in the message of the last; "": none
		want   map[string]float64 // of client afterwards
	}{
		{"a limit is set", one(client, QuotaOp{"consumer_byte_rate", number(7)}), "", map[string]float64{"producer_byte_rate": 5, "request_percentage": 1, "consumer_byte_rate": 7}},
		{"a limit is removed, one that is not there too", one(client, QuotaOp{"producer_byte_rate", nil}, QuotaOp{"other", nil}), "", map[string]float64{"request_percentage": 1}},
		{"the last limit takes the entity off", one(client, QuotaOp{"producer_byte_rate", nil}, QuotaOp{"request_percentage", nil}), "", nil},
		{"nobody", one(QuotaEntity{}, QuotaOp{"producer_byte_rate", number(1)}), "Invalid empty client quota entity", nil},
		{"an ip beside a client", one(QuotaEntity{QuotaClientID: &name, QuotaIP: nil}), "Invalid empty client quota entity", nil},
		{"an ip by a name", one(QuotaEntity{QuotaIP: &name}), "c1 is not a valid IP or resolvable host.", nil},
		{"an ip has other limits", one(QuotaEntity{QuotaIP: &ip}, QuotaOp{"producer_byte_rate", number(1)}), "Invalid configuration key producer_byte_rate", nil},
		{"another type", one(QuotaEntity{"group": &name}), "Unhandled client quota entity type: group", nil},
		{"an empty name", one(QuotaEntity{QuotaUser: &empty}), "Empty user not supported", nil},
		{"a key twice", one(client, QuotaOp{"producer_byte_rate", number(1)}, QuotaOp{"producer_byte_rate", nil}), "Duplicate quota key", nil},
		{"an entity twice", append(one(client), one(client)...), "Ignoring duplicate entity", nil},
		{"zero", one(client, QuotaOp{"producer_byte_rate", number(0)}), "must be greater than 0", nil},
		{"a fraction", one(client, QuotaOp{"producer_byte_rate", number(1000.5)}), "producer_byte_rate cannot be a fractional value.", nil},
		{"a fraction of a percentage", one(client, QuotaOp{"request_percentage", number(12.5)}), "", map[string]float64{"producer_byte_rate": 5, "request_percentage": 12.5}},
		{"beyond a long", one(client, QuotaOp{"producer_byte_rate", number(1e30)}), "too large for a LONG.", nil},
		{"beyond an int", one(QuotaEntity{QuotaIP: nil}, QuotaOp{"connection_creation_rate", number(math.MaxInt32 + 1)}), "too large for an INT.", nil},
	} {
		t.Run(tt.rule, func(t *testing.T) {
			img := img.clone()
			commands, why := decideQuotas(img, quotaChanges{Alterations: tt.asked})
			last := why[len(why)-1]
			if (last.Code != 0) != (tt.refuse != "") || !strings.Contains(last.Message, tt.refuse) {
				t.Errorf("refused with %d %q, want %q", last.Code, last.Message, tt.refuse)
			}
			if tt.refuse != "" {
				return
			}
			for _, c := range commands {
				img.apply(c, 9, map[part]struct{}{})
			}
			var got map[string]float64
			for _, q := range img.Quotas() {
				got = q.Values
			}
			if diff := cmp.Diff(tt.want, got); diff != "" {
				t.Error(diff)
			}
			if dry, _ := decideQuotas(img, quotaChanges{Alterations: tt.asked, ValidateOnly: true}); len(dry) > 0 {
				t.Errorf("validating changes %v", dry)
			}
		})
	}
}

func TestFeatureUpdates(t *testing.T) {
	for _, tt := range []struct {
		rule   string
		update FeatureUpdate
		want   string // in Kafka's message; "": it is made
	}{
		{"the level it has", FeatureUpdate{TransactionVersion, 2, Upgrade}, ""},
		{"down safely", FeatureUpdate{TransactionVersion, 1, SafeDowngrade}, ""},
		{"off", FeatureUpdate{TransactionVersion, 0, UnsafeDowngrade}, ""},
		{"down as an upgrade", FeatureUpdate{TransactionVersion, 1, Upgrade}, "Invalid update version 1 for feature transaction.version. Can't downgrade the version"},
		{"up as a downgrade", FeatureUpdate{MetadataVersion, 30, SafeDowngrade}, ""},
		{"above what there is", FeatureUpdate{TransactionVersion, 3, Upgrade}, "Local controller 7 only supports versions 0-2"},
		{"below what there is", FeatureUpdate{MetadataVersion, 0, SafeDowngrade}, "Local controller 7 only supports versions 7-30"},
		{"unknown", FeatureUpdate{"no.such", 1, Upgrade}, "Local controller 7 does not support this feature."},
		{"unknown, off", FeatureUpdate{"no.such", 0, SafeDowngrade}, "Feature no.such not found."},
		{"negative", FeatureUpdate{TransactionVersion, -1, SafeDowngrade}, "cannot be less than 0"},
		{"of no type", FeatureUpdate{TransactionVersion, 1, 0}, "does not support the given upgrade type"},
		{"metadata.version down", FeatureUpdate{MetadataVersion, 29, SafeDowngrade}, "Unsupported metadata.version downgrade from 30 to 29. Refusing"},
		{"metadata.version down by force", FeatureUpdate{MetadataVersion, 29, UnsafeDowngrade}, "Unsafe metadata downgrade is not supported"},
	} {
		both := featureUpdates{Updates: []FeatureUpdate{{TransactionVersion, 1, SafeDowngrade}, tt.update}}
		commands, err := decideUpdates(small(), both, 7)
		if tt.want == "" && (err != nil || len(commands) == 0) || tt.want != "" && (err == nil || len(commands) > 0 || !strings.Contains(err.Error(), tt.want)) {
			t.Errorf("%s: %d commands, %v; want %q", tt.rule, len(commands), err, tt.want)
		}
		both.ValidateOnly = true
		if commands, _ := decideUpdates(small(), both, 7); len(commands) > 0 {
			t.Errorf("%s: validating changes %v", tt.rule, commands)
		}
	}
	down := small()
	down.finalize(TransactionVersion, 1)
	if _, err := decideUpdates(down, featureUpdates{Updates: []FeatureUpdate{{TransactionVersion, 2, SafeDowngrade}}}, 7); err == nil || !strings.Contains(err.Error(), "Can't downgrade to a newer version.") {
		t.Errorf("up as a downgrade: %v", err)
	}
}
