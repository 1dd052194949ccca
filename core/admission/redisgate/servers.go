package redisgate

import (
	"context"
	"sync"

	"github.com/redis/go-redis/v9"
)

// servers numbers the servers of a cluster by their addresses, in the order in which they are met.
type servers struct {
	mu sync.RWMutex
	of map[string]int
}

func (s *servers) number(addr string) int {
	s.mu.RLock()
	n, met := s.of[addr]
	s.mu.RUnlock()
	if met {
		return n
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if n, met = s.of[addr]; met {
		return n
	}
	if s.of == nil {
		s.of = map[string]int{}
	}
	s.of[addr] = len(s.of)
	return len(s.of) - 1
}

// Server numbers the server that a tag lives on at the moment, from 0: calls for tags of one server need not wait for
// another one that does not answer. Without a cluster there is one.
func (g *Gate) Server(tag string) int {
	cluster, ok := g.client.(*redis.ClusterClient)
	if !ok {
		return 0
	}
	// From the client's picture of the cluster, which the first ping has drawn: nothing is sent, and nothing waits.
	node, err := cluster.MasterForKey(context.Background(), keysOf(tag).gate())
	if err != nil {
		return 0
	}
	return g.servers.number(node.Options().Addr)
}
