package world

import (
	"context"
	"fmt"
	"os"
	"regexp"
	"strings"
)

// Versions of the servers.
func (w *World) Versions(ctx context.Context) (redis, kafka, database string, err error) {
	if err = w.DB.QueryRowContext(ctx, "SELECT VERSION()").Scan(&database); err != nil {
		return "", "", "", err
	}
	if !strings.Contains(database, "MariaDB") {
		database = "MySQL " + database
	}
	info, err := w.Redis.Info(ctx, "server").Result()
	if err != nil {
		return "", "", "", err
	}
	redis, kafka = "unknown", "unknown"
	if found := regexp.MustCompile(`redis_version:(\S+)`).FindStringSubmatch(info); found != nil {
		redis = found[1]
	}
	// A broker tells its version to nobody; the folder of its libraries does.
	pid, err := w.Server("kafka")
	if err != nil {
		return "", "", "", err
	}
	command, err := os.ReadFile(fmt.Sprintf("/proc/%d/cmdline", pid))
	if err != nil {
		return "", "", "", err
	}
	if found := regexp.MustCompile(`kafka-(\d[\d.]*\d)`).FindSubmatch(command); found != nil {
		kafka = string(found[1])
	}
	return redis, kafka, database, nil
}
