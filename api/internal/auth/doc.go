// Package auth tells who asks: it verifies bearer tokens (JWT), signed with the shared secret (HS256) or with a key of
// the configured set (RS256, ES256, EdDSA). Which algorithm is believed depends on what is configured, never on the
// token: a token cannot have the public key of a set taken for a shared secret.
package auth
