package cli

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"

	"github.com/spf13/cobra"

	"github.com/firstcome/firstcome/batch"
	"github.com/firstcome/firstcome/core/support/doctor"
)

// errBroken and errBlind are the two ends of a doctor that are not good.
var (
	errBroken = errors.New("something breaks a guarantee")
	errBlind  = errors.New("a server could not be looked at")
)

func newDoctor(load loader) *cobra.Command {
	asJSON := false
	cmd := &cobra.Command{
		Use:   "doctor",
		Short: "Check what the guarantees rest on: how Redis, Kafka and the database are set up",
		Long: `Check how Redis, Kafka, the database and the clocks are set up, against what docs/guarantees.md rests on. It
changes nothing. Every role makes the checks of its own servers at its start and refuses to run on what breaks a
guarantee, unless the check is named in checks.allow.

Status: 0 fine (there may be risks and advice), 1 something breaks a guarantee and is not allowed, 2 something could not
be looked at (a server away, a right missing) and nothing that could breaks a guarantee.`,
		Example: `  batch doctor
  batch doctor --json
  FIRSTCOME_CHECKS_ALLOW=kafka_retention batch doctor`,
		Args: noArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			cfg, log, err := load()
			if err != nil {
				return err
			}
			report := batch.Doctor(cmd.Context(), cfg, batch.Options{Log: log})
			show := printReport
			if asJSON {
				show = printJSON
			}
			if err := show(cmd.OutOrStdout(), report, cfg.Checks.Allow); err != nil {
				return err
			}
			switch {
			case len(report.Of(doctor.Breaks).Without(cfg.Checks.Allow)) > 0:
				return errBroken
			case len(report.Unknown().Without(cfg.Checks.Allow)) > 0:
				return errBlind
			default:
				return nil
			}
		},
	}
	cmd.Flags().BoolVar(&asJSON, "json", false, "one JSON object instead of the table")
	return cmd
}

func printJSON(out io.Writer, report doctor.Report, allowed []string) error {
	e := json.NewEncoder(out)
	e.SetIndent("", "  ")
	return e.Encode(struct {
		Allowed []string      `json:"allowed"`
		Checks  doctor.Report `json:"checks"`
	}{append([]string{}, allowed...), report})
}

// printReport is a line for each check, and below the lines what is to be done about those that are not fine, the worst
// first. A server that could not be looked at is said once, with the names of its checks.
func printReport(out io.Writer, report doctor.Report, allowed []string) error {
	var b strings.Builder
	report, away := apart(report)
	width := 0
	for _, r := range report {
		width = max(width, len(r.Name))
	}
	for _, r := range report {
		state, is := string(r.Severity), r.Is
		if r.Unknown != "" {
			state, is = "not known", r.Unknown
		}
		fmt.Fprintf(&b, "%-*s  %-18s  %s\n", width, r.Name, state, is)
	}
	for _, s := range []doctor.Severity{doctor.Breaks, "", doctor.Risky, doctor.Advice} {
		for _, r := range report.Of(s) {
			title := string(s)
			switch {
			case s == "":
				title = "not known"
			case s == doctor.Breaks && len(doctor.Report{r}.Without(allowed)) == 0:
				title += ", allowed by checks.allow"
			}
			fmt.Fprintf(&b, "\n%s: %s\n", r.Name, title)
			for _, line := range [][2]string{
				{"is", r.Is}, {"unknown", r.Unknown}, {"should be", r.Want}, {"risks", r.Risk}, {"set", r.Set},
			} {
				if line[1] != "" {
					fmt.Fprintf(&b, "  %-10s %s\n", line[0], line[1])
				}
			}
		}
	}
	for _, server := range away {
		fmt.Fprintf(&b, "\nnot looked at: %s\n  checks     %s\n", server[0].Unknown, strings.Join(server.Names(), ", "))
	}
	_, err := io.WriteString(out, b.String())
	return err
}

// apart takes the checks of servers that could not be looked at out of a report: a group for each server.
func apart(report doctor.Report) (told doctor.Report, away []doctor.Report) {
	for _, r := range report {
		if !r.Away {
			told = append(told, r)
			continue
		}
		i := slices.IndexFunc(away, func(server doctor.Report) bool { return server[0].Unknown == r.Unknown })
		if i < 0 {
			away = append(away, doctor.Report{r})
			continue
		}
		away[i] = append(away[i], r)
	}
	return told, away
}
