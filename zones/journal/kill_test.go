package journal

import (
	"bufio"
	"bytes"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"os"
	"os/exec"
	"os/signal"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"mirrorpool/zones"
)

// childDirectory names the directory in which a child of these tests records.
const (
	childDirectory = "JOURNAL_TEST_DIRECTORY"
	childLimit     = "JOURNAL_TEST_FILE_SIZE" // in bytes; empty: none
)

func TestMain(m *testing.M) {
	if path := os.Getenv(childDirectory); path != "" {
		if err := recordForGood(path); err != nil {
			fmt.Println("child:", err)
			os.Exit(1)
		}
		os.Exit(0)
	}
	os.Exit(m.Run())
}

// versionAt is the version of a serial, the same in every process.
func versionAt(t testing.TB, apex string, serial uint32) *zones.Version {
	return version(t, apex, serial, randomLines(rand.New(rand.NewPCG(uint64(serial), 7)))...)
}

var childZones = []string{"a.example.", "b.example."}

// childLimits make files small, so that they are written anew now and then.
var childLimits = Limits{Bytes: 64 << 10, Differences: 50}

// recordForGood goes on where the journal ends, and says what it has recorded. With a
// limit of file sizes it ends after 200 versions.
func recordForGood(path string) error {
	if limit, _ := strconv.ParseUint(os.Getenv(childLimit), 10, 64); limit > 0 {
		signal.Ignore(syscall.SIGXFSZ)
		if err := syscall.Setrlimit(syscall.RLIMIT_FSIZE, &syscall.Rlimit{Cur: limit, Max: limit}); err != nil {
			return err
		}
		return recordUntilFull(path)
	}
	j, err := Open(path, childLimits)
	if err != nil && !torn(err) {
		return err
	}
	var t noTest
	serials := j.Serials()
	for {
		for _, apex := range childZones {
			serials[apex]++
			if err := j.Record(versionAt(&t, apex, serials[apex])); err != nil {
				return err
			}
			if err := j.Flush(); err != nil {
				return err
			}
			fmt.Println(apex, serials[apex])
			if serials[apex]%64 == 0 {
				j.zones[apex].stale = true // write the file anew, as if it had grown
			}
		}
	}
}

// recordUntilFull records versions though files cannot grow, and holds that they are
// there nevertheless.
func recordUntilFull(path string) error {
	var t noTest
	j, err := Open(path, Limits{})
	if err != nil {
		return err
	}
	first, failures := versionAt(&t, "a.example.", 1), 0
	for serial := range uint32(200) {
		v := versionAt(&t, "a.example.", serial+1)
		if err := errors.Join(j.Record(v), j.Flush()); err != nil {
			failures++
		}
		differences, ok := since(&t, j, first.Apex, 1)
		if !ok {
			return fmt.Errorf("there is nothing since 1 at %d", serial+1)
		}
		if got, err := first.Apply(differences...); err != nil || text(got) != text(v) {
			return fmt.Errorf("since 1 at %d: %v", serial+1, err)
		}
	}
	if failures == 0 || j.Retry() == nil {
		return errors.New("the disk is not full")
	}
	fmt.Println("failures", failures)
	return nil
}

// torn reports whether an error is about the end of a file alone.
func torn(err error) bool { return errors.Is(err, errTorn) }

// noTest takes the place of a test in the child.
type noTest struct{ testing.TB }

func (*noTest) Helper() {}

func (*noTest) Fatal(arguments ...any) { panic(fmt.Sprint(arguments...)) }

// TestKill: a process that records is killed at random moments. What it had recorded
// is there after each, whole and joined.
func TestKill(t *testing.T) {
	path := t.TempDir()
	r := rand.New(rand.NewPCG(uint64(time.Now().UnixNano()), 1))
	kills := 30
	if testing.Short() {
		kills = 5
	}
	for round := range kills {
		recorded := runAndKill(t, path, time.Duration(r.IntN(60_000))*time.Microsecond)
		j, err := Open(path, childLimits)
		if err != nil && !torn(err) {
			t.Fatalf("round %d: %v", round, err)
		}
		for apex, serial := range recorded {
			newest := j.Serials()[apex]
			if newest < serial || newest > serial+1 {
				t.Fatalf("round %d: %s is at serial %d, recorded was %d", round, apex, newest, serial)
			}
			v := versionAt(t, apex, newest)
			if text(j.zones[apex].last) != text(v) {
				t.Fatalf("round %d: %s at %d is\n%s\nexpected\n%s", round, apex, newest, text(j.zones[apex].last), text(v))
			}
			for old := newest; old > max(newest, 25)-25; old-- {
				if !leads(t, j, versionAt(t, apex, old), v) {
					t.Fatalf("round %d: there is nothing since %d of %s at %d", round, old, apex, newest)
				}
			}
		}
	}
}

// runAndKill starts a child and kills it some time after it has recorded something.
// It gives the newest serial of each zone that the child has said to have recorded.
func runAndKill(t *testing.T, path string, after time.Duration) map[string]uint32 {
	t.Helper()
	command := exec.Command(os.Args[0])
	command.Env = append(os.Environ(), childDirectory+"="+path)
	output, err := command.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := command.Start(); err != nil {
		t.Fatal(err)
	}
	recorded := map[string]uint32{}
	lines := bufio.NewReader(output)
	var kill *time.Timer
	for {
		line, err := lines.ReadString('\n')
		if err == io.EOF {
			break
		}
		if err != nil {
			t.Fatal(err)
		}
		apex, serial, _ := strings.Cut(strings.TrimSpace(line), " ")
		number, err := strconv.ParseUint(serial, 10, 32)
		if err != nil {
			t.Fatalf("the child says %q", line)
		}
		recorded[apex] = uint32(number)
		if kill == nil && len(recorded) == len(childZones) {
			kill = time.AfterFunc(after, func() { _ = command.Process.Kill() })
		}
	}
	_ = command.Wait() // it was killed
	if kill == nil {
		t.Fatal("the child has recorded nothing")
	}
	return recorded
}

// TestDiskFull: where files cannot grow, half an entry is taken back, differences are
// kept in memory, and what is on disk can be read.
func TestDiskFull(t *testing.T) {
	for _, limit := range []int{100, 5000, 20_000} {
		path := t.TempDir()
		command := exec.Command(os.Args[0])
		command.Env = append(os.Environ(), childDirectory+"="+path, childLimit+"="+strconv.Itoa(limit))
		output, err := command.CombinedOutput()
		if err != nil || !bytes.Contains(output, []byte("failures")) {
			t.Fatalf("with files of %d bytes: %v\n%s", limit, err, output)
		}
		j, err := Open(path, Limits{})
		if err != nil {
			t.Errorf("with files of %d bytes: %v", limit, err)
		}
		newest := j.Serials()["a.example."]
		if (newest > 1) != (limit > 100) {
			t.Errorf("with files of %d bytes serial %d is on disk", limit, newest)
		}
		if newest > 0 && !leads(t, j, versionAt(t, "a.example.", 1), versionAt(t, "a.example.", newest)) {
			t.Errorf("with files of %d bytes there is nothing since 1", limit)
		}
	}
}
