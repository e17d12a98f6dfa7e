package pool

import (
	"cmp"
	"fmt"
	"slices"
	"strconv"
	"strings"
)

// StatusSet is a set of HTTP statuses in its one form: codes and ranges, ascending and
// without overlap, such as "200,206,300-399". Empty: DefaultStatus alone.
type StatusSet string

// ParseStatuses reads codes from 100 to 599 and ranges of them, with commas between,
// in any order.
func ParseStatuses(text string) (StatusSet, error) {
	var ranges [][2]int
	for part := range strings.SplitSeq(text, ",") {
		low, high, ranged := strings.Cut(strings.Trim(part, " "), "-")
		if !ranged {
			high = low
		}
		first, err := parseStatus(low)
		if err != nil {
			return "", err
		}
		last, err := parseStatus(high)
		if err != nil {
			return "", err
		}
		if last < first {
			return "", fmt.Errorf("reading statuses: %s ends before it begins", part)
		}
		ranges = append(ranges, [2]int{first, last})
	}
	slices.SortFunc(ranges, func(a, b [2]int) int { return cmp.Or(a[0]-b[0], a[1]-b[1]) })
	joined := ranges[:1]
	for _, next := range ranges[1:] {
		if last := &joined[len(joined)-1]; next[0] <= last[1]+1 {
			last[1] = max(last[1], next[1])
		} else {
			joined = append(joined, next)
		}
	}
	var out []string
	for _, r := range joined {
		one := strconv.Itoa(r[0])
		if r[1] > r[0] {
			one += "-" + strconv.Itoa(r[1])
		}
		out = append(out, one)
	}
	return StatusSet(strings.Join(out, ",")), nil
}

func parseStatus(text string) (int, error) {
	status, err := strconv.Atoi(text)
	if err != nil || len(text) != 3 || status < 100 || status > 599 {
		return 0, fmt.Errorf("reading statuses: found %q, expected a status from 100 to 599", text)
	}
	return status, nil
}

// Has reports whether a status is in the set.
func (s StatusSet) Has(status int) bool {
	if s == "" {
		return status == DefaultStatus
	}
	for part := range strings.SplitSeq(string(s), ",") {
		low, high, ranged := strings.Cut(part, "-")
		if !ranged {
			high = low
		}
		first, _ := strconv.Atoi(low)
		last, _ := strconv.Atoi(high)
		if first <= status && status <= last {
			return true
		}
	}
	return false
}

func (s StatusSet) String() string {
	if s == "" {
		return strconv.Itoa(DefaultStatus)
	}
	return string(s)
}
