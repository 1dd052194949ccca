package httpapi

import (
	"bytes"
	"errors"
	"net/http"
	"reflect"
	"slices"
	"strings"
	"testing"

	"github.com/getkin/kin-openapi/openapi3"
	"github.com/gin-gonic/gin"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/firstcome/firstcome/api/internal/auth"
	"github.com/firstcome/firstcome/api/internal/contract"
	"github.com/firstcome/firstcome/core/coupon"
)

// concrete is a path of a route that a request can be sent to.
func concrete(route string) string { return strings.ReplaceAll(route, ":id", "7") }

func ginPath(template string) string { return strings.ReplaceAll(template, "{id}", ":id") }

func TestDocumentAndRouterHaveTheSameRoutesTokensAndParameters(t *testing.T) {
	t.Parallel()
	a := newAPI(t)
	require.NoError(t, a.doc.Validate(t.Context()))
	var documented []string
	for template, item := range a.doc.Paths.Map() {
		for method, op := range item.Operations() {
			documented = append(documented, method+" "+ginPath(template))
			assert.Equal(t, op.Security != nil && len(*op.Security) == 0, public(method, ginPath(template)), "%s %s", method, template)
			assert.NotEmpty(t, op.OperationID)
			assert.Equal(t, !public(method, ginPath(template)), op.Responses.Status(http.StatusUnauthorized) != nil, template)
			assert.Equal(t, strings.HasPrefix(template, adminPrefix), op.Responses.Value("403") != nil && op.OperationID != "claimCoupon", template)
			var query []string
			for _, p := range op.Parameters {
				if p.Value.In == openapi3.ParameterInQuery {
					query = append(query, p.Value.Name)
				}
			}
			assert.Equal(t, query, queryOf(ginPath(template)), template)
		}
	}
	var routed []string
	for _, r := range a.handler.engine.Routes() {
		routed = append(routed, r.Method+" "+r.Path)
	}
	assert.ElementsMatch(t, documented, routed)
}

func TestEveryRouteButThePublicOnesNeedsATokenAndAdminPathsTheRole(t *testing.T) {
	t.Parallel()
	a := newAPI(t)
	seen := 0
	for _, r := range a.handler.engine.Routes() {
		q := ask{method: r.Method, path: concrete(r.Path)}
		for name, header := range map[string]http.Header{
			"none": nil, "empty": {"Authorization": {""}}, "no scheme": {"Authorization": {"alice"}}, "no token": {"Authorization": {"Bearer "}},
			"other scheme": {"Authorization": {"Basic YWxpY2U6eA=="}}, "two": {"Authorization": {"Bearer alice", "Bearer admin"}},
			"expired": {"Authorization": {"Bearer expired"}},
		} {
			q.header = header
			got := a.do(q)
			if public(r.Method, r.Path) {
				assert.Less(t, got.status, 400, "%s %s %s", name, r.Method, r.Path)
				continue
			}
			seen++
			require.Equal(t, http.StatusUnauthorized, got.status, "%s %s %s", name, r.Method, r.Path)
			assert.Equal(t, "unauthorized", got.code())
			assert.Equal(t, "Bearer", got.header.Get("WWW-Authenticate"))
		}
		q.header, q.token = nil, "alice"
		got := a.do(q)
		assert.Equal(t, strings.HasPrefix(r.Path, adminPrefix), got.status == http.StatusForbidden, "%s %s", r.Method, r.Path)
	}
	assert.NotZero(t, seen)
	assert.Len(t, a.claims, 1, "alice's own claim; nobody else got to a handler")
	assert.Zero(t, a.written()-1)
}

func TestNoSpellingOfAPathGetsAroundTheGuard(t *testing.T) {
	t.Parallel()
	a := newAPI(t)
	for _, path := range []string{
		"/v1/admin/vendors/", "//v1/admin/vendors", "/v1//admin/vendors", "/v1/admin/../admin/vendors", "/v1/./admin/vendors", "/V1/Admin/Vendors",
		"/v1/admin/vendors;x=1", "/v1/admin%2fvendors", "/v1/admin/vendors%20", "/v1/admin", "/", "", "/v1/coupons/", "/v1/coupons/7/issues/", "*",
	} {
		got := a.do(ask{method: http.MethodPost, path: path, token: "alice", body: `{"name":"x"}`})
		assert.Equal(t, http.StatusNotFound, got.status, path)
		assert.Equal(t, "not_found", got.code())
		assert.Empty(t, got.header.Get("Location"), "a redirect makes a POST a GET")
	}
	assert.Zero(t, a.written())
}

func TestAWrongMethodNamesTheRightOnes(t *testing.T) {
	t.Parallel()
	a := newAPI(t)
	for path, allow := range map[string]string{
		"/v1/coupons": "GET, HEAD, OPTIONS", "/v1/coupons/7": "GET, HEAD, OPTIONS", "/v1/coupons/7/issues": "OPTIONS, POST",
		"/v1/coupons/7/issues/me": "GET, HEAD, OPTIONS", "/v1/admin/coupons/7": "OPTIONS, PATCH", "/v1/admin/failed-events": "GET, HEAD, OPTIONS",
	} {
		for _, method := range []string{http.MethodDelete, http.MethodPut, http.MethodTrace, "BREW"} {
			got := a.do(ask{method: method, path: path})
			assert.Equal(t, http.StatusMethodNotAllowed, got.status, "%s %s", method, path)
			assert.Equal(t, "method_not_allowed", got.code())
			assert.Equal(t, allow, got.header.Get("Allow"))
		}
		got := a.do(ask{method: http.MethodOptions, path: path})
		assert.Equal(t, http.StatusNoContent, got.status)
		assert.Equal(t, allow, got.header.Get("Allow"))
		assert.Empty(t, got.body)
	}
	assert.Equal(t, http.StatusMethodNotAllowed, a.do(ask{method: http.MethodHead, path: "/v1/coupons/7/issues", token: "alice"}).status)
	head := a.do(ask{method: http.MethodHead, path: "/v1/coupons/7"})
	assert.Equal(t, http.StatusOK, head.status)
	assert.Equal(t, http.StatusNotFound, a.do(ask{method: http.MethodOptions, path: "/v2"}).status)
	assert.Zero(t, a.written())
}

func TestTheDocumentIsServed(t *testing.T) {
	t.Parallel()
	a := newAPI(t)
	got := a.do(ask{method: http.MethodGet, path: "/v1/openapi.yaml"})
	assert.Equal(t, http.StatusOK, got.status)
	assert.Equal(t, "application/yaml", got.header.Get("Content-Type"))
	assert.True(t, bytes.Equal(a.raw, got.body))
}

func TestAKeySetThatCannotBeReadIsNoRefusal(t *testing.T) {
	t.Parallel()
	a := newAPI(t, func(d *Deps) {
		d.Tokens = users{err: errors.Join(auth.ErrUnavailable, errors.New("dial tcp 10.0.0.9"))}
	})
	got := a.do(ask{method: http.MethodGet, path: "/v1/me/issues", token: "alice"})
	assert.Equal(t, http.StatusServiceUnavailable, got.status)
	assert.NotContains(t, string(got.body), "10.0.0.9")
}

func TestTheTableOfCodesIsWholeAndTheDocumentsExamplesAreItsWords(t *testing.T) {
	t.Parallel()
	a := newAPI(t)
	kinds := problemKinds()
	var codes, documented []any
	for code, kind := range kinds {
		codes = append(codes, string(code))
		assert.NotEmpty(t, kind.title)
		assert.True(t, strings.HasSuffix(kind.detail, "."), code)
		assert.True(t, slices.ContainsFunc([]rune(kind.detailKO), func(r rune) bool { return r >= '가' && r <= '힣' }), code)
		assert.GreaterOrEqual(t, kind.status, 400)
	}
	documented = append(documented, a.doc.Components.Schemas["ProblemCode"].Value.Enum...)
	assert.ElementsMatch(t, documented, codes)
	for v := coupon.Revoked; v <= coupon.SoldOut; v++ {
		assert.Contains(t, kinds, v.Code(), "every refusal of a gate has an answer")
	}

	shown := map[string]bool{}
	for name, example := range a.doc.Components.Examples {
		doc, ok := example.Value.Value.(map[string]any)
		if !ok || doc["code"] == nil {
			continue
		}
		code, _ := doc["code"].(string)
		shown[code] = true
		kind := kinds[coupon.Code(code)]
		assert.EqualValues(t, kind.status, doc["status"], name)
		assert.Equal(t, kind.title, doc["title"], name)
		assert.Equal(t, problemURN+code, doc["type"], name)
		detail, korean := kind.detail, kind.detailKO
		if fields, ok := doc["errors"].([]any); ok {
			p := invalid(shownFields(fields)...)
			detail, korean = p.detail, p.detailKO
		}
		assert.Equal(t, detail, doc["detail"], name)
		assert.Equal(t, korean, doc["detail_ko"], name)
	}
	assert.Len(t, shown, len(kinds), "every code has an example")
}

func shownFields(errs []any) (fields []*coupon.FieldError) {
	for _, e := range errs {
		shown, _ := e.(map[string]any)
		field, _ := shown["field"].(string)
		detail, _ := shown["detail"].(string)
		fields = append(fields, &coupon.FieldError{Field: field, Detail: detail})
	}
	return fields
}

// The generated types are those of the document as it is now.
func TestGeneratedTypesAreThoseOfTheDocument(t *testing.T) {
	t.Parallel()
	a := newAPI(t)
	types := map[string]any{
		"Receipt": contract.Receipt{}, "Issue": contract.Issue{}, "IssuePage": contract.IssuePage{}, "Coupon": contract.Coupon{},
		"CouponPage": contract.CouponPage{}, "CouponCreate": contract.CouponCreate{}, "CouponChange": contract.CouponChange{},
		"VendorCreate": contract.VendorCreate{}, "Vendor": contract.Vendor{}, "EventCreate": contract.EventCreate{}, "Event": contract.Event{},
		"FailedEvent": contract.FailedEvent{}, "FailedEventPage": contract.FailedEventPage{}, "RetryTaken": contract.RetryTaken{},
		"FieldProblem": contract.FieldProblem{}, "Problem": contract.Problem{},
	}
	for name, schema := range a.doc.Components.Schemas {
		if !schema.Value.Type.Is(openapi3.TypeObject) {
			continue
		}
		require.Contains(t, types, name)
		typ := reflect.TypeOf(types[name])
		var fields, required []string
		for i := range typ.NumField() {
			field, options, _ := strings.Cut(typ.Field(i).Tag.Get("json"), ",")
			fields = append(fields, field)
			if options == "" {
				required = append(required, field)
			}
		}
		var properties []string
		for property := range schema.Value.Properties {
			properties = append(properties, property)
		}
		assert.ElementsMatch(t, properties, fields, name)
		assert.ElementsMatch(t, schema.Value.Required, required, name)
	}
}

func TestNullableFieldsAreThoseOfTheDocument(t *testing.T) {
	t.Parallel()
	a := newAPI(t)
	nullable := func(schema string) (names []string) {
		for name, property := range a.doc.Components.Schemas[schema].Value.Properties {
			if property.Value.Type.Includes(openapi3.TypeNull) {
				names = append(names, name)
			}
		}
		return names
	}
	assert.ElementsMatch(t, nullable("CouponCreate"), nullableOfCreate())
	assert.ElementsMatch(t, nullable("CouponChange"), []string{totalField})
	assert.Empty(t, append(nullable("VendorCreate"), nullable("EventCreate")...))
}

func TestFilterValuesAreThoseOfTheDocument(t *testing.T) {
	t.Parallel()
	a := newAPI(t)
	var reasons, statuses []any
	for _, r := range failReasons() {
		reasons = append(reasons, string(r))
	}
	for _, s := range failedStatuses() {
		statuses = append(statuses, string(s))
	}
	assert.ElementsMatch(t, a.doc.Components.Schemas["FailReason"].Value.Enum, reasons)
	assert.ElementsMatch(t, a.doc.Components.Schemas["FailedStatus"].Value.Enum, statuses)
}

func TestARequestIDIsKeptIfItCanBeAndMadeElse(t *testing.T) {
	t.Parallel()
	a := newAPI(t)
	for given, kept := range map[string]bool{
		"3f1c-abc_DEF.9": true, "": false, "a b": false, "x\"y": false, strings.Repeat("x", 65): false, "한": false,
	} {
		got := a.do(ask{method: http.MethodGet, path: "/v1/nowhere", header: http.Header{"X-Request-Id": {given}}})
		assert.Equal(t, got.doc["request_id"], got.header.Get("X-Request-Id"))
		if kept {
			assert.Equal(t, given, got.doc["request_id"])
		} else {
			assert.Regexp(t, "^[0-9a-f]{16}$", got.doc["request_id"])
		}
	}
}

func TestForwardedAddressesAreNotBelieved(t *testing.T) {
	t.Parallel()
	a := newAPI(t)
	var seen string
	a.handler.engine.GET("/whoami", func(c *gin.Context) { seen = c.ClientIP(); c.Status(http.StatusNoContent) })
	a.do(ask{method: http.MethodGet, path: "/whoami", header: http.Header{"X-Forwarded-For": {"203.0.113.9"}}})
	assert.Equal(t, "192.0.2.1", seen)
}
