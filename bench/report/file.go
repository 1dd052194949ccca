package report

import (
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
)

// Name of the run's files, without their ending.
func (r *Run) Name() string {
	name := r.At.Format("2006-01-02") + "-" + r.Machine.Slug()
	if r.Quick {
		name += "-quick"
	}
	return name
}

// Read reads a run's file.
func Read(path string) (*Run, error) {
	text, err := os.ReadFile(path) //nolint:gosec // a file that the caller names
	if err != nil {
		return nil, err
	}
	r := &Run{}
	if err = json.Unmarshal(text, r); err != nil {
		return nil, fmt.Errorf("%s: %w", path, err)
	}
	return r, nil
}

// Keep writes the run as JSON, as a table in Markdown and as a page with its charts into a folder.
func (r *Run) Keep(folder string) (paths []string, err error) {
	text, err := json.MarshalIndent(r, "", "  ")
	if err != nil {
		return nil, err
	}
	page, err := r.page()
	if err != nil {
		return nil, err
	}
	if err = os.MkdirAll(folder, 0o750); err != nil {
		return nil, err
	}
	for ending, content := range map[string][]byte{".json": append(text, '\n'), ".md": []byte(r.Markdown()), ".html": page} {
		path := filepath.Join(folder, r.Name()+ending)
		if err = os.WriteFile(path, content, 0o644); err != nil { //nolint:gosec // a part of the repository
			return nil, err
		}
		paths = append(paths, path)
	}
	return paths, nil
}
