// Package logtest keeps what a program writes, for tests.
package logtest

import (
	"strings"
	"sync"
)

// Buffer keeps what several goroutines write to it. Its zero value is ready; its methods may be called concurrently.
type Buffer struct {
	mu   sync.Mutex
	text strings.Builder
}

// Write implements io.Writer; it never fails.
func (b *Buffer) Write(p []byte) (int, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.text.Write(p)
}

// String is everything that was written.
func (b *Buffer) String() string {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.text.String()
}
