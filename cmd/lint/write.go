package lint

import (
	"encoding/json"
	"fmt"
	"io"
	"strings"
)

// The formats of the output.
const (
	FormatText   = "text"
	FormatJSON   = "json"
	FormatSARIF  = "sarif"
	FormatGitHub = "github"
)

// Formats returns all formats.
func Formats() []string { return []string{FormatText, FormatJSON, FormatSARIF, FormatGitHub} }

// Write writes the result in a format. version is that of this program.
func (r Result) Write(w io.Writer, format, version string) error {
	switch format {
	case FormatJSON:
		return writeJSON(w, r)
	case FormatSARIF:
		return writeJSON(w, r.sarif(version))
	case FormatGitHub:
		return r.writeLines(w, githubLine)
	default:
		return r.writeLines(w, textLine)
	}
}

func writeJSON(w io.Writer, value any) error {
	encoder := json.NewEncoder(w)
	encoder.SetIndent("", "  ")
	encoder.SetEscapeHTML(false)
	return encoder.Encode(value)
}

func (r Result) writeLines(w io.Writer, line func(Finding) string) error {
	for _, f := range r.Findings {
		if _, err := fmt.Fprintln(w, line(f)); err != nil {
			return err
		}
	}
	return nil
}

// textLine returns a finding in the form that compilers use and editors follow.
func textLine(f Finding) string {
	object := ""
	if f.Object != "" {
		object = f.Object + ": "
	}
	return fmt.Sprintf("%s:%d:%d: %s: %s%s [%s]", f.Path, f.Line, f.Column, f.Severity, object, f.Message, f.Rule)
}

// githubLine returns a finding as a workflow command, which GitHub shows beside the changed line.
// https://docs.github.com/actions/reference/workflow-commands-for-github-actions
func githubLine(f Finding) string {
	level := map[Severity]string{Note: "notice", Warning: "warning", Error: "error"}[f.Severity]
	value := strings.NewReplacer("%", "%25", "\r", "%0D", "\n", "%0A")
	property := strings.NewReplacer("%", "%25", "\r", "%0D", "\n", "%0A", ":", "%3A", ",", "%2C")
	return fmt.Sprintf("::%s file=%s,line=%d,col=%d,title=%s::%s", level, property.Replace(f.Path), f.Line, f.Column,
		property.Replace(string(f.Rule)), value.Replace(f.Message))
}

// The part of SARIF 2.1.0 that is used here.
// https://docs.oasis-open.org/sarif/sarif/v2.1.0/sarif-v2.1.0.html
type (
	sarifLog struct {
		Schema  string     `json:"$schema"`
		Version string     `json:"version"`
		Runs    []sarifRun `json:"runs"`
	}
	sarifRun struct {
		Tool    sarifTool     `json:"tool"`
		Results []sarifResult `json:"results"`
	}
	sarifTool struct {
		Driver sarifDriver `json:"driver"`
	}
	sarifDriver struct {
		Name           string      `json:"name"`
		Version        string      `json:"version"`
		InformationURI string      `json:"informationUri"`
		Rules          []sarifRule `json:"rules"`
	}
	sarifRule struct {
		ID               string    `json:"id"`
		ShortDescription sarifText `json:"shortDescription"`
	}
	sarifText struct {
		Text string `json:"text"`
	}
	sarifResult struct {
		RuleID    Rule            `json:"ruleId"`
		Level     Severity        `json:"level"`
		Message   sarifText       `json:"message"`
		Locations []sarifLocation `json:"locations"`
	}
	sarifLocation struct {
		Physical sarifPhysical `json:"physicalLocation"`
	}
	sarifPhysical struct {
		Artifact sarifArtifact `json:"artifactLocation"`
		Region   sarifRegion   `json:"region"`
	}
	sarifArtifact struct {
		URI string `json:"uri"`
	}
	sarifRegion struct {
		StartLine   int `json:"startLine"`
		StartColumn int `json:"startColumn"`
	}
)

// sarif returns the result as a SARIF log.
func (r Result) sarif(version string) sarifLog {
	driver := sarifDriver{Name: "gatehouse lint", Version: version, InformationURI: "https://github.com/gatehouse-auth/gatehouse"}
	for _, d := range Rules() {
		driver.Rules = append(driver.Rules, sarifRule{d.ID, sarifText{d.Text}})
	}
	results := []sarifResult{}
	for _, f := range r.Findings {
		results = append(results, sarifResult{f.Rule, f.Severity, sarifText{f.Message}, []sarifLocation{
			{sarifPhysical{sarifArtifact{f.Path}, sarifRegion{f.Line, f.Column}}},
		}})
	}
	return sarifLog{"https://json.schemastore.org/sarif-2.1.0.json", "2.1.0", []sarifRun{{sarifTool{driver}, results}}}
}
