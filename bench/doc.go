// Package bench measures firstcome and never tests it: nothing here asserts a time. Every figure is a ratio to a limit
// that was taken in the same run on the same machine, since machines differ; the absolute figures are printed beside it.
//
// A fast wrong answer is worth nothing, so each run also checks its outcome: as many receipts as places, all numbers
// different, every receipt a row.
package bench
