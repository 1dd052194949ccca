// Package client is what oapi-codegen makes of openapi.yaml for those who call the api: its types and a client with a
// method for each call.
package client

//go:generate go run github.com/oapi-codegen/oapi-codegen/v2/cmd/oapi-codegen@v2.8.2 -config oapi.yaml ../openapi.yaml
