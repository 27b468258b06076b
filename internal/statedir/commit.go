package statedir

// batch is changes that are written together.
type batch struct {
	work []func(*tx)
	done bool
	err  error
}

// update makes a change and returns when it is on the disk. Changes that arrive while the disk is busy gather in one batch;
// whoever gets the disk first writes it for all. Each change sees those before it in the batch.
func (s *Store) update(change func(*tx)) error {
	s.queue.Lock()
	b := s.next
	b.work = append(b.work, change)
	s.queue.Unlock()

	s.disk.Lock()
	defer s.disk.Unlock()
	if b.done {
		return b.err
	}
	// Only the holder of disk replaces next, so b is still next and nobody has written it.
	s.queue.Lock()
	s.next = &batch{}
	s.queue.Unlock()
	b.err = s.commit(b.work)
	b.done = true
	return b.err
}

// commit writes changes and then shows them to readers. The caller holds disk.
func (s *Store) commit(work []func(*tx)) error {
	if s.closed {
		return ErrClosed
	}
	t := s.rows.begin()
	for _, change := range work {
		change(t)
	}
	changes, err := t.changes()
	if err != nil || len(changes) == 0 {
		return err
	}
	if err := s.append(changes); err != nil {
		return err
	}
	s.mu.Lock()
	t.apply()
	s.mu.Unlock()
	s.compact()
	return nil
}

// append writes changes to the end of the journal. When an earlier write went wrong, what is on the disk behind the last
// good change is not known, so the journal is written anew first.
func (s *Store) append(changes []change) error {
	if err := sameFolder(s.dir, s.lock); err != nil {
		return err
	}
	if !s.journal.intact() {
		if err := s.journal.rewrite(s.rows.all()); err != nil {
			return err
		}
	}
	return s.journal.append(changes)
}

// compact writes the journal anew when most of it has been overtaken. When that does not work, the longer one serves on.
func (s *Store) compact() {
	if !s.journal.overgrown() {
		return
	}
	if err := s.journal.rewrite(s.rows.all()); err != nil {
		s.log.Warn("the journal cannot be made shorter", "error", err)
	}
}
