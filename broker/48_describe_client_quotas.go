package broker

import (
	"context"
	"maps"
	"slices"

	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kmsg"

	"github.com/oncelog/oncelog/replication/cluster"
)

// DescribeClientQuotas: v0-1
//
//   - Answers the quotas of the entities that all components of the filter match;
//     a strict filter also wants that they have no other types.
//   - No component and not strict: all there are.
//
// Versions: v1 flexible. Source: org.apache.kafka.image.ClientQuotasImage.describe.
func (b *Broker) describeClientQuotas(_ context.Context, req *kmsg.DescribeClientQuotasRequest, resp *kmsg.DescribeClientQuotasResponse) error {
	if err := checkQuotaFilter(req.Components); err != nil {
		return err
	}
	resp.Entries = []kmsg.DescribeClientQuotasResponseEntry{} // not null, which says that there was an error
	for _, q := range b.image().Quotas() {
		if !quotaMatches(q.Entity, req.Components, req.Strict) {
			continue
		}
		entry := kmsg.NewDescribeClientQuotasResponseEntry()
		for _, typ := range slices.Sorted(maps.Keys(q.Entity)) {
			part := kmsg.NewDescribeClientQuotasResponseEntryEntity()
			part.Type, part.Name = typ, q.Entity[typ]
			entry.Entity = append(entry.Entity, part)
		}
		for _, key := range slices.Sorted(maps.Keys(q.Values)) {
			value := kmsg.NewDescribeClientQuotasResponseEntryValue()
			value.Key, value.Value = key, q.Values[key]
			entry.Values = append(entry.Values, value)
		}
		resp.Entries = append(resp.Entries, entry)
	}
	return nil
}

// checkQuotaFilter judges the components of a filter.
//
// Errors: INVALID_REQUEST, UNSUPPORTED_VERSION for a type that there is not.
func checkQuotaFilter(components []kmsg.DescribeClientQuotasRequestComponent) error {
	seen := map[string]bool{}
	for _, c := range components {
		switch {
		case c.EntityType == "":
			return refuse(kerr.InvalidRequest, "Invalid empty entity type.")
		case seen[c.EntityType]:
			return refuse(kerr.InvalidRequest, "Entity type %s cannot appear more than once in the filter.", c.EntityType)
		case !slices.Contains([]string{cluster.QuotaUser, cluster.QuotaClientID, cluster.QuotaIP}, c.EntityType):
			return refuse(kerr.UnsupportedVersion, "Unsupported entity type %s", c.EntityType)
		}
		seen[c.EntityType] = true
		switch c.MatchType {
		case kmsg.QuotasMatchTypeExact:
			if c.Match == nil {
				return refuse(kerr.InvalidRequest, "Request specified MATCH_TYPE_EXACT, but set match string to null.")
			}
		case kmsg.QuotasMatchTypeDefault, kmsg.QuotasMatchTypeAny:
			if c.Match != nil {
				name := map[kmsg.QuotasMatchType]string{kmsg.QuotasMatchTypeDefault: "DEFAULT", kmsg.QuotasMatchTypeAny: "SPECIFIED"}[c.MatchType]
				return refuse(kerr.InvalidRequest, "Request specified MATCH_TYPE_%s, but also specified a match string.", name)
			}
		default:
			return refuse(kerr.InvalidRequest, "Unknown match type %d", c.MatchType)
		}
	}
	if seen[cluster.QuotaIP] && len(seen) > 1 {
		return refuse(kerr.InvalidRequest, "Invalid entity filter component combination. IP filter component should not be used with user or clientId filter component.")
	}
	return nil
}

// quotaMatches says whether an entity has all that the components ask for.
func quotaMatches(entity cluster.QuotaEntity, components []kmsg.DescribeClientQuotasRequestComponent, strict bool) bool {
	if strict && len(entity) != len(components) {
		return false
	}
	for _, c := range components {
		name, ok := entity[c.EntityType]
		switch {
		case !ok:
			return false
		case c.MatchType == kmsg.QuotasMatchTypeDefault && name != nil:
			return false
		case c.MatchType == kmsg.QuotasMatchTypeExact && (name == nil || *name != *c.Match):
			return false
		}
	}
	return true
}
