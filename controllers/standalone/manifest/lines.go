package manifest

import (
	"bytes"
	"strconv"
	"strings"

	"go.yaml.in/yaml/v3"
)

// isMarker reports whether a line begins a YAML document.
func isMarker(line []byte) bool {
	rest, ok := bytes.CutPrefix(line, []byte("---"))
	return ok && (len(rest) == 0 || bytes.IndexByte([]byte(" \t\r\n"), rest[0]) >= 0)
}

// lineAt returns the number of the line that contains an offset into text, from 1.
func lineAt(text []byte, offset int64) int { return bytes.Count(text[:offset], []byte("\n")) + 1 }

// firstLine returns the number of the line at which the content of a document begins, after
// markers, comments and empty lines. Without content it returns 1.
func firstLine(text []byte) int {
	number := 0
	for line := range bytes.Lines(text) {
		number++
		line = bytes.TrimSpace(line)
		if len(line) > 0 && line[0] != '#' && !isMarker(append(line, '\n')) {
			return number
		}
	}
	return 1
}

// Position is a place in a file or a document. Both numbers count from 1.
type Position struct {
	Line, Column int
}

// fieldPositions returns a function that finds a field in a document. The function takes a path such
// as spec.passwords[0].expiresAt. For a field that is missing, it returns the position of the
// nearest field that encloses it.
func fieldPositions(text []byte) func(path string) Position {
	first := Position{firstLine(text), 1}
	var root yaml.Node
	if err := yaml.Unmarshal(text, &root); err != nil || len(root.Content) == 0 {
		return func(string) Position { return first }
	}
	return func(path string) Position {
		at, node := first, root.Content[0]
		for _, step := range pathSteps(path) {
			next, position := child(node, step)
			if next == nil {
				break
			}
			node, at = next, position
		}
		return at
	}
}

// pathSteps splits a field path into names, and the indexes or map keys in brackets.
func pathSteps(path string) []string {
	return strings.FieldsFunc(path, func(r rune) bool { return r == '.' || r == '[' || r == ']' })
}

// child returns a member of a node and its position, which is that of the key in a mapping and that
// of the item in a sequence. It returns nil if there is no such member.
func child(node *yaml.Node, step string) (*yaml.Node, Position) {
	switch node.Kind {
	case yaml.MappingNode:
		for i := 0; i+1 < len(node.Content); i += 2 {
			if key := node.Content[i]; key.Value == step {
				return node.Content[i+1], Position{key.Line, key.Column}
			}
		}
	case yaml.SequenceNode:
		if i, err := strconv.Atoi(step); err == nil && i >= 0 && i < len(node.Content) {
			return node.Content[i], Position{node.Content[i].Line, node.Content[i].Column}
		}
	case yaml.AliasNode:
		return child(node.Alias, step)
	}
	return nil, Position{}
}
