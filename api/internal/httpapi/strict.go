package httpapi

import (
	"net/url"
	"slices"
	"strconv"
	"strings"

	"github.com/gin-gonic/gin"

	"github.com/firstcome/firstcome/core/coupon"
)

// idempotencyKey is the header that names a claim where a user may have several places.
const idempotencyKey = "Idempotency-Key"

// queryOf says which query parameters a route has; a test compares it with the document.
func queryOf(route string) []string {
	switch route {
	case "/v1/coupons", "/v1/me/issues":
		return []string{"limit", "cursor"}
	case "/v1/admin/failed-events":
		return []string{"limit", "cursor", "reason", "status"}
	case "/v1/coupons/:id/issues/me":
		return []string{"nth"}
	default:
		return nil
	}
}

// strictParameters refuses what the generated wrapper lets through: ids and numbers written with signs or leading zeros,
// parameters that nobody knows (a misspelt cursor would show page one for ever) or that are there twice.
func (s *server) strictParameters(c *gin.Context) {
	var wrong []*coupon.FieldError
	if id, has := c.Params.Get("id"); has && !validID(id) {
		wrong = append(wrong, fieldError("id", "must be a whole number from 1 to %d, in digits without sign or leading zeros", int64(coupon.MaxID)))
	}
	if raw := c.Request.URL.RawQuery; raw != "" {
		wrong = append(wrong, strictQuery(raw, queryOf(c.FullPath()))...)
	}
	if len(wrong) > 0 {
		s.answers.problem(c, invalid(wrong...))
		return
	}
	if keys := c.Request.Header[idempotencyKey]; len(keys) > 0 {
		oneKey(c, keys)
	}
}

// oneKey makes the header one value, as HTTP reads a repeated one. Two keys are none that is valid, which counts only
// where a key is needed; an empty one is as good as missing.
func oneKey(c *gin.Context, keys []string) {
	if key := strings.Join(keys, ", "); key != "" {
		c.Request.Header[idempotencyKey] = []string{key}
		return
	}
	delete(c.Request.Header, idempotencyKey)
}

// validID says whether s is an id in its one spelling.
func validID(s string) bool {
	n, ok := wholeNumber(s)
	return ok && n >= 1 && n <= coupon.MaxID
}

// wholeNumber reads decimal digits without sign or leading zeros.
func wholeNumber(s string) (int64, bool) {
	const digits = 16 // of 2^53
	if s == "" || len(s) > digits || (s[0] == '0' && s != "0") {
		return 0, false
	}
	for i := range len(s) {
		if s[i] < '0' || s[i] > '9' {
			return 0, false
		}
	}
	n, err := strconv.ParseInt(s, 10, 64)
	return n, err == nil
}

func strictQuery(raw string, known []string) []*coupon.FieldError {
	values, err := url.ParseQuery(raw)
	if err != nil {
		return []*coupon.FieldError{fieldError("query", "is not well-formed")}
	}
	names := make([]string, 0, len(values))
	for name := range values {
		names = append(names, name)
	}
	slices.Sort(names)
	var wrong []*coupon.FieldError
	for _, name := range names {
		switch given := values[name]; {
		case !slices.Contains(known, name):
			wrong = append(wrong, fieldError(name, "is no parameter of this path"))
		case len(given) > 1:
			wrong = append(wrong, fieldError(name, "is there twice"))
		default:
			if f := strictParameter(name, given[0]); f != nil {
				wrong = append(wrong, f)
			}
		}
	}
	return wrong
}

// strictParameter checks one value. Names mean the same on every path.
func strictParameter(name, value string) *coupon.FieldError {
	switch name {
	case "limit":
		if n, ok := wholeNumber(value); !ok || n < 1 || n > coupon.MaxPage {
			return fieldError(name, "must be a whole number from 1 to %d", coupon.MaxPage)
		}
	case "nth":
		if n, ok := wholeNumber(value); !ok || n < 1 || n > coupon.MaxPerUserLimit {
			return fieldError(name, "must be a whole number from 1 to %d", coupon.MaxPerUserLimit)
		}
	case "cursor":
		if value == "" || len(value) > maxCursor {
			return badCursor()
		}
	case "reason":
		if !slices.Contains(failReasons(), coupon.FailReason(value)) {
			return fieldError(name, "must be one of %v", failReasons())
		}
	case "status":
		if !slices.Contains(failedStatuses(), coupon.FailedStatus(value)) {
			return fieldError(name, "must be one of %v", failedStatuses())
		}
	}
	return nil
}

func failReasons() []coupon.FailReason {
	return []coupon.FailReason{
		coupon.FailUndecodable, coupon.FailUnknownVersion, coupon.FailUnknownCoupon, coupon.FailStaleEpoch, coupon.FailFutureEpoch,
		coupon.FailEventLimit, coupon.FailOverCap, coupon.FailNthTaken, coupon.FailRefusedByDB,
	}
}

func failedStatuses() []coupon.FailedStatus {
	return []coupon.FailedStatus{coupon.FailedWaiting, coupon.FailedReplayed, coupon.FailedQuarantined}
}
