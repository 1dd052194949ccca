package world

import (
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"time"
)

// Server is the process id of a server that `make services` started from packages: redis, kafka or mysql.
func (w *World) Server(name string) (int, error) {
	text, err := os.ReadFile(filepath.Join(w.Run, "pids", name)) //nolint:gosec // the caller's own folder
	if err != nil {
		return 0, fmt.Errorf("the process of %s, whose processor time is counted (servers in containers are not): %w", name, err)
	}
	first, _, _ := strings.Cut(string(text), " ")
	return strconv.Atoi(first)
}

// tick is the unit of /proc/PID/stat: USER_HZ is 100 wherever Go runs.
const tick = 10 * time.Millisecond

// ProcessorTime is what a process and its ended children have used so far. Linux only.
func ProcessorTime(pid int) (time.Duration, error) {
	text, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", pid))
	if err != nil {
		return 0, err
	}
	// The second field is the name in brackets and may hold blanks: count from behind it.
	fields := strings.Fields(string(text[strings.LastIndexByte(string(text), ')')+1:]))
	const utime, cstime = 11, 14
	if len(fields) <= cstime {
		return 0, fmt.Errorf("/proc/%d/stat has %d fields", pid, len(fields))
	}
	var ticks int64
	for _, field := range fields[utime : cstime+1] {
		n, err := strconv.ParseInt(field, 10, 64)
		if err != nil {
			return 0, err
		}
		ticks += n
	}
	return time.Duration(ticks) * tick, nil
}
