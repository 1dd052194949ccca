package config

import (
	"errors"
	"fmt"
	"math"
	"reflect"
	"strconv"
	"strings"
	"time"
)

// set decodes what a file or a variable gave into the leaf. Everything goes by its text, so that `8080` means the same
// in both. The error says what was given, unless it is a secret, and what is allowed.
func set(l leaf, given any) error {
	if l.value.Kind() == reflect.Slice {
		list, err := textList(given)
		if err != nil {
			return err
		}
		l.value.Set(reflect.ValueOf(list))
		return nil
	}
	text, err := textOf(given)
	if err != nil {
		return err
	}
	switch l.value.Interface().(type) {
	case string, Secret:
		l.value.SetString(text)
	case time.Duration:
		d, err := time.ParseDuration(text)
		if err != nil {
			return fmt.Errorf("%q is no duration; allowed: %s, with a unit, such as 500ms or 2s", shorten(text), allowedRange(l))
		}
		l.value.SetInt(int64(d))
	case int:
		n, err := strconv.ParseInt(text, 10, strconv.IntSize)
		if err != nil {
			return fmt.Errorf("%q is no whole number; allowed: %s", shorten(text), allowedRange(l))
		}
		l.value.SetInt(n)
	case float64:
		f, err := strconv.ParseFloat(text, 64)
		if err != nil || math.IsNaN(f) || math.IsInf(f, 0) {
			return fmt.Errorf("%q is no number; allowed: %s", shorten(text), allowedRange(l))
		}
		l.value.SetFloat(f)
	default:
		return fmt.Errorf("has the type %s, which cannot be read", l.value.Type())
	}
	return nil
}

// textOf is the text of a single value.
func textOf(given any) (string, error) {
	switch v := given.(type) {
	case nil:
		return "", nil
	case string:
		return strings.TrimSpace(v), nil
	case []any, []string, map[string]any, map[any]any:
		return "", errors.New("must be a single value, not a list or a section")
	case time.Time:
		return v.Format(time.RFC3339Nano), nil
	default:
		return fmt.Sprint(v), nil
	}
}

// textList is the texts of a list: of a YAML list, or of one text with commas.
func textList(given any) ([]string, error) {
	var items []any
	switch v := given.(type) {
	case []any:
		items = v
	case map[string]any, map[any]any:
		return nil, errors.New("must be a list, not a section")
	default:
		text, err := textOf(v)
		if err != nil {
			return nil, err
		}
		for part := range strings.SplitSeq(text, ",") {
			items = append(items, part)
		}
	}
	list := make([]string, 0, len(items))
	for _, item := range items {
		text, err := textOf(item)
		if err != nil {
			return nil, errors.New("must be a list of single values")
		}
		if text == "" {
			return nil, errors.New("has an empty entry; allowed: a list such as a,b or a YAML list")
		}
		list = append(list, text)
	}
	return list, nil
}

// shorten keeps a message readable when somebody puts a file into a value.
func shorten(text string) string {
	const most = 80
	if len(text) > most {
		return strings.ToValidUTF8(text[:most], "") + "…"
	}
	return text
}
