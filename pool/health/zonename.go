package health

import (
	"fmt"
	"strconv"
	"time"
)

// zoneOffset is how far ahead of UTC a zone is that date(1) names: by a name that
// means one offset alone in the time zone database, or by the offset itself, "+01",
// "+0100" or "+01:00", as zones without a name have it.
func zoneOffset(name string) (time.Duration, error) {
	if len(name) > 0 && (name[0] == '+' || name[0] == '-') {
		return numericOffset(name)
	}
	if minutes, known := zoneMinutes(name); known {
		return time.Duration(minutes) * time.Minute, nil
	}
	switch name {
	case "CDT", "CST", "IST", "PST":
		return 0, fmt.Errorf("zone %s is in use at several places of the earth, write UTC", name)
	}
	return 0, fmt.Errorf("zone %s is not known, write UTC", quote([]byte(name)))
}

// numericOffset reads an offset as it stands in a zone's place.
func numericOffset(text string) (time.Duration, error) {
	unreadable := fmt.Errorf("zone %s is not an offset such as +0100", quote([]byte(text)))
	digits := text[1:]
	if len(digits) == 5 && digits[2] == ':' {
		digits = digits[:2] + digits[3:]
	}
	if len(digits) == 2 {
		digits += "00"
	}
	if len(digits) != 4 || !allDigits([]byte(digits)) {
		return 0, unreadable
	}
	hours, _ := strconv.Atoi(digits[:2]) // digits alone
	minutes, _ := strconv.Atoi(digits[2:])
	if hours > 23 || minutes > 59 {
		return 0, unreadable
	}
	offset := time.Duration(hours)*time.Hour + time.Duration(minutes)*time.Minute
	if text[0] == '-' {
		offset = -offset
	}
	return offset, nil
}

// zoneMinutes are the names in use in the time zone database (2024 to 2026) that mean
// the same wherever they are used, in minutes ahead of UTC.
func zoneMinutes(name string) (minutes int, known bool) {
	const hour = 60
	switch name {
	case "UTC", "GMT", "WET", "Z":
		return 0, true
	case "CET", "MET", "BST", "WAT", "WEST":
		return hour, true
	case "CEST", "MEST", "EET", "CAT", "SAST":
		return 2 * hour, true
	case "EEST", "EAT", "IDT", "MSK":
		return 3 * hour, true
	case "PKT":
		return 5 * hour, true
	case "WIB":
		return 7 * hour, true
	case "AWST", "HKT", "WITA":
		return 8 * hour, true
	case "JST", "KST", "WIT":
		return 9 * hour, true
	case "ACST":
		return 9*hour + 30, true
	case "AEST", "ChST":
		return 10 * hour, true
	case "ACDT":
		return 10*hour + 30, true
	case "AEDT":
		return 11 * hour, true
	case "NZST":
		return 12 * hour, true
	case "NZDT":
		return 13 * hour, true
	case "NDT":
		return -2*hour - 30, true
	case "ADT":
		return -3 * hour, true
	case "NST":
		return -3*hour - 30, true
	case "AST", "EDT":
		return -4 * hour, true
	case "EST":
		return -5 * hour, true
	case "MDT":
		return -6 * hour, true
	case "MST", "PDT":
		return -7 * hour, true
	case "AKDT":
		return -8 * hour, true
	case "AKST", "HDT":
		return -9 * hour, true
	case "HST":
		return -10 * hour, true
	case "SST":
		return -11 * hour, true
	}
	return 0, false
}
