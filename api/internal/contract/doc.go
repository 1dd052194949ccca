// Package contract is what oapi-codegen makes of openapi.yaml: the types of the outside contract and the gin routes. A
// test fails when the generated file is not what the document says now.
package contract

//go:generate go run github.com/oapi-codegen/oapi-codegen/v2/cmd/oapi-codegen@v2.8.2 -config oapi.yaml ../../openapi.yaml
