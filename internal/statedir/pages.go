package statedir

import (
	"bytes"
	"encoding/binary"
	"errors"
	"hash/fnv"
	"io"
	"os"
)

// What follows is the layout of bbolt's files, version 2, as its internal/common has it. The numbers
// are in the byte order of the machine.
//
// bbolt trusts its file. At a damaged page it panics, also on goroutines of its own, reads outside of
// the mapped file, or follows pages in a circle until the stack ends; a process survives none of
// these. When the newest of its two meta pages is damaged, it silently takes the one before, which
// lacks the last change. So checkFile reads every page in use before bbolt sees the file.
const (
	metaMagic   = 0xED0CDAED
	metaVersion = 2
	metaSize    = 64

	pageHeaderSize = 16
	elementSize    = 16
	bucketSize     = 16

	branchPage    = 0x01
	leafPage      = 0x02
	bucketElement = 0x01

	noFreelist = ^uint64(0)
)

// checkFile returns a damageError unless both meta pages of a database and the tree of the newest one
// are as bbolt writes them. What keys and values say is for the digest of the rows to tell.
func checkFile(path string) error {
	file, err := os.Open(path) // #nosec G304 -- inside the folder
	if err != nil {
		return err
	}
	defer func() { _ = file.Close() }() // which was only read
	info, err := file.Stat()
	if err != nil {
		return err
	}
	return checkPages(file, info.Size())
}

func checkPages(file io.ReaderAt, size int64) error {
	first, err := readMeta(file, 0)
	if err != nil {
		return err
	}
	second, err := readMeta(file, first.pageSize)
	if err != nil {
		return err
	}
	newest := first
	if second.txid > first.txid {
		newest = second
	}
	// Each transaction writes the older meta page, so the two follow each other.
	if first.pageSize != second.pageSize || first.txid+second.txid != 2*newest.txid-1 {
		return damaged("its meta pages do not belong together")
	}
	if newest.freelist != noFreelist {
		return damaged("it has a list of free pages, so another program has written to it")
	}
	if newest.pages > uint64(size/newest.pageSize) { // #nosec G115 -- neither is negative
		return damaged("it ends after %d bytes, want at least %d pages of %d", size, newest.pages, newest.pageSize)
	}
	c := &checker{file: file, meta: newest, seen: make([]bool, newest.pages)}
	return c.tree(newest.root, span{}, c.bucket)
}

// meta is what a meta page says.
type meta struct {
	pageSize int64
	root     uint64 // page of the bucket of buckets
	freelist uint64
	pages    uint64 // how many pages the database has, counting free ones
	txid     uint64
}

func readMeta(file io.ReaderAt, page int64) (meta, error) {
	raw := make([]byte, metaSize)
	if _, err := file.ReadAt(raw, page+pageHeaderSize); errors.Is(err, io.EOF) {
		return meta{}, damaged("it ends before its second page")
	} else if err != nil {
		return meta{}, err
	}
	sum := fnv.New64a()
	_, _ = sum.Write(raw[:metaSize-8])
	if binary.NativeEndian.Uint32(raw) != metaMagic || binary.NativeEndian.Uint32(raw[4:]) != metaVersion || binary.NativeEndian.Uint64(raw[metaSize-8:]) != sum.Sum64() {
		return meta{}, damaged("the meta page at byte %d is not one, or its checksum is wrong", page)
	}
	m := meta{
		pageSize: int64(binary.NativeEndian.Uint32(raw[8:])),
		root:     binary.NativeEndian.Uint64(raw[16:]),
		freelist: binary.NativeEndian.Uint64(raw[32:]),
		pages:    binary.NativeEndian.Uint64(raw[40:]),
		txid:     binary.NativeEndian.Uint64(raw[48:]),
	}
	if m.pageSize < 1024 || m.pages < 2 {
		return meta{}, damaged("the meta page at byte %d makes no sense", page)
	}
	return m, nil
}

// checker reads the pages of a database.
type checker struct {
	file  io.ReaderAt
	meta  meta
	seen  []bool // by page: it belongs to a tree
	spare []byte // a page to read the next one into, if there is one
}

// span is the keys that a page may have: from low on and before high. nil is no limit.
type span struct{ low, high []byte }

// element is an entry of a page: a key with a value on a leaf, or with a child page on a branch.
type element struct {
	key, value []byte
	flags      uint32
	child      uint64
}

// tree checks a page and those below it, and passes the elements of the leaves on.
func (c *checker) tree(id uint64, limits span, leaf func(element) error) error {
	page, err := c.page(id)
	if err != nil {
		return err
	}
	elements, ok := parsePage(page, limits)
	if !ok {
		return damaged("page %d has entries that are cut off or out of order", id)
	}
	if binary.NativeEndian.Uint16(page[8:]) == leafPage {
		err := each(elements, leaf)
		c.spare = page // no one refers to it any more
		return err
	}
	for i, e := range elements {
		below := span{e.key, limits.high}
		if i+1 < len(elements) {
			below.high = elements[i+1].key
		}
		if err := c.tree(e.child, below, leaf); err != nil {
			return err
		}
	}
	return nil
}

func each(elements []element, check func(element) error) error {
	for _, e := range elements {
		if err := check(e); err != nil {
			return err
		}
	}
	return nil
}

// bucket checks an entry of the bucket of buckets. Its value is the number of the bucket's page, a
// counter that is not used here, and if that number is 0 the page itself.
func (c *checker) bucket(e element) error {
	if e.flags != bucketElement || len(e.value) < bucketSize {
		return damaged("%.20q is not a bucket", e.key)
	}
	if root := binary.NativeEndian.Uint64(e.value); root != 0 {
		return c.tree(root, span{}, checkRow)
	}
	page := e.value[bucketSize:]
	if len(page) < pageHeaderSize || binary.NativeEndian.Uint16(page[8:]) != leafPage {
		return damaged("the bucket %.20q has no page", e.key)
	}
	elements, ok := parsePage(page, span{})
	if !ok {
		return damaged("the bucket %.20q has entries that are cut off or out of order", e.key)
	}
	return each(elements, checkRow)
}

func checkRow(e element) error {
	if e.flags != 0 {
		return damaged("the row %.50q is a bucket", e.key)
	}
	return nil
}

// page reads a page with those that continue it. No page may be read twice.
func (c *checker) page(id uint64) ([]byte, error) {
	header := c.spare
	if c.spare = nil; int64(len(header)) < c.meta.pageSize {
		header = make([]byte, c.meta.pageSize)
	}
	header = header[:c.meta.pageSize]
	if err := c.claim(id, header); err != nil {
		return nil, err
	}
	flags, more := binary.NativeEndian.Uint16(header[8:]), uint64(binary.NativeEndian.Uint32(header[12:]))
	if binary.NativeEndian.Uint64(header) != id || (flags != branchPage && flags != leafPage) {
		return nil, damaged("page %d is not a page of a bucket", id)
	}
	if more >= c.meta.pages-id {
		return nil, damaged("page %d goes beyond the end", id)
	}
	page := append(header, make([]byte, more*uint64(len(header)))...)
	for i := uint64(1); i <= more; i++ {
		if err := c.claim(id+i, page[i*uint64(len(header)):][:len(header)]); err != nil {
			return nil, err
		}
	}
	return page, nil
}

func (c *checker) claim(id uint64, into []byte) error {
	if id < 2 || id >= c.meta.pages || c.seen[id] {
		return damaged("page %d is used twice or does not exist", id)
	}
	c.seen[id] = true
	_, err := c.file.ReadAt(into, int64(id)*c.meta.pageSize) // #nosec G115 -- within the file
	if errors.Is(err, io.EOF) {
		return damaged("it ends before page %d", id)
	}
	return err
}

// parsePage returns the elements of a page, and reports whether they are inside it, in order and
// within the limits.
func parsePage(page []byte, limits span) ([]element, bool) {
	leaf := binary.NativeEndian.Uint16(page[8:]) == leafPage
	elements := make([]element, binary.NativeEndian.Uint16(page[10:]))
	if len(page) < pageHeaderSize+len(elements)*elementSize || (!leaf && len(elements) == 0) {
		return nil, false
	}
	for i := range elements {
		// Positions count from the element that has them.
		e, ok := parseElement(page[pageHeaderSize+i*elementSize:], leaf)
		if !ok || bytes.Compare(e.key, limits.low) < 0 || (limits.high != nil && bytes.Compare(e.key, limits.high) >= 0) {
			return nil, false
		}
		if i > 0 && bytes.Compare(elements[i-1].key, e.key) >= 0 {
			return nil, false
		}
		elements[i] = e
	}
	return elements, true
}

// parseElement parses the element at the beginning of raw, which ends where the page ends.
func parseElement(raw []byte, leaf bool) (element, bool) {
	var e element
	var position, keySize, valueSize uint64
	if leaf {
		e.flags = binary.NativeEndian.Uint32(raw)
		position, keySize, valueSize = uint64(binary.NativeEndian.Uint32(raw[4:])), uint64(binary.NativeEndian.Uint32(raw[8:])), uint64(binary.NativeEndian.Uint32(raw[12:]))
	} else {
		position, keySize, e.child = uint64(binary.NativeEndian.Uint32(raw)), uint64(binary.NativeEndian.Uint32(raw[4:])), binary.NativeEndian.Uint64(raw[8:])
	}
	value := position + keySize
	if position < elementSize || keySize == 0 || value+valueSize > uint64(len(raw)) {
		return element{}, false
	}
	e.key, e.value = raw[position:value], raw[value:value+valueSize]
	return e, true
}
