package main

import (
	"bufio"
	"context"
	"fmt"
	"net"
	"net/http"
	"os"
	"os/exec"
	"strings"
	"time"

	"github.com/gin-gonic/gin"
)

// serveEmpty is the limit that claims are compared with: the same router and route, a handler that does nothing but
// answer a body of the same size. It runs in a process of its own, like the api.
func serveEmpty() error {
	gin.SetMode(gin.ReleaseMode)
	engine := gin.New()
	body := []byte(`{"coupon_id":123456789012,"user_id":"u-00001","nth":1,"seq":57,"status":"accepted","accepted_at":"2026-11-20T12:00:00.000123Z"}`)
	engine.POST("/v1/coupons/:id/issues", func(c *gin.Context) {
		c.Data(http.StatusAccepted, "application/json", body)
	})
	listener, err := (&net.ListenConfig{}).Listen(context.Background(), "tcp", "127.0.0.1:0")
	if err != nil {
		return err
	}
	fmt.Println(listener.Addr())
	server := &http.Server{Handler: engine, ReadHeaderTimeout: 5 * time.Second}
	return server.Serve(listener)
}

// startEmpty starts this program once more as the empty handler.
func startEmpty(ctx context.Context) (base string, stop func(), err error) {
	self, err := os.Executable()
	if err != nil {
		return "", nil, err
	}
	cmd := exec.CommandContext(ctx, self, "empty-handler") //nolint:gosec // this program
	out, err := cmd.StdoutPipe()
	if err != nil {
		return "", nil, err
	}
	if err = cmd.Start(); err != nil {
		return "", nil, err
	}
	line, err := bufio.NewReader(out).ReadString('\n')
	stop = func() {
		_ = cmd.Process.Kill() // it has nothing to finish
		_ = cmd.Wait()         // "killed" is what was wanted
	}
	if err != nil {
		stop()
		return "", nil, err
	}
	return "http://" + strings.TrimSpace(line), stop, nil
}
