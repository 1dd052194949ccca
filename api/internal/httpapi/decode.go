package httpapi

import (
	"bytes"
	"encoding/json"
	"errors"
	"io"
	"mime"
	"net/http"
	"reflect"
	"slices"
	"strings"
	"time"
	"unicode/utf8"

	"github.com/firstcome/firstcome/core/coupon"
)

// Bounds of bodies.
const (
	// maxBody is 64 KiB, by contract; the largest sensible request has about 1 KiB.
	maxBody = 64 << 10
	// maxNesting bounds brackets inside brackets before anything recursive sees them. Our objects have depth 1; a bit
	// more, so that a nested value is answered with the name of its field.
	maxNesting = 16
)

var (
	errBodyTooLarge = errors.New("the body is too large")
	errMediaType    = errors.New("the content type is not supported")
)

// bodyField names the body as a whole in field errors.
const bodyField = "body"

// decode reads the request's body, one JSON object, into dst, a pointer to a struct of the generated types, and returns
// the names of the fields that were there; nil when there is no object. A field without a pointer is required; those in nullable may be null, which
// leaves the pointer nil. Everything that is wrong with the fields is in the error at once, joined FieldErrors;
// errBodyTooLarge and errMediaType stand alone.
func decode(r *http.Request, dst any, nullable ...string) (present map[string]bool, err error) {
	body, err := readBody(r)
	if err != nil {
		return nil, err
	}
	if len(body) == 0 {
		return nil, fieldError(bodyField, "must be one JSON object; it is empty")
	}
	return decodeObject(body, dst, nullable)
}

// decodeNothing accepts an empty body and `{}`.
func decodeNothing(r *http.Request) error {
	if r.ContentLength == 0 || r.Body == nil || r.Body == http.NoBody {
		return nil
	}
	body, err := readBody(r)
	if err != nil || len(body) == 0 {
		return err
	}
	var nothing struct{}
	_, err = decodeObject(body, &nothing, nil)
	return err
}

// readBody reads a bounded body and, if there is one, checks its type.
func readBody(r *http.Request) ([]byte, error) {
	if r.ContentLength > maxBody {
		return nil, errBodyTooLarge
	}
	body, err := io.ReadAll(io.LimitReader(r.Body, maxBody+1))
	switch {
	case len(body) > maxBody:
		return nil, errBodyTooLarge
	case err != nil:
		return nil, fieldError(bodyField, "could not be read to its end")
	case len(body) > 0 && !isJSON(r.Header):
		return nil, errMediaType
	default:
		return body, nil
	}
}

func isJSON(h http.Header) bool {
	if encoding := h.Get("Content-Encoding"); encoding != "" && !strings.EqualFold(encoding, "identity") {
		return false
	}
	types := h.Values("Content-Type")
	if len(types) != 1 {
		return false
	}
	media, params, err := mime.ParseMediaType(types[0])
	if err != nil || media != "application/json" {
		return false
	}
	charset, given := params["charset"]
	return !given || strings.EqualFold(charset, "utf-8")
}

func decodeObject(body []byte, dst any, nullable []string) (map[string]bool, error) {
	raw, err := splitObject(body)
	if err != nil {
		return nil, err
	}
	v := reflect.ValueOf(dst).Elem()
	present := make(map[string]bool, len(raw))
	var errs []error
	known := make(map[string]bool, v.NumField())
	for i := range v.NumField() {
		name, _, _ := strings.Cut(v.Type().Field(i).Tag.Get("json"), ",")
		known[name] = true
		value, there := find(raw, name)
		field := v.Field(i)
		switch {
		case there:
			present[name] = true
			if err := decodeField(name, value, field, slices.Contains(nullable, name)); err != nil {
				errs = append(errs, err)
			}
		case field.Kind() != reflect.Pointer:
			errs = append(errs, fieldError(name, "is needed"))
		}
	}
	for _, f := range raw {
		if !known[f.name] {
			errs = append(errs, fieldError(f.name, "is no field of this request"))
		}
	}
	return present, errors.Join(errs...)
}

type rawField struct {
	name  string
	value json.RawMessage
}

func find(fields []rawField, name string) (json.RawMessage, bool) {
	i := slices.IndexFunc(fields, func(f rawField) bool { return f.name == name })
	if i < 0 {
		return nil, false
	}
	return fields[i].value, true
}

// splitObject splits one JSON object into its fields, in order. It refuses what encoding/json lets through: bytes after
// the object, a field twice, text that is not UTF-8; and names that differ in case are different names.
func splitObject(body []byte) ([]rawField, error) {
	if !utf8.Valid(body) {
		return nil, fieldError(bodyField, "must be UTF-8")
	}
	if nesting(body) > maxNesting {
		return nil, fieldError(bodyField, "must not be nested more than %d deep", maxNesting)
	}
	dec := json.NewDecoder(bytes.NewReader(body))
	if first, err := dec.Token(); err != nil || first != json.Delim('{') {
		return nil, fieldError(bodyField, "must be one JSON object")
	}
	var fields []rawField
	for dec.More() {
		var f rawField
		key, err := dec.Token()
		name, isString := key.(string)
		if err != nil || !isString {
			return nil, fieldError(bodyField, "is not JSON")
		}
		f.name = name
		if err := dec.Decode(&f.value); err != nil {
			return nil, fieldError(bodyField, "is not JSON, at the value of %s", named(f.name))
		}
		if _, twice := find(fields, f.name); twice {
			return nil, fieldError(f.name, "is there twice")
		}
		if len(fields) == maxFields {
			return nil, fieldError(bodyField, "must have at most %d fields", maxFields)
		}
		fields = append(fields, f)
	}
	if _, err := dec.Token(); err != nil {
		return nil, fieldError(bodyField, "is not JSON")
	}
	if _, err := dec.Token(); !errors.Is(err, io.EOF) {
		return nil, fieldError(bodyField, "must end after the JSON object")
	}
	return fields, nil
}

// maxFields bounds the fields of one object, since each is compared with all before it. The largest request has 14.
const maxFields = 64

// nesting is the greatest depth of brackets outside of strings.
func nesting(body []byte) int {
	depth, deepest, inString := 0, 0, false
	for i := 0; i < len(body); i++ {
		switch c := body[i]; {
		case inString && c == '\\':
			i++
		case c == '"':
			inString = !inString
		case inString:
		case c == '{' || c == '[':
			depth++
			deepest = max(deepest, depth)
		case c == '}' || c == ']':
			depth--
		}
	}
	return deepest
}

func decodeField(name string, value json.RawMessage, field reflect.Value, nullable bool) error {
	if string(value) == "null" {
		if nullable {
			return nil
		}
		return fieldError(name, "must not be null")
	}
	if field.Kind() == reflect.Pointer {
		field.Set(reflect.New(field.Type().Elem()))
		field = field.Elem()
	}
	if err := json.Unmarshal(value, field.Addr().Interface()); err != nil {
		return fieldError(name, "%s", wanted(field))
	}
	switch at, isTime := field.Interface().(time.Time); {
	case isTime:
		field.Set(reflect.ValueOf(at.UTC().Truncate(time.Microsecond))) // what all stores keep
	case field.Kind() == reflect.String && strings.ContainsRune(field.String(), utf8.RuneError) && !saysReplacement(value):
		return fieldError(name, "must be valid Unicode") // half a surrogate pair; the decoder replaces it silently
	}
	return nil
}

// saysReplacement tells whether the text has the replacement character U+FFFD of its own.
func saysReplacement(value json.RawMessage) bool {
	return bytes.ContainsRune(value, utf8.RuneError) || bytes.Contains(bytes.ToLower(value), []byte(`\ufffd`))
}

// wanted says what a field of this type must be.
func wanted(field reflect.Value) string {
	switch field.Interface().(type) {
	case time.Time:
		return "must be a time by RFC 3339, such as 2026-11-20T12:00:00Z"
	case bool:
		return "must be true or false"
	}
	if field.Kind() == reflect.String {
		return "must be text"
	}
	return "must be a whole number of at most 64 bits, without fraction or exponent"
}

// keepFirst joins two checks of one request; both give field errors and nothing else. It drops those about fields that
// are named already, and about closes_at where the window's other edge is not known: they would only repeat or guess.
func keepFirst(decoded, validated error) error {
	seen := map[string]bool{}
	var errs []error
	for _, f := range fieldErrors(decoded) {
		seen[f.Field] = true
		errs = append(errs, f)
	}
	seen["closes_at"] = seen["closes_at"] || seen["opens_at"]
	for _, f := range fieldErrors(validated) {
		if !seen[f.Field] {
			errs = append(errs, f)
		}
	}
	return errors.Join(errs...)
}

// checkText checks a text that people wrote and people read: 1 to limit characters, not only blanks, no control
// characters.
func checkText(field, s string, limit int) *coupon.FieldError {
	bad := utf8.RuneCountInString(s) > limit || strings.TrimSpace(s) == "" ||
		strings.ContainsFunc(s, func(r rune) bool { return r < ' ' || r == 0x7f })
	if bad {
		return fieldError(field, "must have 1 to %d characters and no control characters", limit)
	}
	return nil
}
