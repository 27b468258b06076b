package main

import (
	"fmt"
	"regexp"
	"slices"
	"strconv"
	"strings"

	"sigs.k8s.io/kustomize/kyaml/yaml"
)

// template is an object of the manifests in which marks stand for text that is not YAML. A mark
// passes through the YAML encoder, and String replaces it by its text in the output.
type template struct {
	object *yaml.RNode
	texts  []string
	err    error // of the first failed edit
}

// mark returns a plain scalar that stands for text.
func (t *template) mark(text string) string {
	t.texts = append(t.texts, text)
	return fmt.Sprintf("__mark_%d__", len(t.texts)-1)
}

// pipe applies filters to the object, unless an edit has failed.
func (t *template) pipe(filters ...yaml.Filter) {
	if t.err == nil {
		_, t.err = t.object.Pipe(filters...)
	}
}

// value replaces the scalar at path, which must exist, by an expression.
func (t *template) value(expression string, path ...string) {
	old, err := t.object.Pipe(yaml.Lookup(path...))
	if err == nil && yaml.IsMissingOrNull(old) {
		err = fmt.Errorf("%s has no %s", id(t.object), strings.Join(path, "."))
	}
	if err != nil {
		t.err = err
		return
	}
	old.SetYNode(yaml.NewScalarRNode(t.mark(expression)).YNode())
	t.pipe(yaml.Lookup(path[:len(path)-1]...), blockStyle)
}

// blockStyle writes a mapping or sequence with one field or item on each line, because whole lines
// of a template cannot stand between braces.
var blockStyle = yaml.FilterFunc(func(o *yaml.RNode) (*yaml.RNode, error) { //nolint:gochecknoglobals // a filter without state
	o.YNode().Style &^= yaml.FlowStyle
	return o, nil
})

// lines adds text, whole lines of a template, at the end of the mapping at path, which it creates
// if there is none. In the text, INDENT stands for the indentation of the mapping and INNER for
// that of the value of a field in it.
func (t *template) lines(text string, path ...string) {
	t.pipe(yaml.LookupCreate(yaml.MappingNode, path...), blockStyle, yaml.SetField(t.mark(text), yaml.NewScalarRNode("")))
}

// replace replaces the field at the end of path, which must exist, by text as in lines.
func (t *template) replace(text string, path ...string) {
	parent, field := path[:len(path)-1], path[len(path)-1]
	old, err := t.object.Pipe(yaml.Lookup(path...))
	if err == nil && old == nil {
		err = fmt.Errorf("%s has no %s", id(t.object), strings.Join(path, "."))
	}
	if err != nil {
		t.err = err
		return
	}
	t.pipe(yaml.Lookup(parent...), yaml.Clear(field))
	t.lines(text, parent...)
}

// otherwise replaces a field of the mapping at a path by a value of the chart, and keeps what the manifests have
// if the value is empty.
func (t *template) otherwise(value, field string, path ...string) {
	old, err := t.object.Pipe(yaml.Lookup(append(slices.Clone(path), field)...))
	if err == nil && old == nil {
		err = fmt.Errorf("%s has no %s", id(t.object), field)
	}
	var text string
	if err == nil {
		text, err = old.String()
	}
	if err != nil {
		t.err = err
		return
	}
	text = field + ":\n" + strings.TrimSuffix(text, "\n")
	t.replace("{{- with "+value+" }}\n"+field+":\n  {{- toYaml . | nindent INNER }}\n{{- else }}\n"+text+"\n{{- end }}", append(slices.Clone(path), field)...)
}

// items adds text, whole lines of a template, at the end of the sequence at path.
func (t *template) items(text string, path ...string) {
	t.pipe(yaml.LookupCreate(yaml.SequenceNode, path...), blockStyle, yaml.Append(yaml.NewScalarRNode(t.mark(text)).YNode()))
}

var (
	wholeLine = regexp.MustCompile(`(?m)^( *)(?:- )?__mark_(\d+)__(?:: *(?:""|null)?)?$`)
	inLine    = regexp.MustCompile(`__mark_(\d+)__`)
)

// String returns the text of the template. It escapes the braces of the manifest itself, so that
// Helm leaves them as they are.
func (t *template) String() (string, error) {
	if t.err != nil {
		return "", t.err
	}
	text, err := t.object.String()
	if err != nil {
		return "", fmt.Errorf("write %s: %w", id(t.object), err)
	}
	text = strings.ReplaceAll(text, "{{", `{{ "{{" }}`)
	text = wholeLine.ReplaceAllStringFunc(text, func(line string) string {
		m := wholeLine.FindStringSubmatch(line)
		return indent(t.text(m[2]), m[1])
	})
	return inLine.ReplaceAllStringFunc(text, func(mark string) string {
		return t.text(inLine.FindStringSubmatch(mark)[1])
	}), nil
}

// text returns the text of a mark by its number.
func (t *template) text(number string) string {
	n, _ := strconv.Atoi(number) // always digits: the pattern matches nothing else
	return t.texts[n]
}

// indent adds margin before each line and replaces INDENT and INNER by their depths.
func indent(text, margin string) string {
	depth := len(margin)
	text = strings.NewReplacer("INDENT", strconv.Itoa(depth), "INNER", strconv.Itoa(depth+2)).Replace(text)
	return margin + strings.ReplaceAll(text, "\n", "\n"+margin)
}
