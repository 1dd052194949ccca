// Package e2e tests firstcome from outside, as its users and operators meet it: over HTTP, SQL, Kafka and Redis, with
// the programs as processes. It shares no code with what it judges: its SQL, its reading of the journal and its tokens
// are its own, and the model of a counter that histories are compared with (claimtest) imports nothing of the product.
//
// Every test runs on the embedded stack (one `standalone` process) and, when `make services` has written its addresses
// into the environment, on the real one (two apis, two consumers and a batch as processes, on a real Kafka, Redis and
// MySQL or MariaDB). Each file is named after the danger it is about.
package e2e
