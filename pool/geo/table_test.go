package geo

import (
	"math"
	"math/rand/v2"
	"net/netip"
	"slices"
	"testing"
)

// randomAddress prefers addresses beside the given ones: that is where
// mistakes are.
func randomAddress(r *rand.Rand, boundaries []netip.Addr, is4 bool) netip.Addr {
	var address netip.Addr
	if len(boundaries) > 0 && r.IntN(2) == 0 {
		address = boundaries[r.IntN(len(boundaries))]
		switch r.IntN(3) {
		case 0:
			address = address.Next()
		case 1:
			address = address.Prev()
		}
	}
	if address.IsValid() {
		return address
	}
	if is4 {
		return address4(r.Uint32())
	}
	// The high bits decide most often.
	w := wide{r.Uint64() >> (r.IntN(8) * 8), r.Uint64() >> (r.IntN(9) * 8 % 64)}
	return w.address()
}

// within lists addresses of a prefix: its ends, some in the middle, and those
// of the given boundaries that lie in it.
func within(r *rand.Rand, prefix netip.Prefix, boundaries []netip.Addr) []netip.Addr {
	first, last := prefix.Masked().Addr(), lastAddress(prefix)
	list := []netip.Addr{first, last}
	for range 8 {
		var random netip.Addr
		if first.Is4() {
			random = address4(number4(first) + r.Uint32()&(number4(last)-number4(first)))
		} else {
			a, b := wideFrom(first.As16()), wideFrom(last.As16())
			span := b.minus(a)
			random = wide{a.high | r.Uint64()&span.high, a.low | r.Uint64()&span.low}.address()
		}
		list = append(list, random)
	}
	for _, b := range boundaries {
		for _, address := range []netip.Addr{b.Prev(), b, b.Next()} {
			if address.IsValid() && prefix.Contains(address) {
				list = append(list, address)
			}
		}
	}
	return list
}

func TestTableAgainstList(t *testing.T) {
	r := rand.New(rand.NewPCG(1, 2))
	type entry struct {
		first, last netip.Addr
		value       uint32
	}
	for round := range 60 {
		for _, is4 := range []bool{true, false} {
			var boundaries []netip.Addr
			for range r.IntN(300) + 1 {
				boundaries = append(boundaries, randomAddress(r, boundaries, is4))
			}
			if round%3 == 0 { // both ends of the address space
				all := netip.PrefixFrom(boundaries[0], 0)
				boundaries = append(boundaries, all.Masked().Addr(), lastAddress(all))
			}
			slices.SortFunc(boundaries, netip.Addr.Compare)
			boundaries = slices.Compact(boundaries)
			var b builder
			var list []entry
			for i := 0; i+1 < len(boundaries); i += 1 + r.IntN(2) {
				e := entry{boundaries[i], boundaries[i+1].Prev(), r.Uint32N(4)}
				if i+2 == len(boundaries) {
					e.last = boundaries[i+1]
				}
				if err := b.addRange(e.first, e.last, e.value); err != nil {
					t.Fatal(err)
				}
				list = append(list, e)
			}
			find := func(a netip.Addr) uint32 {
				for _, e := range list {
					if !a.Less(e.first) && !e.last.Less(a) {
						return e.value
					}
				}
				return 0
			}
			table := b.finish()
			for range 100 {
				address := randomAddress(r, boundaries, is4)
				value, length := table.lookup(keyOf(address))
				if want := find(address); value != want {
					t.Fatalf("%s: value %d, want %d", address, value, want)
				}
				prefix := netip.PrefixFrom(address, length)
				for _, other := range within(r, prefix, boundaries) {
					if got := find(other); got != value {
						t.Fatalf("%s has %d and prefix %s, in which %s has %d", address, value, prefix, other, got)
					}
				}
				if length == 0 {
					continue
				}
				// The next wider prefix has to hold something else.
				wider := netip.PrefixFrom(address, length-1)
				if !slices.ContainsFunc(within(r, wider, boundaries), func(a netip.Addr) bool { return find(a) != value }) {
					t.Fatalf("%s has prefix length %d, and %s would do", address, length, wider)
				}
			}
		}
	}
}

func TestBuilderRefusesDisorder(t *testing.T) {
	a := netip.MustParseAddr
	tests := []struct {
		name   string
		ranges [][2]string
	}{
		{"backwards", [][2]string{{"10.0.0.9", "10.0.0.1"}}},
		{"overlap", [][2]string{{"10.0.0.0", "10.0.0.9"}, {"10.0.0.9", "10.0.0.20"}}},
		{"behind the last address", [][2]string{{"10.0.0.0", "255.255.255.255"}, {"0.0.0.0", "0.0.0.1"}}},
		{"backwards, IPv6", [][2]string{{"2001:db8::9", "2001:db8::1"}}},
		{"overlap, IPv6", [][2]string{{"2001:db8::", "2001:db8::9"}, {"2001:db8::9", "2001:db8::20"}}},
		{"behind the last address, IPv6", [][2]string{{"::", "ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff"}, {"::", "::1"}}},
	}
	for _, test := range tests {
		var b builder
		var err error
		for _, r := range test.ranges {
			if err != nil {
				t.Errorf("%s: refused too early: %v", test.name, err)
			}
			err = b.addRange(a(r[0]), a(r[1]), 1)
		}
		if err == nil {
			t.Errorf("%s: accepted", test.name)
		}
	}
}

func TestWideNumbers(t *testing.T) {
	r := rand.New(rand.NewPCG(3, 4))
	for range 10_000 {
		w := wide{r.Uint64() >> r.IntN(65), r.Uint64() >> r.IntN(65)}
		number, rest, err := cutNumber(append(appendNumber(nil, w), 0xaa))
		if err != nil || number != w || len(rest) != 1 {
			t.Fatalf("%v was read as %v, %v left, %v", w, number, rest, err)
		}
		if w == (wide{}) {
			continue
		}
		power := w.trailingZeros()
		if back, ok := w.shiftRight(power + 1).timesTwoPlusOne(power); !ok || back != w {
			t.Fatalf("%v was taken apart and became %v, %v", w, back, ok)
		}
	}
	if _, _, err := cutNumber([]byte{0x80, 0x80}); err == nil {
		t.Error("a number without an end was read")
	}
	if _, _, err := cutNumber(slices.Repeat([]byte{0xff}, 30)); err == nil {
		t.Error("a number of more than 128 bits was read")
	}
	if sum, overflow := maxWide.plus(wide{0, 1}); !overflow || sum != (wide{}) {
		t.Error("the overflow of a sum was not seen")
	}
	if n := (wide{math.MaxUint64, 0}).length(); n != 128 {
		t.Error("length", n)
	}
}
