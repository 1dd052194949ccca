package httpapi

import (
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/firstcome/firstcome/api/internal/auth"
	"github.com/firstcome/firstcome/core/coupon"
	"github.com/firstcome/firstcome/core/publish"
)

const (
	// maxFieldErrors bounds how many wrong fields one answer names: the largest request has 14 fields.
	maxFieldErrors = 16
	// maxNamed bounds how much of a caller's own words an answer repeats, in bytes.
	maxNamed = 64
)

// problem is one answer that is not a success.
type problem struct {
	code     coupon.Code
	detail   string // "": that of the kind
	detailKO string
	fields   []*coupon.FieldError
	now      time.Time // the gate's clock; zero: the host's
	opensAt  time.Time // not_open only
}

// problemOf turns an error into the problem that says so. It is the one place that knows which errors are a definite
// "no"; all others are unknown outcomes.
func problemOf(err error) problem {
	var refused *auth.RefusedError
	var kept *publish.KeptError
	if fields := fieldErrors(err); len(fields) > 0 {
		return invalid(fields...)
	}
	switch {
	case errors.As(err, &kept): // before the others, since why it was kept may look like a "no"
		return keptProblem(kept)
	case errors.As(err, &refused):
		return problem{code: coupon.CodeUnauthorized, detail: refused.Detail, detailKO: "유효한 토큰이 필요합니다: " + tokenInKorean(refused.Detail)}
	case errors.Is(err, errBodyTooLarge):
		return problem{code: coupon.CodeBodyTooLarge}
	case errors.Is(err, errMediaType):
		return problem{code: coupon.CodeUnsupportedMediaType}
	case errors.Is(err, coupon.ErrVendorNotFound):
		return problem{code: coupon.CodeVendorNotFound}
	case errors.Is(err, coupon.ErrEventNotFound):
		return problem{code: coupon.CodeEventNotFound}
	case errors.Is(err, coupon.ErrNotFound):
		return problem{code: coupon.CodeCouponNotFound}
	case errors.Is(err, coupon.ErrNameTaken):
		return problem{code: coupon.CodeNameTaken}
	case errors.Is(err, coupon.ErrBelowIssued):
		return problem{code: coupon.CodeBelowIssued}
	case errors.Is(err, coupon.ErrSuperseded):
		return problem{code: coupon.CodeSuperseded}
	default:
		return problem{code: coupon.CodeUnavailable}
	}
}

// keptProblem tells an admin that asking again is not what completes it.
func keptProblem(kept *publish.KeptError) problem {
	if kept.Revision == 0 {
		return problem{
			code:     coupon.CodeUnavailable,
			detail:   "It is published and will open by itself in a moment; asking again is answered name_taken.",
			detailKO: "등록은 완료되었고 곧 자동으로 열립니다. 다시 요청하면 name_taken으로 응답합니다.",
		}
	}
	return problem{
		code:     coupon.CodeUnavailable,
		detail:   "The change is kept and will be completed, or refused, by itself; look at the coupon before you ask again.",
		detailKO: "변경 요청이 저장되었으며 자동으로 처리됩니다. 다시 요청하기 전에 쿠폰 상태를 확인하세요.",
	}
}

// invalid is a 400 that names the fields.
func invalid(fields ...*coupon.FieldError) problem {
	fields = fields[:min(len(fields), maxFieldErrors)]
	var details, korean []string
	for _, f := range fields {
		details = append(details, f.Error())
		korean = append(korean, f.Field+": "+inKorean(f.Detail))
	}
	return problem{
		code: coupon.CodeInvalidRequest, fields: fields,
		detail: strings.Join(details, "; "), detailKO: strings.Join(korean, "; "),
	}
}

func fieldError(field, format string, args ...any) *coupon.FieldError {
	return &coupon.FieldError{Field: named(field), Detail: fmt.Sprintf(format, args...)}
}

// named cuts a caller's own word to what an answer may repeat.
func named(s string) string {
	if len(s) <= maxNamed {
		return strings.ToValidUTF8(s, "?")
	}
	return strings.ToValidUTF8(s[:maxNamed], "") + "…"
}

// fieldErrors are all FieldErrors of a tree of joined errors, in order. An error that is something else besides gives
// none: then not only the request is wrong.
func fieldErrors(err error) []*coupon.FieldError {
	if joined, ok := err.(interface{ Unwrap() []error }); ok {
		var all []*coupon.FieldError
		for _, e := range joined.Unwrap() {
			fields := fieldErrors(e)
			if len(fields) == 0 {
				return nil
			}
			all = append(all, fields...)
		}
		return all
	}
	var field *coupon.FieldError
	if errors.As(err, &field) {
		return []*coupon.FieldError{field}
	}
	return nil
}
