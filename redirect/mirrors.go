package redirect

import (
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"net/http"
	"sync"

	"mirrorpool/pool"
	"mirrorpool/zones"
)

// serveMirrors answers with the host's mirrors file of the current commit, byte
// for byte. Unlike redirects it is the same for everybody and may be cached.
func (h *handler) serveMirrors(w http.ResponseWriter, r *http.Request, table *zones.Table, host *zones.Host) {
	list := host.Redirect.List
	header := w.Header()
	header.Set("Content-Type", "application/json")
	header.Set("Cache-Control", "public, max-age=60")
	header.Set("X-Content-Type-Options", "nosniff")
	header.Set("ETag", h.tags.of(list))
	// A later commit can have an earlier date, so that only the very date that
	// was given out means that nothing has changed.
	if since := r.Header.Get("If-Modified-Since"); since != "" {
		if since != table.CommitTime.UTC().Format(http.TimeFormat) {
			r = r.Clone(r.Context())
			r.Header.Del("If-Modified-Since")
		}
	}
	http.ServeContent(w, r, "", table.CommitTime, bytes.NewReader(list.Data))
}

// entityTags remembers the strong entity tags of mirrors files, which are
// digests of their content.
type entityTags struct {
	mu   sync.Mutex
	tags map[*pool.MirrorList]string
}

// maxEntityTags bounds what entityTags remembers: lists of old commits go
// when the lists of newer ones come.
const maxEntityTags = 64

func (e *entityTags) of(list *pool.MirrorList) string {
	e.mu.Lock()
	defer e.mu.Unlock()
	if tag, ok := e.tags[list]; ok {
		return tag
	}
	if e.tags == nil || len(e.tags) >= maxEntityTags {
		e.tags = make(map[*pool.MirrorList]string)
	}
	digest := sha256.Sum256(list.Data)
	tag := `"` + hex.EncodeToString(digest[:]) + `"`
	e.tags[list] = tag
	return tag
}
