// Package config is the whole configuration of the product: one typed struct for all roles, the defaults, and Load,
// which reads `configs/<role>.yaml` and then the environment (FIRSTCOME_ and the key with `_`), and refuses whatever
// it does not understand, everything at once.
//
// A key of another role is no error, so that one environment serves all roles. A key of nobody is one, since a
// misspelt key would otherwise leave a default in force without a word.
package config
