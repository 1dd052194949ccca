package main

import (
	"errors"
	"fmt"
	"io"
	"strings"

	"github.com/firstcome/firstcome/bench/report"
)

// compare ends with an error where a goal became worse between two runs.
func compare(out io.Writer, args []string) error {
	if len(args) != 2 {
		return errors.New("compare takes two result files: the older, the newer")
	}
	before, err := report.Read(args[0])
	if err != nil {
		return err
	}
	after, err := report.Read(args[1])
	if err != nil {
		return err
	}
	worse, err := report.Compare(out, before, after)
	if err == nil && len(worse) > 0 {
		err = fmt.Errorf("worse than before: %s", strings.Join(worse, ", "))
	}
	return err
}
