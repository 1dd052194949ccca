package httpapi

import (
	"encoding/json"
	"net/http"
	"strconv"
	"time"
	"unicode/utf8"

	"github.com/gin-gonic/gin"

	"github.com/firstcome/firstcome/core/coupon"
)

// problemURN begins the type of every problem; the code follows.
const problemURN = "urn:firstcome:problem:"

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
