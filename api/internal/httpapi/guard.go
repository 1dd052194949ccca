package httpapi

import (
	"strings"

	"github.com/gin-gonic/gin"

	"github.com/firstcome/firstcome/core/coupon"
)

// adminPrefix begins every path that needs the role admin.
const adminPrefix = "/v1/admin/"

// public says whether a route answers without a token. Everything else needs one: a new route is closed until it is
// named here.
func public(method, route string) bool {
	switch method + " " + route {
	case "GET /v1/coupons", "GET /v1/coupons/:id", "GET /v1/openapi.yaml":
		return true
	default:
		return false
	}
}

// guard is the one place that lets requests in.
type guard struct {
	answers *answers
	tokens  Tokens
	failed  func(c *gin.Context, err error) problem
}

func newGuard(a *answers, tokens Tokens, failed func(*gin.Context, error) problem) *guard {
	return &guard{answers: a, tokens: tokens, failed: failed}
}

// middleware judges by the route that was found, not by the path that was sent: there is no spelling of a path that
// reaches a handler past it.
func (g *guard) middleware(c *gin.Context) {
	route := c.FullPath()
	if public(c.Request.Method, route) {
		return
	}
	token, ok := bearer(c.Request.Header["Authorization"])
	if !ok {
		g.answers.problem(c, problem{code: coupon.CodeUnauthorized})
		return
	}
	user, err := g.tokens.Verify(c.Request.Context(), token)
	if err != nil {
		g.answers.problem(c, g.failed(c, err))
		return
	}
	if strings.HasPrefix(route, adminPrefix) && !user.Admin {
		g.answers.problem(c, problem{code: coupon.CodeForbidden})
		return
	}
	exchangeOf(c).user = user
}

// bearer is the token of exactly one Authorization header of the scheme Bearer.
func bearer(headers []string) (token string, ok bool) {
	const scheme = "Bearer "
	if len(headers) != 1 || len(headers[0]) <= len(scheme) || !strings.EqualFold(headers[0][:len(scheme)], scheme) {
		return "", false
	}
	return headers[0][len(scheme):], true
}
