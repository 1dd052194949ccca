package loadgen

import (
	"bufio"
	"bytes"
	"errors"
	"fmt"
	"strconv"
)

// What an answer must not be: everything measured here answers with a short body of a stated length on a connection that
// stays. Another answer would be measured wrongly, so it is an error.
var (
	errClosing  = errors.New("loadgen: an answer that closes its connection")
	errNoLength = errors.New("loadgen: an answer without Content-Length, in chunks perhaps")
)

// readAnswer reads one answer; body is good until the next read.
func readAnswer(r *bufio.Reader) (status int, body []byte, err error) {
	text, err := r.ReadSlice('\n')
	if err != nil {
		return 0, nil, fmt.Errorf("loadgen: no answer: %w", err)
	}
	if status, err = readStatus(text); err != nil {
		return 0, nil, err
	}
	length := -1
	for {
		if text, err = r.ReadSlice('\n'); err != nil {
			return 0, nil, fmt.Errorf("loadgen: the head of an answer ends early: %w", err)
		}
		if text = bytes.TrimRight(text, "\r\n"); len(text) == 0 {
			break
		}
		if err = readHeader(text, &length); err != nil {
			return 0, nil, err
		}
	}
	if length < 0 {
		return 0, nil, errNoLength
	}
	if body, err = r.Peek(length); err != nil {
		return 0, nil, fmt.Errorf("loadgen: a body of %d bytes: %w", length, err)
	}
	_, err = r.Discard(length)
	return status, body, err
}

// readStatus reads "HTTP/1.1 202 Accepted".
func readStatus(text []byte) (int, error) {
	rest, ok := bytes.CutPrefix(text, []byte("HTTP/1.1 "))
	if !ok || len(rest) < 4 {
		return 0, fmt.Errorf("loadgen: %q is no answer of HTTP/1.1", text)
	}
	status, err := strconv.Atoi(string(rest[:3]))
	if err != nil || status < 200 || status > 599 {
		return 0, fmt.Errorf("loadgen: %q is no final answer", text)
	}
	return status, nil
}

// readHeader looks at the two headers that matter.
func readHeader(text []byte, length *int) error {
	if text[0]|0x20 != 'c' {
		return nil
	}
	name, value, _ := bytes.Cut(text, []byte(":"))
	value = bytes.TrimSpace(value)
	switch {
	case bytes.EqualFold(name, []byte("Content-Length")):
		n, err := strconv.Atoi(string(value))
		if err != nil || n < 0 {
			return fmt.Errorf("loadgen: %q is no length", text)
		}
		*length = n
	case bytes.EqualFold(name, []byte("Connection")) && bytes.EqualFold(value, []byte("close")):
		return errClosing
	}
	return nil
}
