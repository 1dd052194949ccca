package httpapi

import (
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"strconv"
	"strings"
	"time"
	"unicode/utf8"

	"github.com/gin-gonic/gin"

	"github.com/firstcome/firstcome/api/internal/auth"
	"github.com/firstcome/firstcome/core/coupon"
	"github.com/firstcome/firstcome/core/publish"
)

const (
	problemURN = "urn:firstcome:problem:"
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

// answers writes answers; what is the same for all of them is put together once.
type answers struct {
	kinds map[coupon.Code]preparedKind
	now   func() time.Time
	// Header values as they stand in the header map, so that they need no allocation. Nobody appends to them: Set and
	// Add make slices of their own.
	jsonType, problemType []string
}

type preparedKind struct {
	problemKind
	head []byte // {"type":…,"title":…,"status":…,"code":…
	text []byte // ,"detail":…,"detail_ko":… of the kind
}

func newAnswers(now func() time.Time) *answers {
	a := &answers{
		kinds: map[coupon.Code]preparedKind{}, now: now,
		jsonType: []string{"application/json"}, problemType: []string{"application/problem+json"},
	}
	for code, kind := range problemKinds() {
		head := appendJSON([]byte(`{"type":`), problemURN+string(code))
		head = appendJSON(append(head, `,"title":`...), kind.title)
		head = strconv.AppendInt(append(head, `,"status":`...), int64(kind.status), 10)
		head = appendJSON(append(head, `,"code":`...), string(code))
		a.kinds[code] = preparedKind{problemKind: kind, head: head, text: appendDetails(nil, kind.detail, kind.detailKO)}
	}
	return a
}

// problem writes a problem document, unless an answer has begun already.
func (a *answers) problem(c *gin.Context, pr problem) {
	kind, known := a.kinds[pr.code]
	if !known {
		pr.code = codeInternal
		kind = a.kinds[codeInternal]
	}
	x := exchangeOf(c)
	x.code = pr.code
	c.Abort()
	if x.Written() {
		return
	}
	now := pr.now
	if now.IsZero() {
		now = a.now()
	}
	b := append(x.buf[:0], kind.head...)
	if pr.detail == "" {
		b = append(b, kind.text...)
	} else {
		b = appendDetails(b, pr.detail, pr.detailKO)
	}
	b = appendFields(b, pr.fields)
	header := x.Header()
	if !pr.opensAt.IsZero() {
		b = appendTime(append(b, `,"opens_at":"`...), pr.opensAt)
		b = append(b, '"')
	}
	b = appendTime(append(b, `,"server_time":"`...), now)
	b = appendJSON(append(b, `","request_id":`...), x.requestID)
	x.buf = append(b, '}')

	if wait := retryAfter(pr, kind.status, now); wait > 0 {
		header.Set("Retry-After", strconv.FormatInt(wait, 10))
	}
	switch kind.status {
	case http.StatusUnauthorized:
		header.Set("WWW-Authenticate", "Bearer")
	case http.StatusRequestEntityTooLarge:
		header.Set("Connection", "close") // the rest of the body is not read
	}
	header["Content-Type"] = a.problemType
	x.WriteHeader(kind.status)
	_, _ = x.Write(x.buf) // the connection is gone; net/http notices by itself
}

// buffer writes what stands in x.buf, a JSON document.
func (a *answers) buffer(x *exchange, status int) {
	x.Header()["Content-Type"] = a.jsonType
	x.WriteHeader(status)
	_, _ = x.Write(x.buf) // the connection is gone; net/http notices by itself
}

// document writes a value of the generated types.
func (a *answers) document(c *gin.Context, status int, v any) {
	doc, err := json.Marshal(v)
	if err != nil { // a value that JSON cannot say, such as a year above 9999, is a fault of ours
		a.problem(c, problem{code: codeInternal})
		return
	}
	x := exchangeOf(c)
	x.buf = append(x.buf[:0], doc...)
	a.buffer(x, status)
}

// retryAfter is in seconds; 0: the header is left out. Before the window it is rounded up, so that whoever waits so long
// is not too early.
func retryAfter(pr problem, status int, now time.Time) int64 {
	switch {
	case pr.code == coupon.CodeNotOpen:
		wait := pr.opensAt.Sub(now)
		return max(int64((wait+time.Second-1)/time.Second), 1)
	case status == http.StatusServiceUnavailable, status == http.StatusTooManyRequests:
		return retrySoon
	default:
		return 0
	}
}

func appendDetails(b []byte, detail, detailKO string) []byte {
	b = appendJSON(append(b, `,"detail":`...), detail)
	return appendJSON(append(b, `,"detail_ko":`...), detailKO)
}

func appendFields(b []byte, fields []*coupon.FieldError) []byte {
	if len(fields) == 0 {
		return b
	}
	b = append(b, `,"errors":[`...)
	for i, f := range fields {
		if i > 0 {
			b = append(b, ',')
		}
		b = appendJSON(append(b, `{"field":`...), f.Field)
		b = appendJSON(append(b, `,"detail":`...), f.Detail)
		b = append(b, '}')
	}
	return append(b, ']')
}

// appendJSON appends s as a JSON string.
func appendJSON(b []byte, s string) []byte {
	for i := range len(s) {
		if c := s[i]; c < ' ' || c == '"' || c == '\\' || c >= utf8.RuneSelf {
			quoted, err := json.Marshal(s)
			if err != nil { // no string makes this fail
				quoted = []byte(`""`)
			}
			return append(b, quoted...)
		}
	}
	b = append(b, '"')
	b = append(b, s...)
	return append(b, '"')
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
		return problem{code: coupon.CodeUnauthorized, detail: refused.Detail, detailKO: "유효한 토큰이 필요합니다: " + refused.Detail}
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
	var details, names []string
	for _, f := range fields {
		details = append(details, f.Error())
		names = append(names, f.Field)
	}
	return problem{
		code: coupon.CodeInvalidRequest, fields: fields,
		detail: strings.Join(details, "; "), detailKO: "요청이 올바르지 않습니다: " + strings.Join(names, ", "),
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
