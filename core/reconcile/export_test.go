package reconcile

// Waiting is how many tags wait or are being worked on.
func (q *Queue) Waiting() int {
	q.mu.Lock()
	defer q.mu.Unlock()
	return len(q.asked)
}
