package main

import (
	"context"
	"flag"
	"fmt"
	"net"
	"net/http"
	"slices"
	"strings"
	"time"

	"github.com/gin-gonic/gin"
	"github.com/golang-jwt/jwt/v5"

	"github.com/firstcome/firstcome/bench/strategies"
)

// serve is one process of one way: the same front for all of them.
func serve(args []string) error {
	flags := flag.NewFlagSet("serve", flag.ContinueOnError)
	name := flags.String("way", "", "its name")
	addr := flags.String("addr", "127.0.0.1:0", "where to listen")
	couponID := flags.Int64("coupon", 0, "the coupon")
	places := flags.Int64("places", 0, "how many there are")
	if err := flags.Parse(args); err != nil {
		return err
	}
	ways := strategies.Ways()
	at := slices.IndexFunc(ways, func(w strategies.Way) bool { return w.Name == *name })
	if at < 0 {
		return fmt.Errorf("there is no way %q", *name)
	}
	s, err := readSettings()
	if err != nil {
		return err
	}
	db, err := s.database()
	if err != nil {
		return err
	}
	produce, err := s.producer()
	if err != nil {
		return err
	}
	strategy := ways[at].New(strategies.Bench{
		DB: db, Redis: s.redisClient(), Coupon: *couponID, Cap: *places,
		Log: func(ctx context.Context, user string) error { return produce(ctx, *couponID, user) },
	})
	listener, err := (&net.ListenConfig{}).Listen(context.Background(), "tcp", *addr)
	if err != nil {
		return err
	}
	server := &http.Server{Handler: front(s.secret, strategy), ReadHeaderTimeout: 5 * time.Second}
	return server.Serve(listener)
}

// answerWithin bounds a claim, as the product's api does.
const answerWithin = 10 * time.Second

// front verifies the token and asks the strategy.
func front(secret []byte, strategy strategies.Strategy) http.Handler {
	gin.SetMode(gin.ReleaseMode)
	engine := gin.New()
	parser := jwt.NewParser(jwt.WithValidMethods([]string{"HS256"}), jwt.WithExpirationRequired())
	key := func(*jwt.Token) (any, error) { return secret, nil } //nolint:unparam // the library's signature
	engine.GET("/readyz", func(c *gin.Context) { c.Status(http.StatusOK) })
	engine.POST("/v1/coupons/:id/issues", func(c *gin.Context) {
		var claims jwt.RegisteredClaims
		if _, err := parser.ParseWithClaims(strings.TrimPrefix(c.GetHeader("Authorization"), "Bearer "), &claims, key); err != nil {
			c.String(http.StatusUnauthorized, err.Error())
			return
		}
		ctx, cancel := context.WithTimeout(c.Request.Context(), answerWithin)
		defer cancel()
		switch answer, err := strategy.Claim(ctx, claims.Subject); {
		case err != nil:
			c.String(http.StatusServiceUnavailable, err.Error())
		case answer == strategies.SoldOut:
			c.JSON(http.StatusConflict, gin.H{"code": "sold_out"})
		default:
			c.JSON(http.StatusAccepted, gin.H{"coupon_id": c.Param("id"), "user_id": claims.Subject, "status": "accepted"})
		}
	})
	return engine
}
