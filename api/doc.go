// Package api is the role that faces the users: it decides claims at the gate, journals them before it answers, lets
// admins publish and change, and tells everybody how things stand. Any number of instances may run; each may be killed
// at any moment.
//
// Beside answering, an api sweeps: places whose claimant went away are journaled by whichever api is alive (the
// sweeper), and gates that are not sound are rebuilt (the rebuild queue).
//
// It does not need the database to decide claims on coupons it knows; without Redis or Kafka every claim is answered
// "repeat, nothing is lost".
package api
