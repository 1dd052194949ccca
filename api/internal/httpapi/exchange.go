package httpapi

import (
	"math/rand/v2"
	"net/http"
	"strconv"
	"sync"
	"time"

	"github.com/gin-gonic/gin"

	"github.com/firstcome/firstcome/api/internal/auth"
	"github.com/firstcome/firstcome/core/coupon"
)

// exchange is what the parts of one request hand to each other. It is the gin context's Writer, so that it costs no map
// of values; it lives until edge has finished with the request.
type exchange struct {
	gin.ResponseWriter
	requestID string
	user      auth.User   // set by guard; empty on public paths
	code      coupon.Code // of the problem that was answered; "" for a success
	buf       []byte      // an answer is put together here
}

// Unwrap leads http.ResponseController to the connection.
func (x *exchange) Unwrap() http.ResponseWriter { return x.ResponseWriter }

// maxKeptBuffer is the largest buffer that is kept for the next request: problem documents and receipts have less.
const maxKeptBuffer = 4 << 10

func exchangeOf(c *gin.Context) *exchange {
	return c.Writer.(*exchange) // edge comes before everything else
}

type exchangePool struct{ pool sync.Pool }

func newExchangePool() *exchangePool {
	return &exchangePool{sync.Pool{New: func() any { return &exchange{buf: make([]byte, 0, 1<<10)} }}}
}

func (p *exchangePool) get(w gin.ResponseWriter, requestID string) *exchange {
	x := p.pool.Get().(*exchange) // the pool holds nothing else
	x.ResponseWriter, x.requestID = w, requestID
	return x
}

func (p *exchangePool) put(x *exchange) {
	buf := x.buf[:0]
	if cap(buf) > maxKeptBuffer {
		buf = nil
	}
	*x = exchange{buf: buf}
	p.pool.Put(x)
}

// maxRequestID bounds a request id that comes from outside: a UUID has 36 characters.
const maxRequestID = 64

// requestID takes the caller's, so that a request can be followed through several systems, or makes one. Only letters,
// digits and -._ are taken, since it goes into headers, logs and documents.
func requestID(given string) string {
	if given == "" || len(given) > maxRequestID {
		return newRequestID()
	}
	for i := range len(given) {
		c := given[i]
		ok := c >= 'a' && c <= 'z' || c >= 'A' && c <= 'Z' || c >= '0' && c <= '9' || c == '-' || c == '.' || c == '_'
		if !ok {
			return newRequestID()
		}
	}
	return given
}

// newRequestID makes 16 hexadecimal digits; it only has to be different, not secret.
func newRequestID() string {
	const alwaysSixteen = 1 << 63
	return strconv.FormatUint(rand.Uint64()|alwaysSixteen, 16) //nolint:gosec // no secret
}

// timeFormat is RFC 3339 with exactly six digits, in UTC: what all stores keep. The same instant is always written the
// same way.
const timeFormat = "2006-01-02T15:04:05.000000Z"

func appendTime(b []byte, t time.Time) []byte { return t.UTC().AppendFormat(b, timeFormat) }
