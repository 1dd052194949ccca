package measure

import (
	"time"

	"github.com/firstcome/firstcome/bench/world"
)

// meter counts the processor time of some processes.
type meter struct {
	pids   map[string]int
	before map[string]time.Duration
}

func startMeter(pids map[string]int) (*meter, error) {
	m := &meter{pids: pids, before: map[string]time.Duration{}}
	for part, pid := range pids {
		used, err := world.ProcessorTime(pid)
		if err != nil {
			return nil, err
		}
		m.before[part] = used
	}
	return m, nil
}

// stopInto adds the processor time since the start, in microseconds for each of so many requests.
func (m *meter) stopInto(used map[string]float64, requests int) error {
	for part, pid := range m.pids {
		now, err := world.ProcessorTime(pid)
		if err != nil {
			return err
		}
		used[part] = float64((now - m.before[part]).Microseconds()) / float64(requests)
	}
	return nil
}

// parts are the processes of these names: api and consumer are roles, the others servers.
func (s *Suite) parts(names ...string) (map[string]int, error) {
	pids := map[string]int{}
	for _, name := range names {
		switch name {
		case "api":
			pids[name] = s.api.PID()
		case "consumer":
			pids[name] = s.consumer.PID()
		default:
			pid, err := s.World.Server(name)
			if err != nil {
				return nil, err
			}
			pids[name] = pid
		}
	}
	return pids, nil
}
