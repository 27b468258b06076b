package statedir

import (
	"crypto/sha256"
	"encoding/binary"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"runtime/debug"
	"time"

	"go.etcd.io/bbolt"
	bbolterrors "go.etcd.io/bbolt/errors"
)

const (
	databaseName = "state.db"
	// maxKeySize is the largest key in bytes that bbolt stores.
	maxKeySize = bbolt.MaxKeySize
	// layoutVersion is the version of the buckets and rows in the database.
	layoutVersion = 1
	// lockTimeout is how long to wait for a program that has the database open without the lock of the
	// folder, such as bbolt's own command.
	lockTimeout = time.Second
)

// The bucket and the key of the digest of all rows.
const (
	digestBucket = "digest"
	digestKey    = "rows"
)

// database is the file with the rows. It has a bucket for each table, with the rows as JSON by key,
// and a bucket for the digest of all rows. All methods except load need the caller to hold Store.disk.
type database struct {
	path   string
	bolt   *bbolt.DB // nil: not open
	file   *os.File  // the file that bolt has open
	digest digest    // of the rows that were answered
	broken bool      // the file may have other rows than those that were answered
}

// digest tells the rows of a database from any others. bbolt has no checksum over its pages, so this
// is what shows that a row is missing or is not what was written. Each transaction brings it up to
// date with the rows it changes, which is why it is a sum.
type digest struct {
	Version int    `json:"version"`
	Rows    int    `json:"rows"`
	Sum     uint64 `json:"sum,string"` // of the hashes of all rows, modulo 2^64
}

// add counts a row in.
func (d *digest) add(bucket string, key, value []byte) {
	d.Rows++
	d.Sum += rowHash(bucket, key, value)
}

// remove takes a row out again.
func (d *digest) remove(bucket string, key, value []byte) {
	d.Rows--
	d.Sum -= rowHash(bucket, key, value)
}

// rowHash hashes a row. Neither a bucket nor JSON has a zero byte, so no two rows hash the same text.
func rowHash(bucket string, key, value []byte) uint64 {
	text := make([]byte, 0, 512)
	text = append(append(text, bucket...), 0)
	text = append(append(text, key...), 0)
	sum := sha256.Sum256(append(text, value...))
	return binary.BigEndian.Uint64(sum[:])
}

// mayCreateDatabase is an error if a folder without a database has had one. Keys are made after the
// database, so a crash in between leaves a folder that may be started again.
func mayCreateDatabase(dir string) error {
	for _, left := range []struct{ name, problem string }{
		{"journal", "the state folder %s has a journal, which this version does not read, and no " + databaseName + ": " +
			"run the version that wrote it, or remove journal and keys.json to start over"},
		{KeysEntries + ".json", "a state folder with keys but without its database cannot be used: " +
			"restore " + databaseName + " in %s from a backup, or remove keys.json to start over"},
	} {
		if _, err := os.Stat(filepath.Join(dir, left.name)); err == nil {
			return fmt.Errorf(left.problem, dir)
		} else if !errors.Is(err, fs.ErrNotExist) {
			return fmt.Errorf("open the state folder: %w", err)
		}
	}
	return nil
}

// load checks the file, opens it and adds its rows to those in memory.
func (d *database) load(into *rows) error {
	err := checkFile(d.path)
	if err == nil {
		err = d.open()
	}
	if err == nil {
		err = d.read(into)
	}
	if damage := (damageError{}); errors.As(err, &damage) {
		err = fmt.Errorf("the database %s is damaged (%w): restore it from a backup, or remove it and keys.json "+
			"to start over without users' ids, revocations and keys", d.path, damage)
	}
	if err != nil {
		return errors.Join(err, d.close())
	}
	return nil
}

// damageError says in which way a database is damaged.
type damageError struct{ how string }

func (e damageError) Error() string { return e.how }

func damaged(format string, args ...any) error { return damageError{fmt.Sprintf(format, args...)} }

// recoverDamage turns a panic of bbolt into an error. checkFile leaves no page that bbolt panics at,
// unless the disk returns something else the second time.
func recoverDamage(err *error) func() {
	faults := debug.SetPanicOnFault(true) // an unreadable page of a mapped file is a fault
	return func() {
		debug.SetPanicOnFault(faults)
		if p := recover(); p != nil {
			*err = damaged("%v", p)
		}
	}
}

// open opens the file for reading and writing.
func (d *database) open() (err error) {
	defer recoverDamage(&err)()
	d.bolt, err = bbolt.Open(d.path, 0o600, d.options(&d.file))
	if errors.Is(err, bbolterrors.ErrTimeout) {
		return inUseError("database", d.path)
	}
	if err != nil {
		d.bolt = nil
		return fmt.Errorf("open the database %s: %w", d.path, err)
	}
	return nil
}

// options are those of a database whose file is to be known as well. The list of free pages is not
// written: bbolt would trust it, and a damaged one would have it write over pages in use. Without it
// bbolt finds the free pages at the start, and writes a page less each time.
func (d *database) options(file **os.File) *bbolt.Options {
	return &bbolt.Options{
		Timeout:        lockTimeout,
		NoFreelistSync: true,
		FreelistType:   bbolt.FreelistMapType,
		NoStatistics:   true,
		OpenFile: func(name string, flag int, mode fs.FileMode) (*os.File, error) {
			opened, err := os.OpenFile(name, flag, mode) // #nosec G304 -- inside the folder
			*file = opened
			return opened, err
		},
	}
}

// read adds the rows of the file to those in memory, if they are all there and as they were written.
func (d *database) read(into *rows) (err error) {
	defer recoverDamage(&err)()
	return d.bolt.View(func(tx *bbolt.Tx) error {
		want, err := readDigest(tx)
		if err != nil {
			return err
		}
		got := digest{Version: layoutVersion}
		for _, name := range bucketNames() {
			bucket := tx.Bucket([]byte(name))
			if bucket == nil {
				return damaged("it has no bucket %s", name)
			}
			if err := bucket.ForEach(func(key, value []byte) error {
				got.add(name, key, value)
				return into.add(name, string(key), value)
			}); err != nil {
				return err
			}
		}
		if got != want {
			return damaged("its %d rows are not the %d rows that were written", got.Rows, want.Rows)
		}
		d.digest = got
		return nil
	})
}

func readDigest(tx *bbolt.Tx) (digest, error) {
	var d digest
	bucket := tx.Bucket([]byte(digestBucket))
	if bucket == nil {
		return d, damaged("it has no bucket %s", digestBucket)
	}
	if err := json.Unmarshal(bucket.Get([]byte(digestKey)), &d); err != nil {
		return d, damaged("its digest cannot be read")
	}
	if d.Version != layoutVersion {
		return d, damaged("its layout is version %d, want %d", d.Version, layoutVersion)
	}
	return d, nil
}

// write makes changes in one transaction and has them on the disk when it returns nil.
func (d *database) write(changes []change) error {
	next, err := update(d.bolt, d.digest, changes)
	if err != nil {
		d.broken = !d.unchanged()
		return fmt.Errorf("write to the database: %w", err)
	}
	d.digest = next
	return nil
}

// unchanged reports whether a transaction that failed has left the file as it was. It has not if the
// transaction was written and could not be synced: the next one would make it last.
func (d *database) unchanged() bool {
	var got digest
	err := d.bolt.View(func(tx *bbolt.Tx) (err error) {
		got, err = readDigest(tx)
		return err
	})
	return err == nil && got == d.digest
}

// update makes changes to a file whose rows have the digest old, and returns their new one.
func update(file *bbolt.DB, old digest, changes []change) (digest, error) {
	next := old
	err := file.Update(func(tx *bbolt.Tx) error {
		for _, c := range changes {
			if err := next.put(tx.Bucket([]byte(c.bucket)), c); err != nil {
				return err
			}
		}
		text, err := json.Marshal(next)
		if err != nil {
			return err
		}
		return tx.Bucket([]byte(digestBucket)).Put([]byte(digestKey), text)
	})
	return next, err
}

// put makes one change in a bucket and counts it.
func (d *digest) put(bucket *bbolt.Bucket, c change) error {
	key := []byte(c.key)
	if old := bucket.Get(key); old != nil {
		d.remove(c.bucket, key, old)
	}
	if c.value == nil {
		return bucket.Delete(key)
	}
	d.add(c.bucket, key, c.value)
	return bucket.Put(key, c.value)
}

// intact reports whether the database can be written to: it has the rows that were answered and no
// others, and the file under its name is the one that is open.
func (d *database) intact() bool {
	if d.broken || d.bolt == nil {
		return false
	}
	open, err := d.file.Stat()
	if err != nil {
		return false
	}
	named, err := os.Stat(d.path)
	return err == nil && os.SameFile(open, named)
}

// replace replaces the file by one that has just these rows, and opens it. If that fails, the file
// under the name is either the old one or the whole new one, and the next change tries again.
func (d *database) replace(all []change) error {
	next := &database{path: d.path + ".tmp"}
	if err := next.create(all); err != nil {
		return errors.Join(fmt.Errorf("create the database: %w", err), next.close(), removeFile(next.path))
	}
	if err := errors.Join(next.close(), d.close()); err != nil {
		return fmt.Errorf("create the database: %w", err)
	}
	if err := replaceFile(next.path, d.path); err != nil {
		return fmt.Errorf("create the database: %w", err)
	}
	if err := d.open(); err != nil {
		return err
	}
	d.digest, d.broken = next.digest, true
	if err := syncFolder(filepath.Dir(d.path)); err != nil {
		return fmt.Errorf("create the database: %w", err)
	}
	d.broken = false
	return nil
}

// create makes the file with these rows and has it on the disk when it returns nil.
func (d *database) create(all []change) error {
	// A process that was killed may have left one.
	if err := removeFile(d.path); err != nil {
		return err
	}
	if err := d.open(); err != nil {
		return err
	}
	err := d.bolt.Update(func(tx *bbolt.Tx) error {
		_, err := tx.CreateBucket([]byte(digestBucket))
		for _, name := range bucketNames() {
			if err == nil {
				_, err = tx.CreateBucket([]byte(name))
			}
		}
		return err
	})
	if err != nil {
		return err
	}
	d.digest, err = update(d.bolt, digest{Version: layoutVersion}, all)
	return err
}

// close closes the file. A database that is closed is not intact.
func (d *database) close() error {
	if d.bolt == nil {
		return nil
	}
	err := d.bolt.Close()
	d.bolt = nil
	return err
}

func removeFile(path string) error {
	if err := os.Remove(path); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	return nil
}
