package lifecycle

import (
	"context"
	"errors"
	"fmt"
	"net"
	"os"
	"strings"
	"syscall"
)

// Listen opens a TCP listener for the address that stands under a configuration key, such as "http.addr". The errors of
// a port that is taken, not allowed or not of this machine say which key to change.
func Listen(ctx context.Context, key, addr string) (net.Listener, error) {
	var lc net.ListenConfig
	lc.SetMultipathTCP(false) // the kernel takes no filter on such a listener, and a stop needs one (api, refuseNew)
	l, err := lc.Listen(ctx, "tcp", addr)
	if err == nil {
		return l, nil
	}
	env := "FIRSTCOME_" + strings.ToUpper(strings.ReplaceAll(key, ".", "_"))
	switch {
	case errors.Is(err, syscall.EADDRINUSE):
		err = fmt.Errorf("%s is taken by another program: stop it, or set %s (%s) to a free address; port 0 takes any: %w", addr, key, env, err)
	case errors.Is(err, syscall.EADDRNOTAVAIL):
		err = fmt.Errorf("%s is no address of this machine: correct %s (%s): %w", addr, key, env, err)
	case errors.Is(err, os.ErrPermission):
		err = fmt.Errorf("%s is not allowed for this user: set %s (%s) to a port above 1023: %w", addr, key, env, err)
	default:
		err = fmt.Errorf("cannot listen on %s: correct %s (%s): %w", addr, key, env, err)
	}
	return nil, err
}
