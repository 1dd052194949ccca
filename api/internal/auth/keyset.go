package auth

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"strings"
	"sync"
	"time"

	"github.com/coreos/go-oidc/v3/oidc"
	"github.com/golang-jwt/jwt/v5"
)

// Bounds of asking for the key set.
const (
	// keySetTimeout bounds one reading of the key set, and so how long a request may wait for it.
	keySetTimeout = 3 * time.Second
	// keySetMemory is how long one reading (or its failure) answers every further one: go-oidc reads the set anew for
	// every token with an unknown key, so that anybody could make us read it all the time. A new key counts at most so
	// much later.
	keySetMemory = 2 * time.Second
	// maxKeySet bounds the document in bytes: a set of ten RSA keys with certificates has about 40 KiB.
	maxKeySet = 1 << 20
)

// keySetAlgorithms are the algorithms that a key of the set may have signed with.
func keySetAlgorithms() []string { return []string{"RS256", "ES256", "EdDSA"} }

// keySet verifies signatures with the keys at a URL.
type keySet struct {
	remote *oidc.RemoteKeySet
	reader *keySetReader
	url    string
}

func newKeySet(url string, now func() time.Time) *keySet {
	// The set is read rarely, so no connection is kept.
	reader := &keySetReader{now: now, next: &http.Transport{Proxy: http.ProxyFromEnvironment, DisableKeepAlives: true}}
	client := &http.Client{Transport: reader, Timeout: keySetTimeout}
	return &keySet{remote: oidc.NewRemoteKeySet(oidc.ClientContext(context.Background(), client), url), reader: reader, url: url}
}

// keySetClaims verifies a token of the key set. Only the payload that was verified is looked at.
func (v *Verifier) keySetClaims(ctx context.Context, token string) (*claims, error) {
	ctx, cancel := context.WithTimeout(ctx, keySetTimeout)
	defer cancel()
	payload, err := v.keys.remote.VerifySignature(ctx, token)
	switch {
	case err == nil:
	case strings.HasPrefix(err.Error(), "fetching keys"): // go-oidc has no other mark of it
		return nil, fmt.Errorf("%w: %w", ErrUnavailable, err)
	default:
		return nil, refusalOf(jwt.ErrTokenSignatureInvalid)
	}
	return v.verified(payload)
}

// ready is nil once the set has been read; afterwards its keys are known, whatever becomes of the URL.
func (k *keySet) ready(ctx context.Context) error {
	if k.reader.everRead() {
		return nil
	}
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, k.url, nil)
	if err != nil {
		return fmt.Errorf("auth.jwks_url: %w", err)
	}
	resp, err := k.reader.RoundTrip(req)
	if err != nil {
		return fmt.Errorf("auth.jwks_url: %w", err)
	}
	return resp.Body.Close()
}

// keySetReader reads the set at most every keySetMemory and answers what it read last in between. It is the transport
// under go-oidc.
type keySetReader struct {
	next http.RoundTripper
	now  func() time.Time

	mu      sync.Mutex // held while reading: whoever asks meanwhile gets that answer
	at      time.Time
	body    []byte
	err     error
	wasRead bool
}

// RoundTrip answers with the set, or with an error: also for another status than 200 and for what is no key set.
func (r *keySetReader) RoundTrip(req *http.Request) (*http.Response, error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if elapsed := r.now().Sub(r.at); r.at.IsZero() || elapsed < 0 || elapsed >= keySetMemory {
		r.body, r.err = r.read(req)
		r.at = r.now()
		r.wasRead = r.wasRead || r.err == nil
	}
	if r.err != nil {
		return nil, r.err
	}
	return &http.Response{
		Status: "200 OK", StatusCode: http.StatusOK, Proto: "HTTP/1.1", ProtoMajor: 1, ProtoMinor: 1,
		Header:        http.Header{"Content-Type": {"application/json"}},
		Body:          io.NopCloser(bytes.NewReader(r.body)),
		ContentLength: int64(len(r.body)), Request: req,
	}, nil
}

func (r *keySetReader) read(req *http.Request) ([]byte, error) {
	resp, err := r.next.RoundTrip(req)
	if err != nil {
		return nil, err
	}
	body, err := io.ReadAll(io.LimitReader(resp.Body, maxKeySet+1))
	if err = errors.Join(err, resp.Body.Close()); err != nil {
		return nil, err
	}
	var set struct {
		Keys []json.RawMessage `json:"keys"`
	}
	switch err = json.Unmarshal(body, &set); {
	case resp.StatusCode != http.StatusOK:
		return nil, fmt.Errorf("the key set is answered with %s", resp.Status)
	case len(body) > maxKeySet:
		return nil, fmt.Errorf("the key set has more than %d bytes", maxKeySet)
	case err != nil:
		return nil, fmt.Errorf("the key set is not one: %w", err)
	case len(set.Keys) == 0:
		return nil, errors.New("the key set is empty")
	}
	return body, nil
}

func (r *keySetReader) everRead() bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.wasRead
}
