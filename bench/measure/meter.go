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

// parts are the processes whose work on a claim ends with its answer, and those that go on until it is a row.
func (s *Suite) parts() (front, back map[string]int, err error) {
	pids := map[string]int{}
	for _, server := range []string{"redis", "kafka", "mysql"} {
		if pids[server], err = s.World.Server(server); err != nil {
			return nil, nil, err
		}
	}
	return map[string]int{"api": s.api.PID(), "redis": pids["redis"]},
		map[string]int{"consumer": s.consumer.PID(), "kafka": pids["kafka"], "mysql": pids["mysql"]}, nil
}
