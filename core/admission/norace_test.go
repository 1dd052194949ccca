//go:build !race

package admission_test

// slowdown of this build: see histories.
const slowdown = 1
