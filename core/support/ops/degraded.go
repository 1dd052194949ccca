package ops

import "errors"

// DegradedError is a check's word that something is out of reach which the program can do without for a while: /readyz
// names it, and the program stays ready. Without it, one database that is down would take every instance out of a
// balancer that could still serve.
type DegradedError struct{ Err error }

func (e *DegradedError) Error() string { return e.Err.Error() }

// Unwrap gives the cause to errors.Is and errors.As.
func (e *DegradedError) Unwrap() error { return e.Err }

// resultOf is what a check said.
func resultOf(name string, err error) Result {
	var degraded *DegradedError
	switch {
	case err == nil:
		return Result{Name: name, OK: true}
	case errors.As(err, &degraded):
		return Result{Name: name, OK: true, Degraded: true, Reason: err.Error()}
	default:
		return Result{Name: name, Reason: err.Error()}
	}
}
