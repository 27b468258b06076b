package statedir

import (
	"bufio"
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"hash/crc32"
	"io"
	"io/fs"
	"iter"
	"os"
	"path/filepath"
	"strconv"
)

// journal is a file of changes in the order they were made. The first line says what the file is. Every other line is one
// write: a CRC-32C of what follows in eight hexadecimal digits, a space, and the changes as a JSON array. So a write that was
// cut short can only be the last line, and one line can be told damaged whatever stands beside it.
type journal struct {
	path string
	file *os.File // nil before the first rewrite

	size      int64
	compacted int64 // size when the journal was last written anew
	broken    bool  // a write went wrong: what is on the disk behind size is not known
}

const (
	journalHeader = "gatehouse-journal 1\n"
	checksumSize  = 8
	// rowsPerLine is how many rows a line of a journal written anew has: a few hundred kilobytes.
	rowsPerLine = 1000
	// growth is how much a journal may grow, beyond twice its size, before it is written anew.
	growth = 1 << 20
)

// read passes every write of the journal to replay, in order, and returns how many bytes at its end belong to a write that
// was cut short. A journal that is not there is empty.
func (j *journal) read(replay func([]change) error) (torn int, err error) {
	file, err := os.Open(j.path)
	if errors.Is(err, fs.ErrNotExist) {
		return 0, nil
	}
	if err != nil {
		return 0, fmt.Errorf("read the journal: %w", err)
	}
	torn, err = readJournal(file, replay)
	if err != nil {
		err = fmt.Errorf("read the journal %s: %w", j.path, err)
	}
	return torn, errors.Join(err, file.Close())
}

// readJournal reads a journal. A line that is not what was written is taken for a write cut short when nothing follows it,
// and for damage otherwise: then some answered change would be lost, and somebody has to decide about that.
func readJournal(from io.Reader, replay func([]change) error) (torn int, err error) {
	lines := bufio.NewReader(from)
	header, err := lines.ReadString('\n')
	if header != journalHeader {
		return 0, errors.Join(errors.New("it does not begin like a journal of this version: restore it from a backup, "+
			"or move it away to start without users' ids and revocations"), ignoreEOF(err))
	}
	for number := 2; ; number++ {
		line, err := lines.ReadBytes('\n')
		if ignoreEOF(err) != nil {
			return 0, err
		}
		if len(line) == 0 {
			return torn, nil
		}
		if torn > 0 {
			return 0, fmt.Errorf("line %d is damaged, and changes in it may be revocations: restore the file from a backup, "+
				"or delete the line to go on without them", number-1)
		}
		changes, ok := decodeLine(line)
		if !ok {
			torn = len(line)
			continue
		}
		if err := replay(changes); err != nil {
			return 0, fmt.Errorf("line %d: %w", number, err)
		}
	}
}

func ignoreEOF(err error) error {
	if errors.Is(err, io.EOF) {
		return nil
	}
	return err
}

func encodeLine(changes []change) ([]byte, error) {
	body, err := json.Marshal(changes)
	if err != nil {
		return nil, fmt.Errorf("encode changes: %w", err)
	}
	return fmt.Appendf(nil, "%08x %s\n", checksum(body), body), nil
}

func decodeLine(line []byte) (changes []change, ok bool) {
	body, whole := bytes.CutSuffix(line, []byte("\n"))
	if !whole || len(body) <= checksumSize || body[checksumSize] != ' ' {
		return nil, false
	}
	sum, err := strconv.ParseUint(string(body[:checksumSize]), 16, 32)
	body = body[checksumSize+1:]
	if err != nil || uint32(sum) != checksum(body) {
		return nil, false
	}
	return changes, json.Unmarshal(body, &changes) == nil
}

func checksum(b []byte) uint32 { return crc32.Checksum(b, crc32.MakeTable(crc32.Castagnoli)) }

// append writes changes to the end and has them on the disk when it returns nil.
func (j *journal) append(changes []change) error {
	line, err := encodeLine(changes)
	if err != nil {
		return err
	}
	j.broken = true
	if _, err := j.file.Write(line); err != nil {
		return fmt.Errorf("write to the journal: %w", err)
	}
	if err := j.file.Sync(); err != nil {
		return fmt.Errorf("write to the journal: %w", err)
	}
	j.size += int64(len(line))
	j.broken = false
	return nil
}

// intact says whether the journal can be appended to: nothing went wrong with it, and the file under its name is still the
// one that is open.
func (j *journal) intact() bool {
	if j.broken || j.file == nil {
		return false
	}
	open, err := j.file.Stat()
	if err != nil {
		return false
	}
	named, err := os.Stat(j.path)
	return err == nil && os.SameFile(open, named)
}

func (j *journal) overgrown() bool { return j.size > 2*j.compacted+growth }

// rewrite replaces the journal by one that has just these rows. When it fails before the new file has taken the place of the
// old one, the old one is as it was.
func (j *journal) rewrite(all iter.Seq2[change, error]) error {
	j.compacted = j.size // so that a rewrite that fails is not tried again at once
	next, err := createTemp(j.path)
	if err != nil {
		return fmt.Errorf("write the journal anew: %w", err)
	}
	size, err := writeRows(next, all)
	if err != nil {
		return errors.Join(fmt.Errorf("write the journal anew: %w", err), discard(next))
	}
	if err := os.Rename(next.Name(), j.path); err != nil {
		return errors.Join(fmt.Errorf("write the journal anew: %w", err), discard(next))
	}
	closing := j.close()
	j.file, j.size, j.compacted, j.broken = next, size, size, true
	if err := syncFolder(filepath.Dir(j.path)); err != nil {
		return errors.Join(fmt.Errorf("write the journal anew: %w", err), closing)
	}
	j.broken = false
	return closing
}

// writeRows writes a whole journal and has it on the disk when it returns its size.
func writeRows(file *os.File, all iter.Seq2[change, error]) (int64, error) {
	w := &counter{w: bufio.NewWriterSize(file, 1<<20)}
	_, err := io.WriteString(w, journalHeader)
	line := make([]change, 0, rowsPerLine)
	flush := func() {
		if len(line) == 0 || err != nil {
			return
		}
		var raw []byte
		if raw, err = encodeLine(line); err == nil {
			_, err = w.Write(raw)
		}
		line = line[:0]
	}
	for c, failure := range all {
		if err = errors.Join(err, failure); err != nil {
			return 0, err
		}
		if line = append(line, c); len(line) == rowsPerLine {
			flush()
		}
	}
	flush()
	if err != nil {
		return 0, err
	}
	if err := w.w.Flush(); err != nil {
		return 0, err
	}
	return w.n, file.Sync()
}

func (j *journal) close() error {
	if j.file == nil {
		return nil
	}
	return j.file.Close()
}

// counter counts the bytes that pass through.
type counter struct {
	w *bufio.Writer
	n int64
}

// Write passes on.
func (c *counter) Write(p []byte) (int, error) {
	n, err := c.w.Write(p)
	c.n += int64(n)
	return n, err
}
