package measure

import (
	"time"

	"github.com/firstcome/firstcome/bench/crowd"
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

// stop is the processor time since the start in microseconds a request, the generator's beside it.
func (m *meter) stop(o crowd.Outcome) (map[string]float64, error) {
	used := map[string]float64{"generator": o.Processor * 1e6 / float64(o.Answered)}
	return used, m.stopInto(used, o)
}

func (m *meter) stopInto(used map[string]float64, o crowd.Outcome) error {
	for part, pid := range m.pids {
		now, err := world.ProcessorTime(pid)
		if err != nil {
			return err
		}
		used[part] = float64((now - m.before[part]).Microseconds()) / float64(o.Answered)
	}
	return nil
}

// meters are of those whose work ends with the last answer, and of those that go on until the last row.
func (s *Suite) meters() (front, back *meter, err error) {
	pids := map[string]int{}
	for _, server := range []string{"redis", "kafka", "mysql"} {
		if pids[server], err = s.World.Server(server); err != nil {
			return nil, nil, err
		}
	}
	if front, err = startMeter(map[string]int{"api": s.api.PID(), "redis": pids["redis"]}); err != nil {
		return nil, nil, err
	}
	back, err = startMeter(map[string]int{"consumer": s.consumer.PID(), "kafka": pids["kafka"], "mysql": pids["mysql"]})
	return front, back, err
}
