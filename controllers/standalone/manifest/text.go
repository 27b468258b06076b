package manifest

import "time"

// Reader reads manifests from memory, as a Folder reads its files. It is safe for concurrent use.
type Reader struct {
	reader reader
}

// NewReader returns a Reader.
func NewReader() (*Reader, error) {
	r, err := newReader()
	if err != nil {
		return nil, err
	}
	return &Reader{r}, nil
}

// Read returns the objects and the faults of a file with this text.
func (r *Reader) Read(text []byte, isJSON bool) *File {
	f := &File{}
	reader := r.reader
	reader.isJSON = isJSON
	f.read(reader, sectionsOf(text, isJSON), nil, time.Time{}) // no one asks when it was read
	return f
}

// sectionsOf splits the text of a file into its documents.
func sectionsOf(text []byte, isJSON bool) []section {
	if isJSON {
		return splitJSON(text)
	}
	return splitYAML(text)
}

// Documents returns the documents of a file, with the line at which each begins.
func Documents(text []byte, isJSON bool) (documents [][]byte, lines []int) {
	for _, s := range sectionsOf(text, isJSON) {
		documents, lines = append(documents, s.text), append(lines, s.line)
	}
	return documents, lines
}

// Find returns the position of a field in the text of a file. line is that of the object, and path a
// path such as spec.passwords[0]. For a field that is missing, it returns the position of the
// nearest field that encloses it.
func Find(text []byte, isJSON bool, line int, path string) Position {
	var in section
	for _, s := range sectionsOf(text, isJSON) {
		if s.line > line {
			break
		}
		in = s
	}
	if in.line == 0 {
		return Position{line, 1}
	}
	at := fieldPositions(in.text)(path)
	at.Line += in.line - 1
	return at
}
