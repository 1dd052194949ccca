// Package bench measures firstcome and never tests it: nothing here asserts a time. Every figure is held against a limit that
// was taken in the same run on the same machine, since machines differ; the absolute figures are printed beside it.
//
// A fast wrong answer is worth nothing, so each load also checks its outcome: as many rows as places, every receipt a row
// with its number, no number twice, as many holders at the gate. A wrong outcome ends the run without a result.
//
//	loadgen/     sends ready-made requests, in a closed or in an open loop
//	crowd/       the generator's own process: who asks, and whether the answers are right
//	world/       a firstcome of the harness's own on the servers of make services
//	limits/      what firstcome stands on, each alone
//	measure/     the loads, in turns, and what is counted meanwhile
//	report/      figures, goals, tables, charts, comparison of two runs
//	cmd/bench    make bench
//	strategies/  the field's other ways, and cmd/lab, which compares them (make lab)
//	k6/          load scripts for k6 (make k6)
//
// How each figure is taken: results/README.md.
package bench
