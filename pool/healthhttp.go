package pool

import (
	"fmt"
	"regexp"
	"regexp/syntax"
	"strconv"
	"strings"
	"unicode/utf8"
)

// readHTTP reads what an http or https check asks, and what the answer has to be.
func readHTTP(o object, check *Check, name string, use healthUse) {
	probe := &check.Probe
	probe.Statuses = readStatuses(o)
	probe.FollowRedirects = o.optionalBool("follow_redirects")
	probe.Path = readPath(o, use)
	if use == poolHealth {
		port := int64(80)
		if probe.Kind == CheckHTTPS {
			port = 443
		}
		probe.Port = readPort(o, port)
		probe.Host = name
		if field, ok := o.optional("host"); ok {
			probe.Host = readName(field, "the Host header to send")
		}
	}
	readTrace(o, probe)
	if field, ok := o.optional("body"); ok {
		probe.Body = readBody(field)
	}
	if probe.Kind == CheckHTTPS || use == redirectHealth {
		check.CertificateWarning = readDurationOrOff(o, "certificate_warning", DefaultCertificateWarning, maxCertificateWarning)
	}
}

// readTrace reads how old a trace may be, and how it tells its time.
func readTrace(o object, probe *Probe) {
	age, aged := o.optional("max_age")
	if aged {
		probe.MaxAge, _ = readDuration(age)
		if _, ok := o.optional("path"); !ok {
			age.report(Warning, `an age without "path"`, "the path of the trace: otherwise the front page itself has to be a time")
		}
	}
	field, ok := o.optional("trace")
	if !ok {
		return
	}
	probe.TraceFormat = TraceFormat(readWord(field, string(TraceAny), string(TraceUnix), string(TraceRFC3339), string(TraceDate)))
	if !aged {
		field.report(Error, `a form of time without "max_age"`, `"max_age" beside it: without one nobody looks at the time`)
	}
}

const expectedStatus = `a status from 100 to 599, an array of them, or a text such as "200-299,304"`

// readStatuses reads one status, an array of them, or a text with codes and ranges.
func readStatuses(o object) StatusSet {
	const without = StatusSet("200")
	field, ok := o.optional("status")
	if !ok {
		return without
	}
	text := ""
	switch field.kind {
	case kindArray:
		elements, _ := field.elements(expectedStatus)
		if len(elements) == 0 {
			field.report(Error, "no status", "at least one")
			return without
		}
		codes := make([]string, 0, len(elements))
		for _, element := range elements {
			code, ok := element.integer(100, 599, "a status from 100 to 599")
			if !ok {
				return without
			}
			codes = append(codes, strconv.FormatInt(code, 10))
		}
		text = strings.Join(codes, ",")
	case kindText:
		text = field.text
	default:
		code, ok := field.integer(100, 599, expectedStatus)
		if !ok {
			return without
		}
		text = strconv.FormatInt(code, 10)
	}
	statuses, err := ParseStatuses(text)
	if err != nil {
		field.refuse(expectedStatus)
		return without
	}
	return statuses
}

const expectedPath = `a path that begins with "/", of letters, digits and -._~!$&'()*+,;=:@?/ (percent-encode others), without "." and ".."`

// pathWords is what is expected of a path.
func pathWords(use healthUse) string {
	if use == redirectHealth {
		return strings.Replace(expectedPath, `a path that begins with "/"`, "a path below each mirror's url_prefix", 1)
	}
	return expectedPath
}

// readPath gives the path to fetch: absolute for pools; for redirect hosts
// relative to a URL prefix that ends with "/", so a "/" before it is cut.
func readPath(o object, use healthUse) string {
	without := "/"
	if use == redirectHealth {
		without = ""
	}
	field, ok := o.optional("path")
	if !ok {
		return without
	}
	text, ok := parsePath(field, pathWords(use), use)
	if !ok {
		return without
	}
	return text
}

func parsePath(v value, expected string, use healthUse) (path string, ok bool) {
	text, ok := v.string(expected)
	if !ok {
		return "", false
	}
	if !isPath(checkPath, text) || use == poolHealth && !strings.HasPrefix(text, "/") {
		v.refuse(expected)
		return "", false
	}
	if use == redirectHealth {
		text = strings.TrimPrefix(text, "/")
	}
	return text, true
}

// readBody reads a pattern and sees that it compiles.
func readBody(v value) string {
	const expected = "a regular expression (RE2) of 1 to 1000 characters"
	text, ok := v.string(expected)
	if !ok {
		return ""
	}
	if length := utf8.RuneCountInString(text); length < 1 || length > maxBody {
		v.refuse(expected)
		return ""
	}
	if _, err := regexp.Compile(text); err != nil {
		reason := expected
		if syntaxError, ok := err.(*syntax.Error); ok {
			reason = fmt.Sprintf("%s: %s in %s", expected, syntaxError.Code, quote(syntaxError.Expr))
		}
		v.refuse(reason)
		return ""
	}
	return text
}
