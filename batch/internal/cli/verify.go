package cli

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"time"

	"github.com/jedib0t/go-pretty/v6/table"
	"github.com/jedib0t/go-pretty/v6/text"
	"github.com/spf13/cobra"

	"github.com/firstcome/firstcome/batch"
	"github.com/firstcome/firstcome/core/audit"
)

// findingsError says that an audit found something; what it is was printed.
type findingsError struct{ n int64 }

func (e *findingsError) Error() string { return fmt.Sprintf("%d findings", e.n) }

const (
	// tableRows bounds the findings of one type in the table; the rest is counted.
	tableRows = 20
	// maxSettle bounds --settle; nothing that repairs itself takes an hour.
	maxSettle = time.Hour
	wideCell  = 60
)

func newVerify(load loader) *cobra.Command {
	var asJSON bool
	req := batch.VerifyRequest{}
	cmd := &cobra.Command{
		Use:   "verify",
		Short: "Compare database, log and gates, and say what is wrong",
		Long: `Compare the three books: rows in the database, records in Kafka, gates in Redis. It shares no code with those who
write them and writes nothing. It may run while claims are served: what may be work in flight is waited for (--settle)
and looked at again, and only what stays wrong is a finding. What each finding means and what to type then stands in
docs/runbook.md, section "Findings"; "batch reconcile" repairs what can be repaired.

Status: 0 clean, 1 findings, 2 one of the three could not be looked at (or the command line cannot be used).`,
		Example: `  batch verify
  batch verify --json --settle 10s
  batch verify --coupon 1786204
  set -a; . data/embedded.env; set +a; batch verify   # the embedded stack, while it runs`,
		Args: noArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			if req.Settle < 0 || req.Settle > maxSettle || req.Coupon < 0 {
				return misused(cmd, errors.New("--settle must be from 0s to 1h, --coupon an id"))
			}
			cfg, _, err := load()
			if err != nil {
				return err
			}
			req.Progress = progress(cmd.ErrOrStderr())
			report, err := batch.Verify(cmd.Context(), cfg, req)
			var none *audit.NoCouponError
			if errors.As(err, &none) {
				return &usageError{fmt.Errorf("batch: %w", err)}
			}
			if err != nil {
				return err
			}
			return printAudit(cmd.OutOrStdout(), report, asJSON)
		},
	}
	cmd.Flags().BoolVar(&asJSON, "json", false, "print JSON")
	cmd.Flags().Int64Var(&req.Coupon, "coupon", 0, "look at this coupon alone, and at what decides together with it")
	cmd.Flags().DurationVar(&req.Settle, "settle", batch.DefaultSettle, "how long work in flight is waited for")
	return cmd
}

// progress prints what takes long; a closed error output stops nothing.
func progress(w io.Writer) func(string) {
	return func(what string) { _, _ = fmt.Fprintln(w, what) }
}

// printAudit prints what an audit came to; the error is that there are findings.
func printAudit(w io.Writer, r audit.Report, asJSON bool) error {
	var err error
	if asJSON {
		encoder := json.NewEncoder(w)
		encoder.SetEscapeHTML(false)
		err = encoder.Encode(r)
	} else {
		_, err = io.WriteString(w, reportText(r))
	}
	if err != nil || r.Clean {
		return err
	}
	return &findingsError{total(r)}
}

func total(r audit.Report) (n int64) {
	for _, count := range r.Counts {
		n += count
	}
	return n
}

func reportText(r audit.Report) string {
	out := ""
	if !r.Clean {
		out = findingsTable(r) + "\n"
	}
	for _, note := range r.Notes {
		out += "note: " + note + "\n"
	}
	verdict := "clean"
	if !r.Clean {
		verdict = fmt.Sprintf("%d findings", total(r))
	}
	return out + fmt.Sprintf("verify: %s; looked at %d rows, %d records, %d holders in %d gates, in %.1f s\n", verdict,
		r.LookedAt.Rows, r.LookedAt.Records, r.LookedAt.Holders, r.LookedAt.Gates, r.Seconds)
}

func findingsTable(r audit.Report) string {
	t := table.NewWriter()
	t.AppendHeader(table.Row{"type", "severity", "about", "evidence", "repair"})
	shown := map[audit.Type]int{}
	for _, f := range r.Findings {
		if shown[f.Type]++; shown[f.Type] <= tableRows {
			t.AppendRow(table.Row{f.Type, f.Severity, f.Subject, f.Evidence, f.Repair})
		}
	}
	for _, k := range audit.Kinds() {
		if more := r.Counts[k.Type] - tableRows; more > 0 {
			t.AppendRow(table.Row{k.Type, k.Severity, fmt.Sprintf("and %d more", more), "see --json", ""})
		}
	}
	t.SetColumnConfigs([]table.ColumnConfig{
		{Name: "about", WidthMax: wideCell / 2, WidthMaxEnforcer: text.WrapSoft},
		{Name: "evidence", WidthMax: wideCell, WidthMaxEnforcer: text.WrapSoft},
		{Name: "repair", WidthMax: wideCell / 2, WidthMaxEnforcer: text.WrapSoft},
	})
	return t.Render()
}
