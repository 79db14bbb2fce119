package conformance

import (
	"context"
	"errors"
	"fmt"
	"net"
	"slices"
	"strconv"

	"github.com/twmb/franz-go/pkg/kmsg"
)

// ErrRemote says that a target is not on this machine and was not allowed.
var ErrRemote = errors.New("target is not a loopback address")

// versions is the range of one request key.
type versions struct{ min, max int16 }

// A cluster is what one look at the target told. It never changes.
type cluster struct {
	apis     map[int16]versions
	features map[string]int16 // finalized levels
	brokers  map[int32]string // node id -> host:port
	id       string
	guess    string
}

// Target is what a report says of the broker it judged.
type Target struct {
	Addresses []string         `json:"addresses"`
	ClusterID string           `json:"cluster_id"`
	Brokers   int              `json:"brokers"`
	Speaks    string           `json:"speaks"`   // guessed from ApiVersions, such as "v4.1"
	Features  map[string]int16 `json:"features"` // finalized features
}

// openCluster asks the first address that answers for its versions and for
// the brokers of the cluster.
func openCluster(ctx context.Context, config Config) (*cluster, error) {
	if len(config.Brokers) == 0 {
		return nil, errors.New("no broker address given")
	}
	for _, addr := range config.Brokers {
		if err := allowed(ctx, addr, config.AllowRemote); err != nil {
			return nil, err
		}
	}
	var failures []error
	for _, addr := range config.Brokers {
		c, err := look(ctx, addr)
		if err != nil {
			failures = append(failures, fmt.Errorf("%s: %w", addr, err))
			continue
		}
		for _, advertised := range c.brokers {
			if err := allowed(ctx, advertised, config.AllowRemote); err != nil {
				return nil, fmt.Errorf("advertised by %s: %w", addr, err)
			}
		}
		return c, nil
	}
	return nil, errors.Join(failures...)
}

// allowed refuses an address that leaves this machine, unless remote is set.
func allowed(ctx context.Context, addr string, remote bool) error {
	if remote {
		_, _, err := net.SplitHostPort(addr)
		return err
	}
	return Local(ctx, addr)
}

// Local refuses, with ErrRemote, a host:port that is not on this machine.
func Local(ctx context.Context, addr string) error {
	host, _, err := net.SplitHostPort(addr)
	if err != nil {
		return err
	}
	ips, err := net.DefaultResolver.LookupIPAddr(ctx, host)
	if err != nil {
		return err
	}
	for _, ip := range ips {
		if !ip.IP.IsLoopback() {
			return fmt.Errorf("%s is %s: %w", addr, ip.IP, ErrRemote)
		}
	}
	return nil
}

// look reads ApiVersions and Metadata of one broker.
func look(ctx context.Context, addr string) (*cluster, error) {
	nc, err := dial(ctx, nil, addr)
	if err != nil {
		return nil, err
	}
	defer nc.close()
	c := &cluster{apis: map[int16]versions{}, features: map[string]int16{}, brokers: map[int32]string{}}
	resp, err := apiVersions(nc)
	if err != nil {
		return nil, err
	}
	for _, k := range resp.ApiKeys {
		c.apis[k.ApiKey] = versions{k.MinVersion, k.MaxVersion}
	}
	for _, f := range resp.FinalizedFeatures {
		c.features[f.Name] = f.MaxVersionLevel
	}
	c.guess = FirstRelease(resp)
	req := kmsg.NewPtrMetadataRequest()
	req.Version = c.newest(req, -1)
	req.Topics = []kmsg.MetadataRequestTopic{}
	meta, err := nc.metadata(req)
	if err != nil {
		return nil, err
	}
	for _, b := range meta.Brokers {
		c.brokers[b.NodeID] = net.JoinHostPort(b.Host, strconv.Itoa(int(b.Port)))
	}
	if len(c.brokers) == 0 {
		return nil, errors.New("metadata lists no broker")
	}
	if meta.ClusterID != nil {
		c.id = *meta.ClusterID
	}
	return c, nil
}

// metadata asks for Metadata, and takes an answer with bytes left over, too: of a
// broker that adds some nothing else could be judged. protocol/sweep/1 tells of them.
func (c *conn) metadata(req *kmsg.MetadataRequest) (*kmsg.MetadataResponse, error) {
	resp, err := c.request(req)
	if err != nil && !errors.Is(err, errLeftOver) {
		return nil, err
	}
	return resp.(*kmsg.MetadataResponse), nil
}

// apiVersions asks at version 3, and at 0 when that is refused.
func apiVersions(nc *conn) (*kmsg.ApiVersionsResponse, error) {
	for _, version := range []int16{3, 0} {
		req := kmsg.NewPtrApiVersionsRequest()
		req.Version = version
		req.ClientSoftwareName, req.ClientSoftwareVersion = "oncelog-conformance", Version
		correlation, err := nc.send(req)
		if err != nil {
			return nil, err
		}
		frame, err := nc.readFrame()
		if err != nil {
			return nil, err
		}
		if len(frame) >= 6 && frame[4] == 0 && frame[5] == byte(codeUnsupportedVersion) {
			continue
		}
		resp, err := decode(req, correlation, frame)
		if err != nil {
			return nil, err
		}
		return resp.(*kmsg.ApiVersionsResponse), nil
	}
	return nil, errors.New("the broker refuses ApiVersions 3 and 0")
}

// newest is the highest version of req that the broker, this library and the
// cap all know; a negative cap is none.
func (c *cluster) newest(req kmsg.Request, limit int16) int16 {
	v := min(c.apis[req.Key()].max, req.MaxVersion())
	if limit >= 0 {
		v = min(v, limit)
	}
	return v
}

// offers says that the target has a request at all.
func (c *cluster) offers(key int16) bool {
	_, ok := c.apis[key]
	return ok
}

// missing names the first need the target does not meet, or returns "".
func (c *cluster) missing(needs []Need) string {
	for _, n := range needs {
		switch {
		case n.Brokers > 0:
			if len(c.brokers) < n.Brokers {
				return fmt.Sprintf("needs %s, has %d", n, len(c.brokers))
			}
		case n.Feature != "":
			if c.features[n.Feature] < n.Level {
				return fmt.Sprintf("needs %s, has %d", n, c.features[n.Feature])
			}
		default:
			if !c.offers(n.Key) || c.apis[n.Key].max < n.Version {
				return fmt.Sprintf("needs %s, which is not offered", n)
			}
		}
	}
	return ""
}

// nodes lists the node ids in order.
func (c *cluster) nodes() []int32 {
	ids := make([]int32, 0, len(c.brokers))
	for id := range c.brokers {
		ids = append(ids, id)
	}
	slices.Sort(ids)
	return ids
}

// seeds lists the advertised addresses.
func (c *cluster) seeds() []string {
	var all []string
	for _, id := range c.nodes() {
		all = append(all, c.brokers[id])
	}
	return all
}

func (c *cluster) target(addresses []string) Target {
	return Target{Addresses: addresses, ClusterID: c.id, Brokers: len(c.brokers), Speaks: c.guess, Features: c.features}
}
