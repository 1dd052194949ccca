package coupon

// ViewAnswer is a gate's answer to one who looks at one coupon.
type ViewAnswer struct {
	View View
	Err  error // an UnsoundError, or unknown; then View is empty
}
