package broker

import (
	"context"
	"slices"
	"strconv"

	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kmsg"
)

// listedResources are the types of resources that may be listed, in the order
// of their numbers (KIP-1142).
var listedResources = []int8{
	int8(kmsg.ConfigResourceTypeTopic), int8(kmsg.ConfigResourceTypeBroker), int8(kmsg.ConfigResourceTypeBrokerLogger),
	int8(kmsg.ConfigResourceTypeClientMetrics), int8(kmsg.ConfigResourceTypeGroupConfig),
}

// ListConfigResources: v0-1
//
//   - Topics and brokers have configs; client metrics and groups have none here,
//     so none are listed.
//   - v0 asks for client metrics; an empty list asks for all types.
//
// Errors: UNSUPPORTED_VERSION for a type that nobody knows. Versions: v1 types
// (KIP-1142). Source: KafkaApis.handleListConfigResources.
func (b *Broker) listConfigResources(_ context.Context, req *kmsg.ListConfigResourcesRequest, resp *kmsg.ListConfigResourcesResponse) error {
	types := req.ResourceTypes
	switch {
	case req.Version == 0:
		types = []int8{int8(kmsg.ConfigResourceTypeClientMetrics)}
	case len(types) == 0:
		types = listedResources
	}
	for _, asked := range types {
		if !slices.Contains(listedResources, asked) {
			return kerr.UnsupportedVersion
		}
	}
	for _, asked := range listedResources {
		if !slices.Contains(types, asked) {
			continue
		}
		for _, name := range b.configResources(kmsg.ConfigResourceType(asked)) {
			one := kmsg.NewListConfigResourcesResponseConfigResource()
			one.Name, one.Type = name, asked
			resp.ConfigResources = append(resp.ConfigResources, one)
		}
	}
	return nil
}

// configResources names all resources of one type.
func (b *Broker) configResources(of kmsg.ConfigResourceType) (names []string) {
	switch of {
	case kmsg.ConfigResourceTypeTopic:
		for _, t := range b.image().Topics() {
			names = append(names, t.Name)
		}
	case kmsg.ConfigResourceTypeBroker, kmsg.ConfigResourceTypeBrokerLogger:
		for _, known := range b.image().Brokers() {
			names = append(names, strconv.Itoa(int(known.ID)))
		}
	}
	return names
}
