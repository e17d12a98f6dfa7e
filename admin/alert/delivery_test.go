package alert

import (
	"errors"
	"testing"
	"testing/synctest"
	"time"
)

func TestDeadReceiverHoldsUpNobody(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		dead, well, disk := &receiver{err: errors.New("refused")}, &receiver{}, []byte(nil)
		r := enter(t, &disk, way("dead", dead), way("well", well))
		defer r.stop()
		r.center.Report(down("a"))
		pass(62 * time.Second)
		expect(t, "the other way", well.take(), "0 trouble a")
		pass(5 * time.Minute)
		if dead.tried() != attempts {
			t.Errorf("%d attempts, want %d", dead.tried(), attempts)
		}
		states := r.center.States()
		if states[0].Err == nil || states[0].Pending != 1 || states[1].Err != nil {
			t.Errorf("states %+v", states)
		}
		if told := r.said(); len(told) != 2 || told[1].Way != "dead" || told[1].Err == nil || told[1].Delivered {
			t.Errorf("told %+v", told)
		}
		r.center.Report(down("b"))
		pass(24 * time.Hour)
		if dead.tried() > 40*attempts {
			t.Errorf("%d attempts in a day", dead.tried())
		}
		r.center.Resolve("a", "is up")
		dead.fail(nil)
		pass(longestRest + time.Minute)
		expect(t, "back again, it hears of what is so", dead.take(), "0 trouble b")
	})
}

func TestRefusedForGoodIsNotTriedAgainAtOnce(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		to, disk := &receiver{err: hopeless{errors.New("no such room")}}, []byte(nil)
		r := enter(t, &disk, way("a", to))
		defer r.stop()
		r.center.Report(down("a"))
		pass(3 * time.Minute)
		if to.tried() != 1 {
			t.Errorf("%d attempts, want 1", to.tried())
		}
		pass(4 * time.Minute)
		if to.tried() != 2 {
			t.Errorf("%d attempts after the rest, want 2", to.tried())
		}
	})
}

func TestHangingReceiverEndsWithItsTime(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		to, disk := &receiver{hang: true}, []byte(nil)
		r := enter(t, &disk, way("a", to))
		r.center.Report(down("a"))
		pass(2 * time.Minute)
		if to.tried() < 3 {
			t.Errorf("%d attempts", to.tried())
		}
		began := time.Now()
		r.stop()
		if took := time.Since(began); took > time.Second {
			t.Errorf("stopping took %s", took)
		}
	})
}

func TestPartOfTheRecipientsIsDeliveredAndSaid(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		to, disk := &receiver{err: partly{errors.New("one is unknown")}}, []byte(nil)
		r := enter(t, &disk, way("a", to))
		defer r.stop()
		r.center.Report(down("a"))
		pass(10 * time.Minute)
		if told := r.said(); to.tried() != 1 || len(told) != 1 || !told[0].Delivered || told[0].Err == nil {
			t.Errorf("%d attempts, told %+v", to.tried(), told)
		}
	})
}
