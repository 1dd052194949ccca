package strategies

import (
	"context"
	"sync"
)

// mutex lets one claim at a time through, in this process.
type mutex struct {
	noControl
	mu sync.Mutex
}

func (s *mutex) Claim(ctx context.Context, user string) (Answer, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.noControl.Claim(ctx, user)
}
