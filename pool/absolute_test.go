package pool

import "testing"

func TestAbsoluteName(t *testing.T) {
	for host, want := range map[string]string{
		"mirror.example": "mirror.example.", "Mirror.Example.": "Mirror.Example.", "1.example": "1.example.",
		"localhost": "localhost", "127.0.0.1": "127.0.0.1", "::1": "::1", "::ffff:127.0.0.1": "::ffff:127.0.0.1", "fe80::1%eth0.1": "fe80::1%eth0.1", "": "",
	} {
		if got := AbsoluteName(host); got != want {
			t.Errorf("%q: %q, want %q", host, got, want)
		}
	}
}
