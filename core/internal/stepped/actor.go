package stepped

import (
	"errors"
	"runtime"
)

// ErrLost is the answer to a call that was made and whose answer was lost.
var ErrLost = errors.New("the answer was lost")

// Word is what a test says to an actor that waits before a step.
type Word int

// The words.
const (
	Go    Word = iota // take the step
	Lose              // take it, and hear ErrLost
	Crash             // never come back
)

// Actor is a process that takes its steps one at a time, when it is told to. Of all actors of a test one runs at a
// time, so that a test is an order of steps and nothing else. Step is what it puts in front of its calls.
type Actor struct {
	Name  string
	Op    string // the step it waits before
	Ended bool

	words chan Word
	waits chan bool // true: before a step; false: at its end
	dead  bool
}

// Start runs what an actor does, up to its first step.
func Start(name string, do func(*Actor)) *Actor {
	a := &Actor{Name: name, words: make(chan Word), waits: make(chan bool)}
	go func() {
		defer func() { a.waits <- false }()
		do(a)
	}()
	a.Ended = !<-a.waits
	return a
}

// Say gives the actor its word and waits until it is before the next step, or at its end.
func (a *Actor) Say(w Word) {
	a.words <- w
	a.Ended = !<-a.waits
}

// Step is a step of the actor.
func (a *Actor) Step(op string, do func() error) error {
	if a.dead { // what it deferred is not done either
		runtime.Goexit()
	}
	a.Op = op
	a.waits <- true
	switch <-a.words {
	case Crash:
		a.dead = true
		runtime.Goexit()
	case Lose:
		if err := do(); err != nil {
			return err
		}
		return ErrLost
	case Go:
	}
	return do()
}

// Until takes steps up to, and not including, the first one of that name; false when it ended before.
func (a *Actor) Until(op string) bool {
	for !a.Ended {
		if a.Op == op {
			return true
		}
		a.Say(Go)
	}
	return false
}

// Steps takes so many steps, if there are as many.
func (a *Actor) Steps(n int) {
	for ; n > 0 && !a.Ended; n-- {
		a.Say(Go)
	}
}

// Finish takes all steps that are left.
func (a *Actor) Finish() {
	for !a.Ended {
		a.Say(Go)
	}
}

// Kill ends the actor where it is.
func (a *Actor) Kill() {
	if !a.Ended {
		a.Say(Crash)
	}
}

// GoString is what a failing property test prints of an actor.
func (a *Actor) GoString() string { return a.Name + " before " + a.Op }
