//go:build !linux

package api

import (
	"errors"
	"net"
)

// refuseNew is for Linux; elsewhere a connection that is made while the listener closes may be reset.
func refuseNew(net.Listener) error { return errors.ErrUnsupported }
