// Command probe asks one URL and ends with status 0 when it answers 200. The final images hold no shell and no curl, so
// this is their health check:
//
//	probe http://127.0.0.1:9080/readyz
package main

import (
	"fmt"
	"net/http"
	"os"
	"time"
)

func main() {
	if len(os.Args) != 2 {
		fail("usage: probe URL")
	}
	client := http.Client{Timeout: 4 * time.Second} // below the health checks' own 5 s
	resp, err := client.Get(os.Args[1])
	if err != nil {
		fail(err.Error())
	}
	_ = resp.Body.Close() // only the status counts
	if resp.StatusCode != http.StatusOK {
		fail(resp.Status)
	}
}

func fail(why string) {
	fmt.Fprintln(os.Stderr, "probe:", why)
	os.Exit(1)
}
