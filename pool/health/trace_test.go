package health

import (
	"strings"
	"testing"
	"time"

	"mirrorpool/pool"
)

func TestTraceFormats(t *testing.T) {
	const at = 1795445304 // 2026-11-23 14:48:24 UTC
	for _, test := range []struct {
		line    string
		format  pool.TraceFormat // that reads it
		seconds int64
	}{
		{"1795445304", pool.TraceUnix, at},
		{"2026-11-23T14:48:24Z", pool.TraceRFC3339, at},
		{"2026-11-23t14:48:24z", pool.TraceRFC3339, at},
		{"2026-11-23 14:48:24+00:00", pool.TraceRFC3339, at},
		{"2026-11-23T20:18:24.123456789+05:30", pool.TraceRFC3339, at},
		{"2026-11-23T14:48:24,123456789+00:00", pool.TraceRFC3339, at},
		{"Mon Nov 23 14:48:24 UTC 2026", pool.TraceDate, at},
		{"Mon Nov 23 14:48:24 GMT 2026\r", pool.TraceDate, at},
		{"Mon Nov 23 15:48:24 CET 2026", pool.TraceDate, at},
		{"Mon Nov 23 09:48:24 EST 2026", pool.TraceDate, at},
		{"Mon Nov 23 11:18:24 NST 2026", pool.TraceDate, at},
		{"Tue Nov 24 01:18:24 ACDT 2026", pool.TraceDate, at},
		{"Mon Nov 23 11:48:24 -03 2026", pool.TraceDate, at},
		{"Mon Nov 23 20:33:24 +0545 2026", pool.TraceDate, at},
		{"Mon Nov 23 02:48:24 PM UTC 2026", pool.TraceDate, at},
		{"Mon 23 Nov 2026 02:48:24 PM UTC", pool.TraceDate, at},
		{"Mon 23 Nov 14:48:24 GMT 2026", pool.TraceDate, at},
		{"Mon, 23 Nov 2026 14:48:24 +0000", pool.TraceDate, at},
		{"Mon, 23 Nov 2026 09:48:24 -0500", pool.TraceDate, at},
		{"Tue Nov  3 14:48:24 UTC 2026", pool.TraceDate, at - 20*86400},
		{"Tue, 03 Nov 2026 14:48:24 +0000", pool.TraceDate, at - 20*86400},
		{"Wed Jul  1 14:48:24 CEST 2026", pool.TraceDate, 1782910104},
	} {
		for _, format := range []pool.TraceFormat{pool.TraceAny, pool.TraceUnix, pool.TraceRFC3339, pool.TraceDate} {
			seconds, err := parseTrace([]byte("\n"+test.line+"\nother lines\n"), format)
			switch fits := format == test.format || format == pool.TraceAny; {
			case fits && (err != nil || seconds != test.seconds):
				t.Errorf("%q as %q: %d, %v; want %d", test.line, format, seconds, err, test.seconds)
			case !fits && err == nil:
				t.Errorf("%q was read as %q: %d", test.line, format, seconds)
			}
		}
	}
}

func TestNoTrace(t *testing.T) {
	for _, test := range []struct {
		line   string
		format pool.TraceFormat
		want   string
	}{
		{"", pool.TraceDate, "trace is empty, expected a time as date prints it"},
		{"yesterday", pool.TraceRFC3339, `trace is "yesterday", expected a time as RFC 3339 has it`},
		{"2026-11-23T14:48:24", pool.TraceAny, `trace is "2026-11-23T14:48:24", expected a Unix time, or one as RFC 3339 has it or date prints it`},
		{"2026-13-23T14:48:24Z", pool.TraceRFC3339, `trace is "2026-13-23T14:48:24Z", expected a time as RFC 3339 has it`},
		{"1969-11-23T14:48:24Z", pool.TraceRFC3339, `trace is "1969-11-23T14:48:24Z", expected a time as RFC 3339 has it`},
		{"Mon Nov 31 14:48:24 UTC 2026", pool.TraceDate, `trace is "Mon Nov 31 14:48:24 UTC 2026", expected a time as date prints it`},
		{"Mon Nov 23 14:48:24 2026", pool.TraceDate, `trace is "Mon Nov 23 14:48:24 2026", expected a time as date prints it`},
		{"lun. 23 nov. 2026 14:48:24 UTC", pool.TraceDate, `trace is "lun. 23 nov. 2026 14:48:24 UTC", expected a time as date prints it`},
		// A zone that is not known is not UTC.
		{"Mon Nov 23 14:48:24 XYZ 2026", pool.TraceAny, `trace is "Mon Nov 23 14:48:24 XYZ 2026": zone "XYZ" is not known, write UTC`},
		{"Mon Nov 23 14:48:24 CST 2026", pool.TraceAny, `trace is "Mon Nov 23 14:48:24 CST 2026": zone CST is in use at several places of the earth, write UTC`},
		{"Mon, 23 Nov 2026 14:48:24 IST", pool.TraceDate, `trace is "Mon, 23 Nov 2026 14:48:24 IST": zone IST is in use at several places of the earth, write UTC`},
		{"Mon Nov 23 14:48:24 +2400 2026", pool.TraceDate, `trace is "Mon Nov 23 14:48:24 +2400 2026": zone "+2400" is not an offset such as +0100`},
		{"Mon Nov 23 14:48:24 +1 2026", pool.TraceDate, `trace is "Mon Nov 23 14:48:24 +1 2026": zone "+1" is not an offset such as +0100`},
		{"1700000000", "sundial", `no way to read a trace as "sundial"`},
	} {
		if seconds, err := parseTrace([]byte(test.line), test.format); err == nil || err.Error() != test.want {
			t.Errorf("%q as %q: %d, %v\nwant %s", test.line, test.format, seconds, err, test.want)
		}
	}
}

// TestZoneNames holds the names that are known against the time zone database of
// this machine: none means two offsets there.
func TestZoneNames(t *testing.T) {
	for _, place := range []string{
		"Africa/Cairo", "Africa/Johannesburg", "Africa/Lagos", "Africa/Maputo", "Africa/Nairobi", "America/Anchorage",
		"America/Denver", "America/Halifax", "America/Los_Angeles", "America/Manaus", "America/New_York", "America/St_Johns",
		"America/Adak", "Asia/Jakarta", "Asia/Jayapura", "Asia/Karachi", "Asia/Makassar", "Asia/Seoul", "Asia/Tokyo", "Asia/Hong_Kong",
		"Atlantic/Azores", "Australia/Adelaide", "Australia/Darwin", "Australia/Perth", "Australia/Sydney", "Europe/Athens", "Europe/Berlin",
		"Europe/Lisbon", "Europe/London", "Europe/Moscow", "Pacific/Auckland", "Pacific/Guam", "Pacific/Honolulu", "Pacific/Pago_Pago",
	} {
		zone, err := time.LoadLocation(place)
		if err != nil {
			t.Skipf("no time zone database: %v", err)
		}
		for _, month := range []time.Month{time.January, time.July} {
			moment := time.Date(2026, month, 15, 12, 0, 0, 0, zone)
			line := moment.Format(time.UnixDate)
			seconds, err := parseTrace([]byte(line), pool.TraceAny)
			if name, _ := moment.Zone(); name == "PST" { // Manila has it as well
				if err == nil {
					t.Errorf("%s: %q was read", place, line)
				}
				continue
			}
			if err != nil || seconds != moment.Unix() {
				t.Errorf("%s: %q: %d, %v; want %d", place, line, seconds, err, moment.Unix())
			}
		}
	}
}

func FuzzTrace(f *testing.F) {
	for _, seed := range []string{
		"1700000000\n", " 0\r\nx", "-1", "999999999999", "18446744073709551616", "", "\x00",
		"2023-11-14T22:13:20Z", "2023-11-14 22:13:20.5+01:00", "Tue Nov 14 22:13:20 UTC 2023", "Tue 14 Nov 2023 10:13:20 PM CET",
		"Tue, 14 Nov 2023 22:13:20 +0000", "Tue Nov 14 22:13:20 +9999 2023",
	} {
		f.Add([]byte(seed))
	}
	now := time.Unix(1_700_000_000, 0)
	f.Fuzz(func(t *testing.T, body []byte) {
		accepted := 0
		for _, format := range []pool.TraceFormat{pool.TraceAny, pool.TraceUnix, pool.TraceRFC3339, pool.TraceDate} {
			reason, fresh := freshness(body, format, time.Hour, now)
			if reason == "" || len(reason) > 700 || strings.ContainsAny(reason, "\r\n\x00") {
				t.Errorf("reason %q", reason)
			}
			seconds, err := parseTrace(body, format)
			if want := err == nil && seconds >= now.Unix()-3600 && seconds <= now.Unix()+300; fresh != want {
				t.Errorf("%q (%d, %v): fresh is %v: %s", body, seconds, err, fresh, reason)
			}
			if err == nil {
				accepted++
			}
		}
		// What one of the formats reads, any of them does, and no other one.
		if accepted != 0 && accepted != 2 {
			t.Errorf("%q is read by %d formats", body, accepted)
		}
	})
}
