package broker

import (
	"context"
	"maps"
	"regexp"
	"slices"

	"github.com/oncelog/oncelog/protocol"
	"github.com/oncelog/oncelog/replication/cluster"
	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kmsg"
)

// clientSoftware is what a client's name and version must look like. Source:
// ApiVersionsRequest.
var clientSoftware = regexp.MustCompile(`^[a-zA-Z0-9](?:[a-zA-Z0-9\-.]*[a-zA-Z0-9])?$`)

// apiVersions: v0-5
//
//   - The table itself is the answer; an unknown version is answered in v0 with
//     UNSUPPORTED_VERSION by the table.
//   - A client that expects another cluster or node is told to bootstrap again.
//
// Versions: v3 client software (KIP-511) and features (KIP-584); v4 features whose lowest level is 0 (KAFKA-17011); v5 cluster and node id (KIP-1242).
func (b *Broker) apiVersions(ctx context.Context, req *kmsg.ApiVersionsRequest, resp *kmsg.ApiVersionsResponse) error {
	if req.Version >= 3 {
		if !clientSoftware.MatchString(req.ClientSoftwareName) || !clientSoftware.MatchString(req.ClientSoftwareVersion) {
			return refuse(kerr.InvalidRequest, "client software name %q, version %q", req.ClientSoftwareName, req.ClientSoftwareVersion)
		}
		if conn := protocol.RequestFrom(ctx).Conn; conn != nil {
			conn.SetSoftware(protocol.Software{Name: req.ClientSoftwareName, Version: req.ClientSoftwareVersion})
		}
	}
	image := b.image()
	otherCluster := req.ClusterID != nil && *req.ClusterID != image.ClusterID
	if otherCluster || req.NodeID >= 0 && req.Version >= 5 && req.NodeID != b.nodeID() {
		return kerr.RebootstrapRequired
	}
	resp.ApiKeys = b.table.ApiVersions()
	supported := cluster.SupportedFeatures()
	for _, name := range slices.Sorted(maps.Keys(supported)) {
		levels := supported[name]
		if levels.Min == 0 && req.Version < 4 {
			continue
		}
		f := kmsg.NewApiVersionsResponseSupportedFeature()
		f.Name, f.MinVersion, f.MaxVersion = name, levels.Min, levels.Max
		resp.SupportedFeatures = append(resp.SupportedFeatures, f)
	}
	resp.FinalizedFeaturesEpoch = image.FeaturesEpoch()
	finalized := image.Features()
	for _, name := range slices.Sorted(maps.Keys(finalized)) {
		f := kmsg.NewApiVersionsResponseFinalizedFeature()
		f.Name, f.MinVersionLevel, f.MaxVersionLevel = name, finalized[name], finalized[name]
		resp.FinalizedFeatures = append(resp.FinalizedFeatures, f)
	}
	return nil
}
