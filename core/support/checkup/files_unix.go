//go:build unix

package checkup

import "syscall"

// openFiles is how many file descriptors this process may have; 0: not known. Go has raised the soft limit to the hard
// one by now.
func openFiles() uint64 {
	var limit syscall.Rlimit
	if err := syscall.Getrlimit(syscall.RLIMIT_NOFILE, &limit); err != nil {
		return 0
	}
	return uint64(limit.Cur) //nolint:unconvert // an int64 on some systems
}
