// Package memgate is the gate's rule in plain Go: the fake for tests of everything around the gate, and the oracle that
// the Redis scripts are compared with. It keeps what Redis keeps, counters beside the maps they count, so that it can
// lose a part and notice (rule 2). Nothing outlives the process, and nothing is shared between processes.
package memgate
