//go:build !linux && !darwin && !freebsd

package ledger

import "github.com/firstcome/firstcome/core/support/doctor"

// freeSpace is not known here.
func freeSpace(string) doctor.Disk { return doctor.Disk{} }
