//go:build crashpoints && linux

package crashpoint

import (
	"fmt"
	"os"
	"runtime"
	"strconv"
	"strings"
	"sync/atomic"
	"syscall"
)

// On says whether the points are in this build.
const On = true

// Variable tells where this process ends, and how.
const Variable = "CRASHPOINT"

var hits atomic.Int64 //nolint:gochecknoglobals // counts for the whole process, which has one variable

// At ends or stops the process here, if that is what the environment asks for. A variable that cannot be understood is a
// mistake of the test, so it panics.
func At(name string) {
	asked := os.Getenv(Variable)
	wanted, rest, counted := strings.Cut(asked, ":")
	if asked == "" || wanted != name {
		return
	}
	at, how := int64(1), ""
	if counted {
		number, word, _ := strings.Cut(rest, ":")
		n, err := strconv.ParseInt(number, 10, 32)
		if err != nil || n < 1 || word != "" && word != "stop" {
			panic(fmt.Sprintf("%s=%q: want name, name:n or name:n:stop", Variable, asked))
		}
		at, how = n, word
	}
	if hits.Add(1) != at {
		return
	}
	signal := syscall.SIGKILL
	if how == "stop" {
		signal = syscall.SIGSTOP
	}
	// To this thread and not just to the process: another thread would take the signal while this one goes on.
	runtime.LockOSThread()
	defer runtime.UnlockOSThread()
	if err := syscall.Tgkill(os.Getpid(), syscall.Gettid(), signal); err != nil {
		panic(fmt.Sprintf("%s: %v", asked, err))
	}
}
