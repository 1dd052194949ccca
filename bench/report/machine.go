package report

import (
	"os"
	"regexp"
	"runtime"
	"strconv"
	"strings"
)

// Machine is what the figures were taken on.
type Machine struct {
	Processor string `json:"processor"`
	Cores     int    `json:"cores"`
	OS        string `json:"os"`
	Go        string `json:"go"`
	Redis     string `json:"redis"`
	Kafka     string `json:"kafka"`
	Database  string `json:"database"`
}

// ThisMachine knows all but the servers.
func ThisMachine() Machine {
	m := Machine{Processor: "unknown processor", Cores: runtime.NumCPU(), OS: runtime.GOOS + "/" + runtime.GOARCH, Go: runtime.Version()}
	text, err := os.ReadFile("/proc/cpuinfo")
	if err != nil {
		return m // not Linux
	}
	for line := range strings.Lines(string(text)) {
		if name, value, _ := strings.Cut(line, ":"); strings.TrimSpace(name) == "model name" {
			m.Processor = strings.TrimSpace(value)
			break
		}
	}
	return m
}

// Load is the machine's load averages; "" where the system does not tell.
func Load() string {
	text, err := os.ReadFile("/proc/loadavg")
	if err != nil {
		return "" // not Linux
	}
	return strings.Join(strings.Fields(string(text))[:3], " ")
}

var unfit = regexp.MustCompile(`[^a-z0-9]+`)

// Slug names the machine in file names.
func (m Machine) Slug() string {
	name := strings.NewReplacer("(R)", "", "(TM)", "", "CPU", "", "Processor", "").Replace(m.Processor)
	return strings.Trim(unfit.ReplaceAllString(strings.ToLower(name), "-"), "-") + "-" + strconv.Itoa(m.Cores) + "-cores"
}
