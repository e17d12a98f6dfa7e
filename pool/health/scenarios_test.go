package health_test

import (
	"fmt"
	"net/http"
	"testing"
	"time"

	"mirrorpool/pool/health"
)

func members(from, to int) []int {
	var all []int
	for i := from; i < to; i++ {
		all = append(all, i)
	}
	return all
}

var ten = settings{members: 10, ttl: 60}

// detection is how long it takes at most until a mirror that fails is taken down: three
// probes of a round each with its jitter, and the last one's time.
const detection = 3*33*time.Second + 5*time.Second

// TestMirrorFails: its traffic goes to the others once it is found, and comes back to it.
func TestMirrorFails(t *testing.T) {
	isolated(t, func(t *testing.T) {
		s := simulate(t, ten)
		s.even("all are well", s.during(10*time.Minute), members(0, 10)...)
		s.turn(0, 0, 1)
		s.during(detection + 60*time.Second) // answers that were kept
		seen := s.during(10 * time.Minute)
		s.even("two have failed", seen, members(2, 10)...)
		if seen.failed != 0 {
			t.Errorf("%d of %d downloads fail", seen.failed, seen.total)
		}
		s.turn(http.StatusOK, 0, 1)
		s.during(5*33*time.Second + 60*time.Second)
		s.even("they are back", s.during(10*time.Minute), members(0, 10)...)
	})
}

// TestFlapping: a mirror that answers one request in three, or two, is taken down and
// stays so; one that fails now and then keeps its share.
func TestFlapping(t *testing.T) {
	for _, test := range []struct {
		fails, of int
		kept      bool
	}{{2, 3, false}, {1, 3, false}, {1, 40, true}} {
		isolated(t, func(t *testing.T) {
			s := simulate(t, ten)
			s.during(5 * time.Minute)
			requests := 0
			s.behave(func() int {
				if requests++; requests%test.of < test.fails {
					return http.StatusBadGateway
				}
				return http.StatusOK
			}, 3)
			s.during(10 * time.Minute)
			seen := s.during(time.Hour)
			if test.kept {
				s.even("it fails now and then", seen, members(0, 10)...)
				return
			}
			// Requests of clients and probes alternate by chance: a run of five successes
			// in a row is rare, and then it comes back for some minutes.
			if share := seen.share(3); share > 0.02 || seen.failed*100 > seen.total*2 {
				t.Errorf("%d in %d fail: a share of %.3f, %d of %d downloads fail", test.fails, test.of, share, seen.failed, seen.total)
			}
		})
	}
}

// TestSlowDecay: mirrors die one by one, and each time the others get its traffic.
func TestSlowDecay(t *testing.T) {
	isolated(t, func(t *testing.T) {
		s := simulate(t, ten)
		s.during(5 * time.Minute)
		for i := range 9 {
			s.turn(0, i)
			s.during(detection + 60*time.Second)
			seen := s.during(8 * time.Minute)
			s.even(fmt.Sprintf("%d have died", i+1), seen, members(i+1, 10)...)
			if seen.failed != 0 || s.frozen() != "" {
				t.Errorf("%d dead: %d of %d downloads fail, frozen: %q", i+1, seen.failed, seen.total, s.frozen())
			}
		}
	})
}

// TestEverybodyDown: while no mirror is up everyone gets a share, for one may be up for
// clients after all; when they are back, so are their shares.
func TestEverybodyDown(t *testing.T) {
	for _, control := range []bool{true, false} {
		isolated(t, func(t *testing.T) {
			set := ten
			set.control = control
			s := simulate(t, set)
			s.during(5 * time.Minute)
			s.turn(0, members(0, 10)...)
			s.during(10 * time.Minute)
			s.even("all are down", s.during(10*time.Minute), members(0, 10)...)
			if frozen := s.frozen() != ""; frozen == control {
				t.Errorf("control addresses %v: frozen %q", control, s.frozen())
			}
			s.turn(http.StatusOK, members(0, 10)...)
			s.during(5 * time.Minute)
			seen := s.during(10 * time.Minute)
			s.even("all are back", seen, members(0, 10)...)
			if seen.failed != 0 || s.frozen() != "" {
				t.Errorf("%d downloads fail, frozen %q", seen.failed, s.frozen())
			}
		})
	}
}

// TestProberCutOff: the node's own network is gone, the mirrors are well, and no client
// notices: neither what the mirrors get, nor what fails, is any other. Two mirrors were
// down before, and stay out.
func TestProberCutOff(t *testing.T) {
	for _, test := range []struct {
		members int
		control bool
	}{{10, false}, {10, true}, {4, true}} {
		isolated(t, func(t *testing.T) {
			s := simulate(t, settings{members: test.members, ttl: 60, control: test.control})
			s.during(5 * time.Minute)
			s.turn(0, 0)
			s.during(5 * time.Minute)
			others := members(1, test.members)
			s.change(func() {
				s.cut[false], s.cut[true] = true, true
				s.control = "silent"
			})
			for minute := range 6 {
				seen := s.during(10 * time.Minute)
				s.even(fmt.Sprintf("%d min after it was cut off", 10*minute), seen, others...)
				if seen.failed > 0 {
					t.Errorf("%d of %d downloads fail", seen.failed, seen.total)
				}
			}
			if s.frozen() != "ipv4 ipv6" {
				t.Errorf("frozen: %q", s.frozen())
			}
			// Meanwhile another one has failed: it is found once the network is back.
			s.turn(0, 1)
			s.change(func() {
				s.cut[false], s.cut[true] = false, false
				s.control = "answers"
			})
			s.during(70*time.Second + detection + 60*time.Second)
			seen := s.during(10 * time.Minute)
			s.even("the network is back", seen, members(2, test.members)...)
			if seen.failed > 0 || s.frozen() != "" {
				t.Errorf("%d downloads fail, frozen: %q", seen.failed, s.frozen())
			}
		})
	}
}

// TestIPv6CutOff: the node has lost IPv6 alone. Mirrors keep their share of it, and what
// is found over IPv4 counts.
func TestIPv6CutOff(t *testing.T) {
	for _, control := range []bool{false, true} {
		isolated(t, func(t *testing.T) {
			set := ten
			set.control = control
			s := simulate(t, set)
			s.during(5 * time.Minute)
			s.change(func() { s.cut[true] = true })
			s.during(2 * time.Minute)
			if s.frozen() != "ipv6" {
				t.Errorf("frozen: %q", s.frozen())
			}
			s.turn(0, 4)
			s.during(detection + 60*time.Second)
			begin := time.Since(s.start)
			s.during(10 * time.Minute)
			four, six := s.between(begin, begin+10*time.Minute, "ipv4"), s.between(begin, begin+10*time.Minute, "ipv6")
			s.even("over IPv4", four, 0, 1, 2, 3, 5, 6, 7, 8, 9)
			if four.failed > 0 {
				t.Errorf("%d of %d downloads fail over IPv4", four.failed, four.total)
			}
			s.even("over IPv6", six, members(0, 10)...)
			s.change(func() { s.cut[true] = false })
			s.during(70*time.Second + detection + 60*time.Second)
			six = s.during(10*time.Minute, "ipv6")
			s.even("IPv6 is back", six, 0, 1, 2, 3, 5, 6, 7, 8, 9)
			if six.failed > 0 || s.frozen() != "" {
				t.Errorf("%d of %d downloads fail, frozen: %q", six.failed, six.total, s.frozen())
			}
		})
	}
}

// TestClockJumps: the node's wall clock is set by days, forth and back, while traces are
// looked at. Mirrors keep their shares, and one that fails is found.
func TestClockJumps(t *testing.T) {
	for _, control := range []bool{false, true} {
		for _, step := range []time.Duration{5 * 24 * time.Hour, -5 * 24 * time.Hour} {
			isolated(t, func(t *testing.T) {
				set := ten
				set.control, set.more = control, `, "max_age": "26h"`
				s := simulate(t, set)
				s.during(5 * time.Minute)
				s.turn(0, 9) // were all taken for down, it would be given again
				s.during(detection + 60*time.Second)
				for _, ahead := range []time.Duration{step, 0} {
					s.change(func() { s.ahead = ahead })
					for range 3 {
						seen := s.during(10 * time.Minute)
						s.even(fmt.Sprintf("clock at %s, control %v", ahead, control), seen, members(0, 9)...)
						if seen.failed > 0 {
							t.Errorf("%d of %d downloads fail", seen.failed, seen.total)
						}
					}
				}
				if s.frozen() != "" {
					t.Errorf("frozen: %q", s.frozen())
				}
				s.turn(0, 5)
				s.during(detection + 60*time.Second)
				s.even("one fails", s.during(10*time.Minute), 0, 1, 2, 3, 4, 6, 7, 8)
			})
		}
	}
}

// TestMassMaintenance: most mirrors really go down at the same time. With control
// addresses that answer they are taken down as if they were few; without, after ten
// rounds, since others answer all the time.
func TestMassMaintenance(t *testing.T) {
	for _, control := range []bool{true, false} {
		isolated(t, func(t *testing.T) {
			set := ten
			set.control = control
			s := simulate(t, set)
			s.during(5 * time.Minute)
			s.turn(0, members(0, 7)...)
			if !control {
				s.during(10 * 33 * time.Second)
			}
			s.during(detection + 60*time.Second)
			seen := s.during(10 * time.Minute)
			s.even("seven are gone", seen, members(7, 10)...)
			if seen.failed > 0 || s.frozen() != "" {
				t.Errorf("control %v: %d of %d downloads fail, frozen %q", control, seen.failed, seen.total, s.frozen())
			}
			s.turn(http.StatusOK, members(0, 7)...)
			s.during(5*33*time.Second + 2*time.Minute)
			s.even("they are back", s.during(10*time.Minute), members(0, 10)...)
		})
	}
}

// TestComesBackSlowly: a mirror that comes back gets a part of its share first, and all
// of it over the ramp, whatever the clock does meanwhile. What was never down, but for
// the node's own fault, is not made to begin anew.
func TestComesBackSlowly(t *testing.T) {
	for _, step := range []time.Duration{0, -5 * 24 * time.Hour, 5 * 24 * time.Hour} {
		isolated(t, func(t *testing.T) {
			set := ten
			set.more = `, "ramp": "20m"`
			s := simulate(t, set)
			s.during(5 * time.Minute)
			s.turn(0, 0)
			s.during(detection + 5*time.Minute)
			s.turn(http.StatusOK, 0)
			s.during(5*33*time.Second + 30*time.Second)
			if share := s.during(4 * time.Minute).share(0); share == 0 || share > 0.045 {
				t.Errorf("step %s: a share of %.3f in the first minutes", step, share)
			}
			s.change(func() { s.ahead = step })
			if share := s.during(5 * time.Minute).share(0); share < 0.015 || share > 0.075 {
				t.Errorf("step %s: a share of %.3f in the middle", step, share)
			}
			s.during(14 * time.Minute)
			s.even("all of it", s.during(10*time.Minute), members(0, 10)...)

			s.change(func() { s.cut[false], s.cut[true] = true, true })
			s.during(5 * time.Minute)
			s.change(func() { s.cut[false], s.cut[true] = false, false })
			s.even("the network was gone", s.during(5*time.Minute), members(0, 10)...)
		})
	}
}

// TestTTLFollowsHealth: while a mirror is about to be taken down, answers are not kept
// for longer than until then, or half a minute; before and after it is as ever.
func TestTTLFollowsHealth(t *testing.T) {
	isolated(t, func(t *testing.T) {
		set := ten
		set.ttl = 600
		s := simulate(t, set)
		s.during(19 * time.Minute) // all ask again a minute later
		fault := time.Since(s.start)
		s.turn(0, 0, 1)
		time.Sleep(40 * time.Minute)
		down := time.Duration(0)
		for _, state := range s.prober.Report().All() {
			if state.Verdict == health.Down {
				down = max(down, state.Since.Sub(s.start))
			}
		}
		known := fault + 34*time.Second // all have failed once by then
		short := 0
		s.mu.Lock()
		defer s.mu.Unlock()
		for _, one := range s.fetched {
			switch {
			case one.asked < fault-time.Second && one.ttl != 10*time.Minute, one.asked > down+time.Second && one.ttl != 10*time.Minute:
				t.Fatalf("asked at %s, the fault at %s, down at %s: kept for %s", one.asked, fault, down, one.ttl)
			case one.asked > known && one.asked < down-time.Second:
				short++
				if most := max(30*time.Second, fault+detection-one.asked); one.ttl > most {
					t.Fatalf("asked at %s, the fault at %s: kept for %s, expected %s at most", one.asked, fault, one.ttl, most)
				}
			}
			if one.failed && one.asked > known && one.at > down+31*time.Second {
				t.Fatalf("asked at %s, when the failure was known, and it fails at %s, down since %s", one.asked, one.at, down)
			}
		}
		if down == 0 || short == 0 {
			t.Errorf("down at %s, %d answers between", down, short)
		}
	})
}
