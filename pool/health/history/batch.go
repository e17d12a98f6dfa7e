package history

import "time"

// batch is what is to be written, taken from what waits. Its values belong to the writer.
type batch struct {
	names     []nameRow  // all targets with their places; empty: they are written
	gone      []nameRow  // targets that are no longer there
	parted    time.Time  // when what is in the file and not in names was over; zero: it is not
	places    []placeRow // that are not checked, along with names
	incidents []*incident
	ended     []*incident // those of them that are over
	figures   []figuresRow
	spent     []spentRow
	expiries  []expiryRow
	marks     []Mark
}

type nameRow struct {
	track   *track
	warning time.Duration
	places  []namedPlace
}

type namedPlace struct {
	placeRow
	joined time.Time // when the target came to it
}

type expiryRow struct {
	track  *track
	expiry time.Time
}

type placeRow struct {
	place
	host  string
	since time.Time
}

type figuresRow struct {
	track *track
	dated[figures]
}

type spentRow struct {
	subject *subject
	placeRow
	dated[spent]
}

// size is how many things are lost with the batch. What goes on is written again.
func (b batch) size() int {
	return len(b.ended) + len(b.figures) + len(b.spent) + len(b.expiries) + len(b.marks)
}

// take takes what waits. Figures that are not due wait on.
func (h *History) take(all bool) batch {
	h.mu.Lock()
	defer h.mu.Unlock()
	var b batch
	if h.renamed { // or the file is another one
		for _, t := range h.tracks {
			b.names = append(b.names, t.nameRow())
		}
		for _, s := range h.subjects {
			if len(s.tracks) == 0 {
				b.places = append(b.places, s.row())
			}
		}
		h.renamed = false
		if h.assigned {
			b.parted = h.parted
		}
	}
	b.ended, h.ended, h.endedBytes = h.ended, nil, 0
	for _, one := range b.ended {
		b.incidents = append(b.incidents, one.copy())
	}
	for _, t := range h.tracks {
		t.take(&b, all)
	}
	for _, t := range h.leaving {
		b.gone = append(b.gone, t.nameRow())
		t.take(&b, true)
	}
	for _, s := range h.subjects {
		s.take(&b, all)
	}
	for _, s := range h.left {
		s.take(&b, true)
	}
	h.leaving, h.left = nil, nil
	b.marks, h.marks = h.marks, nil
	return b
}

func (t *track) nameRow() nameRow {
	row := nameRow{track: t, warning: t.warning}
	for _, s := range t.places {
		row.places = append(row.places, namedPlace{s.row(), t.joined[s]})
	}
	return row
}

func (s *subject) row() placeRow { return placeRow{s.place, s.host, s.since} }

func (i *incident) copy() *incident {
	one := *i
	return &one
}

func (t *track) take(b *batch, all bool) {
	if i := t.incident; i != nil && (i.fresh || i.dirty && all) {
		b.incidents = append(b.incidents, i.copy())
		i.fresh, i.dirty = false, false
	}
	if !all {
		return
	}
	for _, one := range t.waiting {
		b.figures = append(b.figures, figuresRow{t, one})
	}
	t.waiting = nil
	if t.expiryFresh {
		b.expiries = append(b.expiries, expiryRow{t, t.expiry})
		t.expiryFresh = false
	}
}

func (s *subject) take(b *batch, all bool) {
	if !all {
		return
	}
	for _, one := range s.waiting {
		b.spent = append(b.spent, spentRow{s, s.row(), one})
	}
	s.waiting = nil
}

// giveBack has what could not be written wait again.
func (h *History) giveBack(b batch) {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.renamed = true
	h.ended = append(b.ended, h.ended...)
	for _, one := range b.ended {
		h.endedBytes += one.size()
	}
	h.boundEnded()
	h.rewriteOpen()
	for _, one := range b.ended {
		if h.tracks[one.track.target] != one.track {
			h.leaving = appendOnce(h.leaving, one.track) // so that its names are written with it
		}
	}
	for _, row := range b.figures {
		h.giveBackFigures(row)
	}
	for _, row := range b.spent {
		of, full := row.subject.waiting.of(row.day)
		of.add(row.value)
		if full {
			h.metrics.drop(1)
		}
		if h.subjects[row.subject.place] != row.subject {
			h.left = appendOnce(h.left, row.subject)
		}
	}
	for _, row := range b.expiries {
		row.track.expiryFresh = true
	}
	h.boundLeaving()
	h.marks = append(b.marks, h.marks...)
	h.marks = h.marks[max(len(h.marks)-mostMarks, 0):]
}

// rewriteOpen has all incidents that go on written again. h.mu is held.
func (h *History) rewriteOpen() {
	for _, t := range h.tracks {
		if t.incident != nil {
			t.incident.fresh = true
		}
	}
}

func (h *History) giveBackFigures(row figuresRow) {
	of, full := row.track.waiting.of(row.day)
	of.add(row.value)
	if full {
		h.metrics.drop(1)
	}
	if h.tracks[row.track.target] != row.track {
		h.leaving = appendOnce(h.leaving, row.track)
	}
}

// appendOnce appends what is not the last one already: rows of one come together.
func appendOnce[T comparable](all []T, one T) []T {
	if len(all) > 0 && all[len(all)-1] == one {
		return all
	}
	return append(all, one)
}
