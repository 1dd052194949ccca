// Package crashpoint names the steps of the product at which a test ends or stops the process, exactly there.
//
// docs/issuance-cycle.md has a row for each point: what a crash right after the step leaves behind, who repairs it and
// how fast. The end-to-end tests read that table, kill a process at each of its points and look.
//
// A release holds nothing of it: without the build tag crashpoints, At is an empty function that the compiler removes
// together with the names. With the tag (and on Linux, since the signal has to reach the very thread that is at the
// point) the environment variable CRASHPOINT tells where and how:
//
//	CRASHPOINT=claim.admitted          SIGKILL at the first time that the process comes by
//	CRASHPOINT=claim.admitted:3        at the third
//	CRASHPOINT=claim.admitted:1:stop   SIGSTOP: who sends SIGCONT later has a process that wakes up late
package crashpoint
