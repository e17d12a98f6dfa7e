package alert

import (
	"context"
	"errors"
	"fmt"
	"testing"
	"testing/synctest"
	"time"
)

// operated is an event of a mirror with an operator.
func operated(key, mirror, operator string) Event {
	e := down(key)
	e.Mirror, e.Operator = mirror, operator
	return e
}

func TestOperatorsAreToldOnceADay(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		to, disk := &receiver{}, []byte(nil)
		w := way("a", to)
		w.Events = []Kind{State, Flag}
		w.Mail = &Mail{ToMirrors: true, MirrorsAfter: time.Hour}
		r := enter(t, &disk, w)
		defer func() { r.stop() }()
		r.center.Report(operated("m 4", "m", "op@example"))
		pass(5 * time.Minute)
		r.center.Report(operated("m 6", "m", "op@example"))
		r.center.Report(operated("n", "n", "other@example"))
		r.center.Report(operated("nobody's", "x", ""))
		pass(10 * time.Minute)
		to.take()
		r.center.Resolve("n", "is up")
		pass(43 * time.Minute)
		expect(t, "not within an hour, and never of what is over by then", to.take(), "0 over n")
		pass(4 * time.Minute)
		expect(t, "after an hour, together", to.take(), "to op@example 0 trouble m 4", "to op@example 0 trouble m 6")
		r.center.Report(operated("m 8", "m", "op@example"))
		r.center.Resolve("m 4", "is up")
		pass(3 * time.Minute)
		expect(t, "the end is told of at once", to.take(), "0 trouble m 8", "0 over m 4", "to op@example 1 over m 4")
		r.stop()
		r = enter(t, &disk, w)
		pass(23*time.Hour + 30*time.Minute)
		expect(t, "within a day", to.take(), "0 reminder m 6", "0 reminder m 8", "0 reminder nobody's")
		pass(45 * time.Minute)
		expect(t, "after a day", to.take(), "to op@example 0 trouble m 8")
		r.center.Settle(State, nil, nil)
		pass(2 * time.Minute)
		expect(t, "all over", to.take(), "0 over m 6", "0 over m 8", "0 over nobody's", "to op@example 1 over m 6", "to op@example 1 over m 8")
	})
}

func TestOperatorsAreToldOfFlags(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		to, disk := &receiver{}, []byte(nil)
		w := way("a", to)
		w.Events = []Kind{State}
		w.Mail = &Mail{ToMirrors: true, MirrorsAfter: time.Hour}
		w.Events = append(w.Events, Flag)
		r := enter(t, &disk, w)
		defer r.stop()
		flag := operated("flag", "m", "op@example")
		flag.Kind, flag.Once = Flag, true
		r.center.Report(flag)
		pass(26 * time.Hour)
		expect(t, "the flag", to.take(), "0 notice flag", "to op@example 1 trouble flag")
		r.center.Settle(Flag, nil, nil)
		pass(5 * time.Minute)
		expect(t, "its end", to.take(), "0 over flag", "to op@example 1 over flag")
	})
}

func TestOperatorsAreNotToldWhileChecksAreNotBelieved(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		to, disk := &receiver{}, []byte(nil)
		w := way("a", to)
		w.Events = []Kind{Frozen}
		w.Mail = &Mail{ToMirrors: true}
		r := enter(t, &disk, w)
		defer r.stop()
		r.center.Report(Event{Key: "frozen", Kind: Frozen})
		w.Events = nil
		if err := r.center.Set([]Way{w}); err != nil {
			t.Fatal(err)
		}
		r.center.Report(operated("m", "m", "op@example"))
		pass(10 * time.Hour)
		expect(t, "while it is frozen", to.take(), "0 trouble m", "0 trouble frozen")
		r.center.Resolve("frozen", "")
		pass(2 * time.Minute)
		expect(t, "afterwards", to.take(), "to op@example 0 trouble m", "1 over frozen")
	})
}

// picky refuses what goes to one operator.
type picky struct {
	receiver
	refuses string
}

func (p *picky) send(ctx context.Context, m *message) error {
	p.mutex.Lock()
	refuses := p.refuses
	p.mutex.Unlock()
	if m.operator == refuses {
		return hopeless{errors.New("no such person")}
	}
	return p.receiver.send(ctx, m)
}

func TestOperatorWhoIsGoneHoldsUpNobody(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		to, disk := &picky{refuses: "a@example"}, []byte(nil)
		w := way("a", to)
		w.Mail = &Mail{ToMirrors: true, MirrorsAfter: time.Hour}
		w.Events = []Kind{State}
		r := enter(t, &disk, w)
		defer r.stop()
		r.center.Report(operated("1", "m", "a@example"))
		r.center.Report(operated("2", "n", "b@example"))
		pass(62 * time.Minute)
		expect(t, "the other", to.take(), "0 trouble 1", "0 trouble 2", "to b@example 1 trouble 2")
		if state := r.center.States()[0]; state.Err != nil {
			t.Errorf("the way fails: %v", state.Err)
		}
		to.mutex.Lock()
		to.refuses = "nobody"
		to.mutex.Unlock()
		pass(24*time.Hour + time.Minute)
		expect(t, "the next day", to.take(), "0 reminder 1", "0 reminder 2", "to a@example 1 trouble 1")
	})
}

func TestLimitOfLetters(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		to, disk := &receiver{}, []byte(nil)
		w := way("a", to)
		w.Mail = &Mail{ToMirrors: true, MirrorsAfter: time.Hour}
		r := enter(t, &disk, w)
		defer r.stop()
		for i := range 25 {
			r.center.Report(operated(fmt.Sprint(i), fmt.Sprint(i), fmt.Sprintf("%d@example", i)))
		}
		pass(time.Hour + 5*time.Minute)
		if got := len(to.take()) - 25; got != 10 {
			t.Errorf("%d letters within an hour, want 10", got)
		}
		pass(2 * time.Hour)
		if got := len(to.take()); got != 15 {
			t.Errorf("%d letters in the next two hours, want 15", got)
		}
	})
}
