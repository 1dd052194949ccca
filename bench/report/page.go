package report

import (
	"bytes"
	_ "embed"
	"html/template"
)

//go:embed page.html
var pageText string

// page is the run for a browser, in one file that needs nothing else.
func (r *Run) page() ([]byte, error) {
	t, err := template.New("page").Parse(pageText)
	if err != nil {
		return nil, err
	}
	var charts []template.HTML
	for _, c := range r.charts() {
		var svg string
		svg, err = c.svg()
		if err != nil {
			return nil, err
		}
		charts = append(charts, template.HTML(svg)) //nolint:gosec // drawn here
	}
	table := func(html string) template.HTML { return template.HTML(html) } //nolint:gosec // go-pretty escapes what stands in it
	var page bytes.Buffer
	err = t.Execute(&page, map[string]any{
		"Name": r.Name(), "About": r.about(), "Charts": charts, "Goals": table(r.GoalTable().RenderHTML()),
		"Figures": table(r.figureTable().RenderHTML()), "Processor": table(r.processorTable().RenderHTML()), "Stages": table(r.stageTable().RenderHTML()),
	})
	return page.Bytes(), err
}
