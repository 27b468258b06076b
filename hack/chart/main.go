// Command chart writes the templates of the Helm chart from the manifests that kustomize builds, so
// that both install the same objects. What is the same in every installation comes from config/;
// edits.go has the parts that values of the chart replace.
package main

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
)

// header begins every file that this command writes, and tells it from one that a person writes.
const header = "{{- /* Made from config/ by make chart. Change it there, or in hack/chart/edits.go. */ -}}\n"

func main() {
	if err := run(os.Args[1:]); err != nil {
		fmt.Fprintln(os.Stderr, "chart:", err)
		os.Exit(1) //nolint:forbidigo // the end of the process
	}
}

func run(args []string) error {
	if len(args) != 2 {
		return errors.New("usage: chart CONFIG TEMPLATES")
	}
	files, err := templates(args[0])
	if err != nil {
		return err
	}
	return write(args[1], files)
}

// templates returns the templates of the chart by file name, made from the folder config.
func templates(config string) (map[string]string, error) {
	pool, err := loadAll(config)
	if err != nil {
		return nil, err
	}
	files := map[string]string{}
	for _, f := range layout() {
		text, err := f.render(pool)
		if err != nil {
			return nil, fmt.Errorf("%s: %w", f.name, err)
		}
		files[f.name] = header + text
	}
	return files, pool.checkUsed()
}

// write writes the files into folder and removes the files of an earlier run.
func write(folder string, files map[string]string) error {
	old, err := filepath.Glob(filepath.Join(folder, "*.yaml"))
	if err != nil {
		return err
	}
	for _, path := range old {
		if err := os.Remove(path); err != nil { //nolint:gosec // the folder that the caller names
			return err
		}
	}
	for name, text := range files {
		if err := os.WriteFile(filepath.Join(folder, name), []byte(text), 0o644); err != nil { //nolint:gosec // no secret
			return err
		}
	}
	return nil
}
