// Package doctor judges whether the servers are set up as the guarantees need it. It asks nobody: the adapters tell what
// they found (Redis, Kafka, Database, Clock, Host), Judge says which of it is wrong, how badly and how to set it right.
//
// Unknown is not no. A setting that a server does not tell, or a server that cannot be reached, is unknown; it keeps no
// role from starting, and the Guard of a role looks again.
//
// docs/guarantees.md names, for each assumption, the rule that checks it.
package doctor
