//go:build linux || darwin || freebsd

package ledger

import (
	"syscall"

	"github.com/firstcome/firstcome/core/support/doctor"
)

// freeSpace is what the folder's file system has left for us.
func freeSpace(folder string) doctor.Disk {
	var s syscall.Statfs_t
	if err := syscall.Statfs(folder, &s); err != nil {
		return doctor.Disk{}
	}
	size := uint64(s.Bsize)
	return doctor.Disk{Known: true, Free: uint64(s.Bavail) * size, Total: s.Blocks * size} //nolint:unconvert // signed on FreeBSD
}
