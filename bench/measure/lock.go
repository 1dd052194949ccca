package measure

import (
	"context"
	"errors"
	"fmt"
	"path/filepath"
	"slices"
	"strconv"
	"time"

	"github.com/firstcome/firstcome/bench/crowd"
	"github.com/firstcome/firstcome/bench/strategies"
	"github.com/firstcome/firstcome/bench/world"
)

// lockWay is the laboratory's way that firstcome is compared with.
const lockWay = "Redis lock"

// lockUsers are few: it serves some hundred claims a second.
const lockUsers = 1_000

// lock has users ask the laboratory's Redis lock, in as many processes as there, over the first number of connections.
func (s *Suite) lock(ctx context.Context) (err error) {
	ways := strategies.Ways()
	at := slices.IndexFunc(ways, func(w strategies.Way) bool { return w.Name == lockWay })
	if at < 0 {
		return fmt.Errorf("the laboratory has no way %q", lockWay)
	}
	id := time.Now().UnixMicro()
	if err = s.World.LabCoupon(ctx, strategies.Schema, id, lockUsers); err != nil {
		return err
	}
	plan := s.claims(id, "l", lockUsers)
	plan.Targets, plan.Connections, plan.Expect = nil, connectionCounts()[0], crowd.Any202
	for range ways[at].Processes {
		var way *world.Role
		way, err = s.World.Serve(ctx, "lab", filepath.Join(s.World.Bin, "lab"), "serve", "-way", lockWay,
			"-coupon", strconv.FormatInt(id, 10), "-places", strconv.Itoa(lockUsers))
		if err != nil {
			return err
		}
		defer func() { err = errors.Join(err, way.Stop(ctx)) }()
		plan.Targets = append(plan.Targets, way.Addr)
	}
	_, sample, err := s.load(ctx, nil, plan)
	if err != nil {
		return err
	}
	rows, err := s.World.LabRows(ctx, id)
	if err != nil {
		return err
	}
	if rows != lockUsers {
		return fmt.Errorf("wrong outcome: %d rows of %d places under the lock", rows, lockUsers)
	}
	s.Report.Add("lock", "claims under the Redis lock of the laboratory, 64 connections", perSecond, sample)
	return nil
}
