// Package fakebook is the ledger and the journal in memory, for the tests of the stages between them: small enough to
// be read against the rules, with hooks to stop, break and reorder its calls. It is no implementation that anything
// but a test uses.
package fakebook
