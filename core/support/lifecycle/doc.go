// Package lifecycle starts the parts of a program in order, keeps them running together, and stops them in the
// opposite order within a bounded time: what takes work stops before what the work needs.
package lifecycle
