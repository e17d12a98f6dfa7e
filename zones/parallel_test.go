package zones

import (
	"errors"
	"strings"
	"testing"
)

// TestInParallelPanics: a panic in any of the calls is the caller's to recover.
func TestInParallelPanics(t *testing.T) {
	for _, n := range []int{1, 2, 100} {
		func() {
			defer func() {
				value := recover()
				text, _ := value.(string)
				if n > 1 && text != "" && !strings.Contains(text, "TestInParallelPanics") || value == nil {
					t.Errorf("%d calls: recovered %v", n, value)
				}
			}()
			_ = inParallel(n, func(i int) error {
				if i == n-1 {
					panic("a slip")
				}
				return nil
			})
			t.Errorf("%d calls: no panic", n)
		}()
	}
	if err := inParallel(9, func(int) error { return errors.ErrUnsupported }); !errors.Is(err, errors.ErrUnsupported) {
		t.Errorf("the error is %v", err)
	}
}
