package pool

import (
	"encoding/json"
	"testing"
)

func TestProblemJSON(t *testing.T) {
	want := Problem{
		Position: Position{"pools.json", 3, 4}, Severity: Error,
		What: "pools[0].ttl", Found: "0", Expected: "a whole number",
	}
	data, err := json.Marshal(want)
	if err != nil {
		t.Fatal(err)
	}
	const text = `{"file":"pools.json","line":3,"column":4,"severity":"error","what":"pools[0].ttl","found":"0","expected":"a whole number"}`
	if string(data) != text {
		t.Errorf("%s, want %s", data, text)
	}
	var got Problem
	if err := json.Unmarshal(data, &got); err != nil || got != want {
		t.Errorf("read back as %+v: %v", got, err)
	}
	if err := json.Unmarshal([]byte(`{"severity":"fatal"}`), &got); err == nil {
		t.Error("an unknown severity was read")
	}
}

func TestPositionString(t *testing.T) {
	for want, position := range map[string]Position{
		"a.zone":     {File: "a.zone"},
		"a.zone:3":   {File: "a.zone", Line: 3},
		"a.zone:3:4": {File: "a.zone", Line: 3, Column: 4},
	} {
		if got := position.String(); got != want {
			t.Errorf("%q, want %q", got, want)
		}
	}
}
