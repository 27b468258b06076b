package manifest

import (
	"sort"
	"time"
)

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

// Positions finds fields in the text of a file. It parses a document when it is first asked about it,
// and keeps the last one, so that many questions in the order of the file cost one pass. It is not safe
// for concurrent use.
type Positions struct {
	sections []section
	last     int                        // index of the section that find is about; -1 for none
	find     func(path string) Position // within that section
}

// NewPositions returns the Positions of a file with this text.
func NewPositions(text []byte, isJSON bool) *Positions {
	return &Positions{sections: sectionsOf(text, isJSON), last: -1}
}

// Find returns the position of a field. line is that of the object, and path a path such as
// spec.passwords[0]. For a field that is missing, it returns the position of the nearest field that
// encloses it.
func (p *Positions) Find(line int, path string) Position {
	i := sort.Search(len(p.sections), func(i int) bool { return p.sections[i].line > line }) - 1
	if i < 0 {
		return Position{line, 1}
	}
	if i != p.last {
		p.last, p.find = i, fieldPositions(p.sections[i].text)
	}
	at := p.find(path)
	at.Line += p.sections[i].line - 1
	return at
}
