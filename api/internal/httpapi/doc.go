// Package httpapi is the outside contract over HTTP: it reads requests strictly, asks the stages, and turns their
// answers into those of openapi.yaml. It decides nothing itself.
//
// A request goes through: edge (request id, headers, recovery, metrics) → guard (token, role) → strict parameters →
// the generated gin wrapper → a handler. Whatever a handler cannot answer becomes a problem document in one place, by
// one table from code to status; an error that is no known "no" is "unavailable", never a refusal.
package httpapi
