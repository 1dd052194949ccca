package world

import (
	"errors"
	"fmt"
	"math/rand/v2"
	"net"
)

// Ports of processes that come and go are taken from below the range that systems hand to outgoing connections (Linux
// from 32768): while such a process is down, a connection could get its port, even one that tries to reach it.
const (
	firstPort = 12_000
	lastPort  = 19_999
)

// freeAddr is a loopback address that nobody listens on.
func freeAddr(chance *rand.Rand) (string, error) {
	for range 200 {
		addr := fmt.Sprintf("127.0.0.1:%d", firstPort+chance.IntN(lastPort-firstPort+1))
		l, err := net.Listen("tcp", addr) //nolint:noctx // closed at once
		if err != nil {
			continue
		}
		return addr, l.Close()
	}
	return "", errors.New("no free port between 12000 and 19999")
}
