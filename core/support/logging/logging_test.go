package logging_test

import (
	"encoding/json"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/firstcome/firstcome/core/support/config"
	"github.com/firstcome/firstcome/core/support/logging"
)

func TestLinesHaveTheFormatLevelAndRole(t *testing.T) {
	t.Parallel()
	var out strings.Builder
	log := logging.New(&out, config.Log{Format: "json", Level: "warn"}, config.Batch)
	log.Info("unheard")
	log.Warn("heard", "took", 1234567*time.Nanosecond)
	var line map[string]any
	require.NoError(t, json.Unmarshal([]byte(out.String()), &line))
	assert.Equal(t, "heard", line["msg"])
	assert.Equal(t, "batch", line["role"])
	assert.Equal(t, "1.235ms", line["took"])
	assert.Regexp(t, regexp.MustCompile(`^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{6}Z$`), line["time"])

	out.Reset()
	logging.New(&out, config.Log{Format: "text", Level: "debug"}, config.API).Debug("heard")
	assert.Contains(t, out.String(), "level=DEBUG msg=heard role=api")
}
