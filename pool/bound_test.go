package pool

import (
	"fmt"
	"strings"
	"testing"
	"testing/fstest"
	"time"
)

// Large files in the forms that would take longest if any step took time in the
// square of the size: minutes, where now it is a second.
func TestLargeFilesTakeLinearTime(t *testing.T) {
	fill := func(size int, before, after string, element func(int) string) []byte {
		var b strings.Builder
		b.WriteString(before)
		for i := 0; b.Len() < size; i++ {
			b.WriteString(element(i) + ",")
		}
		return []byte(strings.TrimSuffix(b.String(), ",") + after)
	}
	pool := `{"pools": [{"name": "a.example", "members": [{"id": "a", "weight": 1, "addresses": ["8.8.8.8"], `
	files := map[string][]byte{
		"asns":    fill(MaxFileSize/4, pool+`"only": {"asns": [`, `]}}]}]}`, func(i int) string { return fmt.Sprint(i + 1) }),
		"keys":    fill(MaxFileSize/16, `{`, `}`, func(i int) string { return fmt.Sprintf(`"pol%d": 0`, i%1000*1000+i) }),
		"members": fill(MaxFileSize/16, `{"pools": [{"name": "a.example", "members": [`, `]}]}`, func(i int) string { return `{"id": "a", "addresses": ["8.8.8.8"]}` }),
		"text":    []byte(pool + `"mirror": "` + strings.Repeat("a.", MaxFileSize/8) + `"}]}]}`),
		"lines":   []byte(strings.Repeat("\n", MaxFileSize/4) + `{"pools": 1}`),
		"number":  []byte(`{"version": ` + strings.Repeat("1", MaxFileSize/4) + `e-` + strings.Repeat("9", 1000) + `}`),
	}
	for name, data := range files {
		t.Run(name, func(t *testing.T) {
			done := make(chan []Problem, 1)
			go func() {
				_, problems := Parse(fstest.MapFS{PoolsPath: {Data: data}})
				done <- problems
			}()
			start := time.Now()
			select {
			case problems := <-done:
				t.Logf("%d bytes, %d problems, %v", len(data), len(problems), time.Since(start))
			case <-time.After(time.Minute):
				t.Fatal("not done after a minute")
			}
		})
	}
}
