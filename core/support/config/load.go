package config

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"reflect"
	"slices"
	"strings"

	"github.com/spf13/viper"
)

// LoadOptions say where to read from.
type LoadOptions struct {
	Path string   // a YAML file that must be there; "": configs/<role>.yaml, if it is there
	Env  []string // as of os.Environ; nil: os.Environ()
}

// maxFile bounds a configuration file; the shipped ones have 4 KiB.
const maxFile = 1 << 20

// Load reads a role's configuration: defaults, then the file, then the environment. The error is an *Error that names
// everything there is to correct.
//
// Viper reads the file and lays the environment over it. Values are decoded here and not by viper, since its decoder
// takes 1.5 for a whole number and quotes what was given, secrets too.
func Load(role Role, opts LoadOptions) (Config, error) {
	c := Default(role)
	problems := &Error{Role: role}
	v := viper.New()
	keys := leaves(&c)
	c.given = map[string]string{}

	path := readFile(v, role, opts.Path, problems)
	unknownKeys(v, path, keys, problems)
	for _, l := range keys {
		if v.InConfig(l.key) {
			c.given[l.key] = path
		}
	}
	env := opts.Env
	if env == nil {
		env = os.Environ()
	}
	layEnvironment(v, env, keys, c.given, problems)

	for _, l := range keys {
		from, given := c.given[l.key]
		if !given {
			continue
		}
		unset, usual := reflect.ValueOf(l.value.Interface()), defaultText(l)
		err := set(l, v.Get(l.key))
		if err == nil {
			err = checkLeaf(l, usual)
		}
		if err != nil {
			problems.add(l.key, "%s (from %s)", err, from)
			l.value.Set(unset) // what relates to it is judged by its default, so that all is said at once
			delete(c.given, l.key)
		}
	}
	relations := &Error{}
	checkRelations(role, c, relations)
	for _, p := range relations.Problems {
		if from, given := c.given[p.Key]; given {
			p.Detail += " (from " + from + ")"
		}
		problems.Problems = append(problems.Problems, p)
	}
	if len(problems.Problems) > 0 {
		return Config{}, problems
	}
	return c, nil
}

// Given says where a key was given: the file's path or the variable's name; false when its default is in force.
func (c Config) Given(key string) (from string, given bool) {
	from, given = c.given[key]
	return from, given
}

func (e *Error) add(key, format string, args ...any) {
	e.Problems = append(e.Problems, Problem{Key: key, Detail: fmt.Sprintf(format, args...)})
}

// readFile reads the role's file into v and returns its path; "" when there is none.
func readFile(v *viper.Viper, role Role, path string, problems *Error) string {
	optional := path == ""
	if optional {
		path = filepath.Join("configs", string(role)+".yaml")
	}
	info, err := os.Stat(path)
	switch {
	case optional && errors.Is(err, fs.ErrNotExist):
		return ""
	case err != nil:
		problems.add(path, "cannot be read: %v", err)
		return ""
	case !info.Mode().IsRegular() || info.Size() > maxFile:
		problems.add(path, "must be a YAML file of at most %d bytes", maxFile)
		return ""
	}
	v.SetConfigFile(path)
	v.SetConfigType("yaml")
	if err := v.ReadInConfig(); err != nil {
		problems.add(path, "is no YAML of `section:` and `  key: value` lines: %v", err)
		return ""
	}
	return path
}

// unknownKeys names what stands in the file and is no key.
func unknownKeys(v *viper.Viper, path string, keys []leaf, problems *Error) {
	names := make([]string, len(keys))
	sections := map[string][]string{}
	for i, l := range keys {
		names[i] = l.key
		section, _, _ := strings.Cut(l.key, ".")
		sections[section] = append(sections[section], l.key)
	}
	found := v.AllKeys()
	slices.Sort(found)
	for _, key := range found {
		if slices.Contains(names, key) {
			continue
		}
		within, isSection := sections[key]
		switch {
		case isSection && v.Get(key) == nil: // a section whose keys are all commented out
		case isSection:
			problems.add(key, "is a section (in %s); its keys are %s", path, strings.Join(within, ", "))
		default:
			if l := slices.IndexFunc(names, func(n string) bool { return strings.HasPrefix(key, n+".") }); l >= 0 {
				key = names[l]
				problems.add(key, "must be a single value or a list, not a section (in %s)", path)
				continue
			}
			problems.add(key, "is no key (in %s)%s", path, didYouMean(key, names))
		}
	}
}

// layEnvironment sets what the environment gives over what the file gave. An empty variable counts as not there, as
// compose files and shells leave them when a value is missing.
func layEnvironment(v *viper.Viper, env []string, keys []leaf, given map[string]string, problems *Error) {
	byName := make(map[string]leaf, len(keys))
	names := make([]string, len(keys))
	for i, l := range keys {
		names[i] = l.env()
		byName[names[i]] = l
	}
	for _, entry := range env {
		name, value, _ := strings.Cut(entry, "=")
		if !strings.HasPrefix(name, EnvPrefix) || outsideConfiguration(name) {
			continue
		}
		l, known := byName[name]
		switch {
		case !known:
			problems.add(name, "is no variable of firstcome%s", didYouMean(name, names))
		case value != "":
			v.Set(l.key, value)
			given[l.key] = name
		}
	}
}

func outsideConfiguration(name string) bool {
	return slices.ContainsFunc(notConfiguration(), func(pattern string) bool {
		prefix, wild := strings.CutSuffix(pattern, "*")
		return name == pattern || (wild && strings.HasPrefix(name, prefix))
	})
}
