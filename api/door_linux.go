package api

import (
	"errors"
	"net"
	"syscall"

	"golang.org/x/sys/unix"
)

// refuseNew makes the kernel leave new attempts to connect unanswered, while those that are half way come through: a packet
// with SYN is dropped, and whoever sent it tries again a second later, when the port is closed and refuses.
func refuseNew(l net.Listener) error {
	has, ok := l.(syscall.Conn)
	if !ok {
		return errors.ErrUnsupported
	}
	raw, err := has.SyscallConn()
	if err != nil {
		return err
	}
	const flags, syn, all = 13, 0x02, 0xffff // the byte of the flags in the TCP header, the flag, and "keep all of it"
	program := []unix.SockFilter{
		{Code: unix.BPF_LD | unix.BPF_B | unix.BPF_ABS, K: flags},
		{Code: unix.BPF_JMP | unix.BPF_JSET | unix.BPF_K, K: syn, Jt: 1},
		{Code: unix.BPF_RET | unix.BPF_K, K: all},
		{Code: unix.BPF_RET | unix.BPF_K, K: 0},
	}
	var set error
	err = raw.Control(func(fd uintptr) {
		set = unix.SetsockoptSockFprog(int(fd), unix.SOL_SOCKET, unix.SO_ATTACH_FILTER,
			&unix.SockFprog{Len: uint16(len(program)), Filter: &program[0]})
	})
	return errors.Join(err, set)
}
