package config

import (
	"reflect"
	"strings"
)

// EnvPrefix begins every environment variable of the product.
const EnvPrefix = "FIRSTCOME_"

// notConfiguration are variables with the prefix that only scripts and tests read: the addresses of several apis, and
// where the tests find real servers.
func notConfiguration() []string {
	return []string{EnvPrefix + "API_ADDRS", EnvPrefix + "OPS_ADDRS", EnvPrefix + "TEST_*"}
}

// leaf is one key and the place of its value in a Config.
type leaf struct {
	key   string
	field reflect.StructField
	value reflect.Value
}

// env is the leaf's environment variable.
func (l leaf) env() string { return EnvPrefix + strings.ToUpper(strings.ReplaceAll(l.key, ".", "_")) }

// leaves are all keys of c, in the order of the struct, with settable values.
func leaves(c *Config) []leaf {
	var all []leaf
	sections := reflect.ValueOf(c).Elem()
	for i := range sections.NumField() {
		section := sections.Type().Field(i)
		if !section.IsExported() {
			continue
		}
		fields := sections.Field(i)
		for j := range fields.NumField() {
			field := fields.Type().Field(j)
			all = append(all, leaf{
				key:   section.Tag.Get("key") + "." + field.Tag.Get("key"),
				field: field,
				value: fields.Field(j),
			})
		}
	}
	return all
}

// didYouMean is a hint at the nearest of the names, or "".
func didYouMean(given string, names []string) string {
	best, distance := "", len(given)/3+1 // more than every third character wrong is another word
	for _, name := range names {
		if d := editDistance(given, name); d < distance {
			best, distance = name, d
		}
	}
	if best == "" {
		return ""
	}
	return "; did you mean " + best + "?"
}

// editDistance counts the insertions, deletions and replacements (Levenshtein) that make b of a.
func editDistance(a, b string) int {
	row := make([]int, len(b)+1)
	for j := range row {
		row[j] = j
	}
	for i := range len(a) {
		diagonal := row[0]
		row[0] = i + 1
		for j := range len(b) {
			cost := diagonal
			if a[i] != b[j] {
				cost++
			}
			diagonal = row[j+1]
			row[j+1] = min(cost, row[j]+1, row[j+1]+1)
		}
	}
	return row[len(b)]
}
