package health

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"sync"

	"mirrorpool/pool"
)

// Limits of PurposeContents.
const (
	maxHelpers   = 3  // connections beside the probe's own
	filesPerHelp = 16 // that make one more worth while
	maxNamed     = 5  // files in a reason
)

// contents looks whether the target has all files that it has to have. An index
// that cannot be had says nothing of the target: only the other files count then.
func (a *attempt) contents(ctx context.Context, q question) (string, error) {
	probe := a.target.Probe
	files := slices.Collect(probe.Required.All())
	var list *aside
	var missed error
	if probe.Index != "" {
		var err error
		if list, err = a.beside("index", probe.Index); err != nil {
			return "", err
		}
		defer list.close()
		missed = list.during(ctx, a, func(ctx context.Context) error {
			named, err := list.required(ctx, a.indexes.of(probe.Index))
			files = a.together(q, files, named)
			return err
		})
		if missed == nil {
			a.ended(list.name, a.mark.Add(-list.took), count(len(files), "file", "files"))
		}
	}
	if len(files) == 0 && missed != nil {
		return list.without(ctx, a, "index not reachable: no files were looked for", missed)
	}
	if len(files) == 0 {
		return "", fail(Failed, "no files are named")
	}
	seen, err := a.find(ctx, q, files)
	if err != nil {
		return "", err
	}
	if missed != nil {
		return list.without(ctx, a, seen+"; index not reachable: its files were not looked for", missed)
	}
	return seen, nil
}

// together are both lists, each file once. The first says which size it has; the
// other where that does not.
func (a *attempt) together(base question, files, more []pool.Requirement) []pool.Requirement {
	all := make([]pool.Requirement, 0, len(files)+len(more))
	place := make(map[string]int, len(files)+len(more))
	for _, file := range slices.Concat(files, more) {
		key := file.Path
		if q, err := a.file(base, file.Path); err == nil { // what is wrong with it is told later
			key = q.url.String()
		}
		i, known := place[key]
		switch {
		case !known:
			place[key] = len(all)
			all = append(all, file)
		case all[i].Size < 0:
			all[i].Size = file.Size
		}
	}
	return all
}

// file is the question for a file of the target. Paths of a member that begin with
// "/" stand for themselves; others are below the probe's path or URL.
func (a *attempt) file(base question, path string) (question, error) {
	below := base.url.EscapedPath()
	if !strings.HasSuffix(below, "/") {
		below += "/"
	}
	if a.target.URL == "" && strings.HasPrefix(path, "/") {
		below = "/"
	}
	u, err := url.Parse(base.url.Scheme + "://" + base.url.Host + below + strings.TrimLeft(path, "/"))
	if err != nil {
		return question{}, fail(Failed, "%s is not a path that can be fetched", quote([]byte(path)))
	}
	base.url = u
	return base, nil
}

// search looks for many files, with helpers on connections of their own where
// there are so many that one after the other would take long.
type search struct {
	attempt   *attempt
	questions []question
	files     []pool.Requirement
	sights    []sight // of files

	mutex sync.Mutex
	next  int   // of files, that nobody looks for yet
	left  []int // by helpers that could not tell
}

// sight is what was seen of one file.
type sight struct {
	looked bool
	status int
	wrong  string // empty: it is as it has to be
}

// find looks for files, and says in words what is missing.
func (a *attempt) find(ctx context.Context, base question, files []pool.Requirement) (string, error) {
	s := &search{attempt: a, files: files, sights: make([]sight, len(files))}
	for _, file := range files {
		q, err := a.file(base, file.Path)
		if err != nil {
			return "", err
		}
		s.questions = append(s.questions, q)
	}
	err := s.run(ctx)
	looked, wrong := s.summary()
	a.step("files", fmt.Sprintf("%d of %s looked for, %d missing", looked, count(len(files), "file", "files"), len(wrong)))
	switch {
	case len(wrong) > 0 && (err == nil || errors.Is(ctx.Err(), context.DeadlineExceeded)):
		return "", s.missing(wrong)
	case err != nil && looked > 0 && errors.Is(ctx.Err(), context.DeadlineExceeded):
		return "", fail(Timeout, "%d of %d files looked for within %s", looked, len(files), a.timeout)
	case err != nil:
		return "", err
	case looked < len(files): // nobody is good for what was not looked at
		return "", fail(Failed, "%d of %d files looked for", looked, len(files))
	}
	if len(files) == 1 {
		return "1 file is there", nil
	}
	return fmt.Sprintf("%d files are there", len(files)), nil
}

// run looks for the first file by itself, which evidence tells of; helpers for the
// rest are gone when it returns.
func (s *search) run(ctx context.Context) error {
	a := s.attempt
	own := &finder{party: &a.party, search: s}
	if err := own.look(ctx, s.take()); err != nil {
		return err
	}
	a.scribe = nil // the steps of all files would tell nobody anything
	defer func() { a.scribe = a }()
	helping, dismiss := context.WithCancel(ctx)
	var helpers sync.WaitGroup
	for range min(maxHelpers, (len(s.files)-1)/filesPerHelp) {
		helpers.Go(func() { s.help(helping) })
	}
	err := func() error {
		defer helpers.Wait()
		defer dismiss() // what they are still waiting for is soon asked for again
		return own.lookForAll(ctx)
	}()
	if err != nil {
		return err
	}
	return own.lookForRest(ctx)
}

// help looks for files until it fails. What it does not find as it has to be is
// left to the probe's own connection, since servers may treat several connections
// worse than one.
func (s *search) help(ctx context.Context) {
	a := s.attempt
	helper := &finder{search: s, party: &party{
		checker: a.checker, name: a.name, address: a.address, follow: a.follow, timeout: a.timeout, first: a.first,
	}}
	defer helper.party.close()
	for {
		i := s.take()
		if i < 0 {
			return
		}
		found, failed := helper.tries(ctx, i)
		if !found {
			s.mutex.Lock()
			s.left = append(s.left, i)
			s.mutex.Unlock()
		}
		if failed {
			return
		}
	}
}

// take is the next file that nobody looks for; -1: there is none.
func (s *search) take() int {
	s.mutex.Lock()
	defer s.mutex.Unlock()
	if s.next == len(s.files) {
		return -1
	}
	s.next++
	return s.next - 1
}

// summary tells how many files were looked for, and which are not as they have to
// be, and notes the status of the first of these.
func (s *search) summary() (looked int, wrong []int) {
	for i, sight := range s.sights {
		if sight.looked {
			looked++
		}
		if sight.wrong != "" {
			wrong = append(wrong, i)
		}
	}
	if len(wrong) > 0 {
		s.attempt.result.Evidence.Status = s.sights[wrong[0]].status
	}
	return looked, wrong
}

// missing names the first files that are not as they have to be.
func (s *search) missing(wrong []int) error {
	var names []string
	for _, i := range wrong[:min(len(wrong), maxNamed)] {
		names = append(names, fmt.Sprintf("%s (%s)", clip(s.files[i].Path), s.sights[i].wrong))
	}
	words := strings.Join(names, ", ")
	if more := len(wrong) - len(names); more > 0 {
		words += fmt.Sprintf(" and %d more", more)
	}
	return fail(Missing, "%d of %s missing: %s", len(wrong), count(len(s.files), "file", "files"), words)
}

// finder looks for files at one party.
type finder struct {
	party    *party
	search   *search
	headless bool // the server does not know HEAD
}

// lookForAll looks for files as long as there are any.
func (f *finder) lookForAll(ctx context.Context) error {
	for {
		i := f.search.take()
		if i < 0 {
			return nil
		}
		if err := f.look(ctx, i); err != nil {
			return err
		}
	}
}

// lookForRest looks for those that helpers have left. No helper is there any more.
func (f *finder) lookForRest(ctx context.Context) error {
	for _, i := range f.search.left {
		if err := f.look(ctx, i); err != nil {
			return err
		}
	}
	return nil
}

// tries looks for a file, and tells whether it is as it has to be, and whether the
// server answers no more, or not to this connection.
func (f *finder) tries(ctx context.Context, i int) (found, failed bool) {
	defer func() {
		if recover() != nil {
			found, failed = false, true // the probe's own goroutine meets the same, and tells of it
		}
	}()
	seen, err := f.sight(ctx, i)
	switch {
	case err != nil, seen.status == http.StatusTooManyRequests, seen.status == http.StatusServiceUnavailable:
		return false, true
	case seen.wrong != "":
		return false, false
	}
	f.search.sights[i] = seen
	return true, false
}

// look looks for a file.
func (f *finder) look(ctx context.Context, i int) error {
	seen, err := f.sight(ctx, i)
	if err == nil {
		f.search.sights[i] = seen
	}
	return err
}

// sight asks for a file by HEAD, or for its first byte where that is not allowed or
// does not tell the size that is wanted.
func (f *finder) sight(ctx context.Context, i int) (sight, error) {
	q, file := f.search.questions[i], f.search.files[i]
	if !f.headless {
		q.method = http.MethodHead
		r, err := f.party.lead(ctx, q, "200")
		if err != nil {
			return sight{}, err
		}
		r.done()
		refused := r.StatusCode == http.StatusMethodNotAllowed || r.StatusCode == http.StatusNotImplemented
		asks := refused || r.StatusCode == http.StatusForbidden || r.StatusCode == http.StatusBadRequest ||
			r.StatusCode == http.StatusOK && file.Size >= 0 && r.whole() == unknown
		f.headless = refused
		if !asks {
			return sightOf(r, file), nil
		}
	}
	q.method = http.MethodGet
	r, err := f.party.lead(ctx, q.asking(span{0, 0}), partStatuses)
	if err != nil {
		return sight{}, err
	}
	defer r.done()
	r.skip()
	return sightOf(r, file), nil
}

// sightOf judges an answer.
func sightOf(r *reply, file pool.Requirement) sight {
	seen := sight{looked: true, status: r.StatusCode}
	size := r.whole()
	empty := r.StatusCode == http.StatusRequestedRangeNotSatisfiable && size == 0 // it has no first byte
	switch {
	case !partStatuses.Has(r.StatusCode) && !empty:
		seen.wrong = strconv.Itoa(r.StatusCode)
	case file.Size >= 0 && size == unknown:
		seen.wrong = fmt.Sprintf("size not told, expected %d bytes", file.Size)
	case file.Size >= 0 && size != file.Size:
		seen.wrong = fmt.Sprintf("%s, expected %d", bytesOf(size), file.Size)
	}
	return seen
}

// bytesOf writes an exact size.
func bytesOf(size int64) string {
	if size == 1 {
		return "1 byte"
	}
	return strconv.FormatInt(size, 10) + " bytes"
}
