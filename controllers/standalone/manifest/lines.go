package manifest

import (
	"bytes"
	"strconv"
	"strings"

	"go.yaml.in/yaml/v3"
)

// firstLine returns the line of a document at which its content begins, after markers, comments and empty lines.
func firstLine(text []byte) int {
	line := 0
	for l := range bytes.Lines(text) {
		line++
		l = bytes.TrimSpace(l)
		if len(l) > 0 && l[0] != '#' && !isMarker(append(l, '\n')) {
			return line
		}
	}
	return 1
}

// fieldLines returns a function that finds the line of a field of a document, given as spec.passwords[0].expiresAt. Where there
// is no such field, it is the line of the nearest one that encloses it.
func fieldLines(text []byte) func(path string) int {
	first := firstLine(text)
	var root yaml.Node
	if err := yaml.Unmarshal(text, &root); err != nil || len(root.Content) == 0 {
		return func(string) int { return first }
	}
	return func(path string) int {
		line, node := first, root.Content[0]
		for _, step := range pathSteps(path) {
			next, at := child(node, step)
			if next == nil {
				break
			}
			node, line = next, at
		}
		return line
	}
}

// pathSteps takes a field path apart: names, and indexes or map keys in brackets.
func pathSteps(path string) []string {
	return strings.FieldsFunc(path, func(r rune) bool { return r == '.' || r == '[' || r == ']' })
}

// child returns a member of a node, and its line: the one of its key, or of the item.
func child(node *yaml.Node, step string) (*yaml.Node, int) {
	switch node.Kind {
	case yaml.MappingNode:
		for i := 0; i+1 < len(node.Content); i += 2 {
			if node.Content[i].Value == step {
				return node.Content[i+1], node.Content[i].Line
			}
		}
	case yaml.SequenceNode:
		if i, err := strconv.Atoi(step); err == nil && i >= 0 && i < len(node.Content) {
			return node.Content[i], node.Content[i].Line
		}
	case yaml.AliasNode:
		return child(node.Alias, step)
	}
	return nil, 0
}
