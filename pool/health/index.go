package health

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"regexp"
	"strconv"
	"strings"
	"sync"
	"time"

	"mirrorpool/pool"
)

// Limits of indexes of files.
const (
	maxIndex      = 256 << 10 // bytes
	maxIndexFiles = 1000
	maxIndexPath  = 1000            // bytes
	maxIndexes    = 64              // that are kept
	indexAge      = 5 * time.Minute // after which one is fetched anew
	indexRetry    = 30 * time.Second
	indexKept     = 24 * time.Hour // that one is held for good while it cannot be fetched anew
)

// indexes keeps the indexes that were fetched, so that many targets that have to
// have the same files make one request for it. The zero indexes is ready for use.
type indexes struct {
	mutex sync.Mutex
	kept  map[string]*index // by URL
}

// index is one, as it was when it was last fetched.
type index struct {
	used time.Time     // guarded by indexes.mutex
	turn chan struct{} // has a value while somebody looks at what follows, or fetches

	fetched time.Time // the last try, on the monotonic clock; zero: never
	good    time.Time // the last that succeeded
	etag    string
	files   []pool.Requirement // of the last good fetch; not written after they are read
	err     error              // that the last fetch ended with
}

// of is the index of a URL, which may not have been fetched yet.
func (all *indexes) of(url string) *index {
	all.mutex.Lock()
	defer all.mutex.Unlock()
	x, ok := all.kept[url]
	if !ok {
		if len(all.kept) >= maxIndexes {
			all.forget()
		}
		if all.kept == nil {
			all.kept = make(map[string]*index)
		}
		x = &index{turn: make(chan struct{}, 1)}
		all.kept[url] = x
	}
	x.used = time.Now()
	return x
}

// forget drops the index that nobody has asked for the longest. all.mutex is held.
func (all *indexes) forget() {
	var oldest string
	for url, x := range all.kept {
		if oldest == "" || x.used.Before(all.kept[oldest].used) {
			oldest = url
		}
	}
	delete(all.kept, oldest)
}

// required are the files of the index, fetched if what is kept is too old. What was good
// within a day stands while its host is away, or has nothing that can be read.
func (s *aside) required(ctx context.Context, x *index) ([]pool.Requirement, error) {
	select {
	case x.turn <- struct{}{}:
		defer func() { <-x.turn }()
	case <-ctx.Done():
		return nil, ctx.Err()
	}
	age := time.Since(x.fetched)
	if !x.fetched.IsZero() && (age < indexRetry || x.err == nil && age < indexAge) {
		return x.held()
	}
	files, etag, err := s.fetchIndex(ctx, x)
	if err != nil && errors.Is(ctx.Err(), context.Canceled) {
		return nil, err // ours, and not the index's
	}
	if err != nil {
		x.err, x.fetched = explain(ctx, err, s.doing, s.timeout.Round(time.Millisecond)), time.Now()
		return x.held()
	}
	x.files, x.etag, x.err, x.fetched = files, etag, nil, time.Now()
	x.good = x.fetched
	return files, nil
}

// held is what stands of the index between two fetches.
func (x *index) held() ([]pool.Requirement, error) {
	if x.err == nil || !x.good.IsZero() && time.Since(x.good) < indexKept {
		return x.files, nil
	}
	return nil, x.err
}

// fetchIndex gets the index, or finds that it is still what is kept.
func (s *aside) fetchIndex(ctx context.Context, x *index) ([]pool.Requirement, string, error) {
	q := s.question
	q.alone, q.known = true, x.etag
	wanted := pool.StatusSet("200")
	if q.known != "" {
		wanted = "200,304"
	}
	r, err := s.expect(ctx, q, wanted)
	if err != nil {
		return nil, "", err
	}
	defer r.done()
	if r.StatusCode == http.StatusNotModified {
		return x.files, x.etag, nil
	}
	body, err := r.all(maxIndex)
	if err != nil {
		return nil, "", err
	}
	if len(body) > maxIndex {
		return nil, "", fail(Content, "index has more than %d KiB", maxIndex>>10)
	}
	files, err := parseIndex(body)
	if err != nil {
		return nil, "", fail(Content, "%s", err)
	}
	etag := r.Header.Get("ETag")
	if strings.ContainsFunc(etag, func(r rune) bool { return r <= ' ' || r > '~' }) || len(etag) > 200 {
		etag = ""
	}
	return files, etag, nil
}

// Paths are of the characters of RFC 3986, section 3.3, as they stand in a URL.
var (
	indexPath = regexp.MustCompile(`^(?:[A-Za-z0-9._~!$&'()*+,;=:@/-]|%[0-9A-Fa-f]{2})+$`)
	dotted    = regexp.MustCompile(`(?:^|/|%2[Ff])(?:\.|%2[Ee]){1,2}(?:/|%2[Ff]|$)`)
)

// parseIndex reads an index of files: lines "SIZE PATH", or "PATH" where any size
// is right. The size is in bytes; the path is percent-encoded where a URL's has to
// be, relative to where the files begin, "./" before it does not count. Empty lines
// and those that begin with "#" say nothing.
func parseIndex(text []byte) ([]pool.Requirement, error) {
	var files []pool.Requirement
	number := 0
	for line := range strings.Lines(string(text)) {
		number++
		line = strings.TrimSpace(line)
		if line == "" || line[0] == '#' {
			continue
		}
		file := pool.Requirement{Size: unknown}
		switch fields := strings.Fields(line); len(fields) {
		case 1:
			file.Path = fields[0]
		case 2:
			var ok bool
			if file.Size, ok = position(fields[0]); !ok {
				return nil, fmt.Errorf("index line %d: found %s, expected a size in bytes before the path", number, quote([]byte(fields[0])))
			}
			file.Path = fields[1]
		default:
			return nil, fmt.Errorf("index line %d: found %s, expected a size and a path, percent-encoded", number, quote([]byte(line)))
		}
		file.Path = strings.TrimPrefix(file.Path, "./")
		if len(file.Path) > maxIndexPath || !indexPath.MatchString(file.Path) || dotted.MatchString(file.Path) || strings.Contains(file.Path, "//") {
			return nil, fmt.Errorf("index line %d: found %s, expected a path of at most %d bytes, percent-encoded", number, quote([]byte(file.Path)), maxIndexPath)
		}
		if len(files) == maxIndexFiles {
			return nil, fmt.Errorf("index line %d: it has more than %s files", number, strconv.Itoa(maxIndexFiles))
		}
		files = append(files, file)
	}
	if len(files) == 0 {
		return nil, errors.New("index names no file")
	}
	return files, nil
}
