package httpapi

import (
	"context"
	"net/http"
	"slices"
	"strings"
	"time"

	"github.com/gin-gonic/gin"
	"golang.org/x/time/rate"

	"github.com/firstcome/firstcome/api/internal/contract"
	"github.com/firstcome/firstcome/core/coupon"
)

// server is the generated interface's implementation.
type server struct {
	Deps
	answers *answers
	rates   *userRates      // nil: without limit
	unknown *rate.Sometimes // logs unknown outcomes
}

// handler is the whole api.
type handler struct {
	engine *gin.Engine
}

// New makes the handler of all paths of openapi.yaml.
func New(deps Deps) (http.Handler, error) { return newHandler(deps) }

func newHandler(deps Deps) (*handler, error) {
	s := &server{Deps: deps, answers: newAnswers(deps.Now), unknown: sometimes()}
	if deps.UserRate > 0 {
		rates, err := newUserRates(deps.UserRate)
		if err != nil {
			return nil, err
		}
		s.rates = rates
	}
	gin.SetMode(gin.ReleaseMode) // gin's only switch for this is global; it never is anything else here
	engine := gin.New()
	if err := engine.SetTrustedProxies(nil); err != nil { // X-Forwarded-For is not believed
		return nil, err
	}
	// Paths are exact: a redirect would make a POST a GET in many clients.
	engine.RedirectTrailingSlash = false
	engine.RedirectFixedPath = false
	engine.RemoveExtraSlash = false
	engine.HandleMethodNotAllowed = true
	engine.ContextWithFallback = false

	engine.Use(newEdge(s.answers, deps).middleware)
	engine.NoRoute(func(c *gin.Context) { s.answers.problem(c, problem{code: coupon.CodeNotFound}) })
	engine.NoMethod(s.noMethod)
	routes := engine.Group("", newGuard(s.answers, deps.Tokens, s.failed).middleware, s.strictParameters, s.bounded)
	contract.RegisterHandlersWithOptions(routes, s, contract.GinServerOptions{
		// strictParameters has looked at all of them before; this is for what it does not know.
		ErrorHandler: func(c *gin.Context, err error, _ int) {
			s.answers.problem(c, invalid(fieldError("parameters", "%s", named(err.Error()))))
		},
	})
	return &handler{engine: engine}, nil
}

// ServeHTTP answers HEAD as GET; net/http leaves the body out.
func (h *handler) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	if r.Method == http.MethodHead {
		r = r.WithContext(r.Context()) // a copy: net/http looks at the original's method
		r.Method = http.MethodGet
	}
	h.engine.ServeHTTP(w, r)
}

// bounded gives a request an end, before the one at which its connection is cut. Claims have one of their own.
func (s *server) bounded(c *gin.Context) {
	if c.FullPath() == claimRoute {
		return
	}
	ctx, cancel := context.WithTimeout(c.Request.Context(), s.Deadline)
	defer cancel()
	c.Request = c.Request.WithContext(ctx)
	if c.Request.ContentLength == 0 {
		s.bodyRead(c)
	}
	c.Next()
}

// bodyRead ends the time for reading the request. net/http goes on looking at the connection while the handler works, and
// takes a client that waits longer than http.read_timeout for one that is gone.
func (s *server) bodyRead(c *gin.Context) {
	// Not supported by a recorder of a test; then there is no such time either.
	_ = http.NewResponseController(c.Writer).SetReadDeadline(time.Now().Add(2 * s.Deadline))
}

// decode reads the body of an admin's request.
func (s *server) decode(c *gin.Context, dst any, nullable ...string) (present map[string]bool, err error) {
	present, err = decode(c.Request, dst, nullable...)
	if err == nil { // else there is no work to wait for, and perhaps a body that never ends
		s.bodyRead(c)
	}
	return present, err
}

// claimRoute is the hot path's.
const claimRoute = "/v1/coupons/:id/issues"

// noMethod answers for a path that is there with other methods; gin has put those into Allow.
func (s *server) noMethod(c *gin.Context) {
	header := c.Writer.Header()
	allowed := strings.Split(header.Get("Allow"), ", ")
	if slices.Contains(allowed, http.MethodGet) {
		allowed = append(allowed, http.MethodHead)
	}
	allowed = append(allowed, http.MethodOptions)
	slices.Sort(allowed)
	header.Set("Allow", strings.Join(allowed, ", "))
	if c.Request.Method == http.MethodOptions {
		c.AbortWithStatus(http.StatusNoContent)
		return
	}
	s.answers.problem(c, problem{code: coupon.CodeMethodNotAllowed})
}

// fail answers with what an error means, and says for operators why an outcome is unknown.
func (s *server) fail(c *gin.Context, err error) {
	s.answers.problem(c, s.failed(c, err))
}
