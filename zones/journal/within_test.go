package journal

import "testing"

func TestSinceWithin(t *testing.T) {
	j := open(t, t.TempDir(), Limits{})
	record(t, j, version(t, "example.", 1, "@ 60 IN NS ns.@"))
	record(t, j, version(t, "example.", 2, "@ 60 IN NS ns.@", "a.@ 60 IN A 127.0.0.1"))
	record(t, j, version(t, "example.", 3, "@ 60 IN NS ns.@", "b.@ 60 IN A 127.0.0.1"))
	_, both := j.Size()
	for _, test := range []struct {
		serial uint32
		most   int64
		want   int // -1: not ok
	}{
		{1, both, 2}, {1, both - 1, -1}, {1, 0, -1}, {2, both - 1, 1}, {2, 1, -1}, {3, 0, 0}, {4, both, -1},
	} {
		got, ok := j.Since("example.", test.serial, test.most)
		if ok != (test.want >= 0) || ok && len(got) != test.want {
			t.Errorf("since %d within %d of %d bytes: %d, %v, want %d", test.serial, test.most, both, len(got), ok, test.want)
		}
	}
	if _, ok := j.Since("other.", 1, both); ok {
		t.Error("differences of a zone that is not there")
	}
}
