// Package ops is the listener for those who run the product: /livez (start me anew?), /readyz (send me work?) and
// /metrics. It has no authentication and belongs on loopback or on a network of its own.
package ops
