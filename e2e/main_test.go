package e2e

import (
	"os"
	"testing"

	"github.com/firstcome/firstcome/e2e/stack"
)

func TestMain(m *testing.M) {
	code := m.Run()
	stack.RemoveBinaries()
	os.Exit(code)
}
