package broker

import (
	"context"
	"math"

	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kmsg"

	"github.com/oncelog/oncelog/protocol"
	"github.com/oncelog/oncelog/replication/cluster"
)

// AlterClientQuotas: v0-1
//
//   - Entities are answered each for itself; what is not refused is changed.
//
// Versions: v1 flexible.
func (b *Broker) alterClientQuotas(ctx context.Context, req *kmsg.AlterClientQuotasRequest, resp *kmsg.AlterClientQuotasResponse) error {
	asked, err := quotaAlterations(req)
	errs := make([]error, len(req.Entries))
	if err == nil {
		errs, err = b.metadata.AlterQuotas(ctx, asked, req.ValidateOnly)
		b.logUnexpected("quotas were not altered", err)
	}
	for i, entry := range req.Entries {
		why := err
		if err == nil {
			why = errs[i]
		}
		answer := kmsg.NewAlterClientQuotasResponseEntry()
		answer.ErrorCode, answer.ErrorMessage = protocol.Code(why), protocol.Message(why)
		for _, part := range entry.Entity {
			one := kmsg.NewAlterClientQuotasResponseEntryEntity()
			one.Type, one.Name = part.Type, part.Name
			answer.Entity = append(answer.Entity, one)
		}
		resp.Entries = append(resp.Entries, answer)
	}
	return nil
}

// quotaAlterations is what is asked for, as the metadata takes it.
//
// Errors: INVALID_REQUEST.
func quotaAlterations(req *kmsg.AlterClientQuotasRequest) ([]cluster.QuotaAlteration, error) {
	asked := make([]cluster.QuotaAlteration, len(req.Entries))
	for i, entry := range req.Entries {
		asked[i].Entity = cluster.QuotaEntity{}
		for _, part := range entry.Entity {
			if _, twice := asked[i].Entity[part.Type]; twice {
				return nil, refuse(kerr.InvalidRequest, "Invalid client quota entity, %s is named twice", part.Type)
			}
			asked[i].Entity[part.Type] = part.Name
		}
		for _, op := range entry.Ops {
			one := cluster.QuotaOp{Key: op.Key}
			switch {
			case op.Remove:
			case math.IsNaN(op.Value) || math.IsInf(op.Value, 0): // Kafka takes them: they limit nothing
				return nil, refuse(kerr.InvalidRequest, "Quota %s must be a number, not %v", op.Key, op.Value)
			default:
				one.Value = &op.Value
			}
			asked[i].Ops = append(asked[i].Ops, one)
		}
	}
	return asked, nil
}
