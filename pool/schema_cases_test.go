package pool

import "strings"

// verdict is what schema and parser are to say of a file.
type verdict int

const (
	good verdict = iota
	bad
	// parserOnly are the mistakes that the schema cannot see.
	parserOnly
)

type schemaCase struct {
	verdict verdict
	data    string
	problem string // parserOnly: the parser's first error
}

func poolFile(keys string) string {
	return `{"pools": [{"name": "a.example", "members": [{"id": "a", "addresses": ["8.8.8.1"], "weight": 1}]` + keys + `}]}`
}

func memberFile(member string) string {
	return `{"pools": [{"name": "a.example", "health": {"check": "none"}, "members": [` + member + `]}]}`
}

// withMember has one member with more keys.
func withMember(keys string) string {
	return memberFile(`{"id": "a", "addresses": ["8.8.8.1"], "weight": 1` + keys + `}`)
}

func healthFile(keys string) string { return poolFile(`, "health": {` + keys + `}`) }

func redirectFile(keys string) string {
	return `{"redirects": [{"host": "a.example"` + keys + `}]}`
}

func redirectHealthFile(keys string) string { return redirectFile(`, "health": {` + keys + `}`) }

// poolsCases are files that stand as pools.json beside a good mirrors.json.
func poolsCases() []schemaCase {
	long := strings.Repeat("a", 63)
	cases := []schemaCase{
		{good, `{}`, ""},
		{bad, `[]`, ""},
		{bad, `null`, ""},
		{good, `{"$schema": "x", "version": 1, "pools": [], "redirects": []}`, ""},
		{bad, `{"$schema": 1}`, ""},
		{good, `{"version": 1.0}`, ""},
		{bad, `{"version": 2}`, ""},
		{bad, `{"version": null}`, ""},
		{bad, `{"pools": {}}`, ""},
		{bad, `{"pools": [1]}`, ""},
		{bad, `{"redirects": [[]]}`, ""},
		{bad, `{"unknown": 1}`, ""},
		{bad, `{"pools": [{"name": "a.example"}]}`, ""},
		{bad, `{"pools": [{"members": []}]}`, ""},
		{bad, memberFile(``), ""},
		{parserOnly, `{"version": 1, "version": 1}`, `version: found the same key again, expected one value for it: line 1 has it too`},
		{parserOnly, `{"pools": [` + strings.TrimSuffix(strings.Repeat(`{"name": "a.example", "members": [{"id": "a", "addresses": ["8.8.8.1"], "weight": 1}]},`, 2), ",") + `]}`, `pools[1].name: found "a.example", expected a name that no other pool has: line 1 has it too`},
		{parserOnly, `{"redirects": [{"host": "a.example"}, {"host": "A.example."}]}`, `redirects[1].host: found "A.example.", expected a name that no other redirect host has: line 1 has it too`},

		{good, poolFile(``), ""},
		{bad, poolFile(`, "weight": 1`), ""},
		{good, poolFile(`, "ttl": 1, "answers": 32`), ""},
		{good, poolFile(`, "ttl": 86400.0, "answers": 1e1`), ""},
		{good, poolFile(`, "ttl": 0.6E2`), ""},
		{bad, poolFile(`, "ttl": 0`), ""},
		{bad, poolFile(`, "ttl": 86401`), ""},
		{bad, poolFile(`, "ttl": 60.5`), ""},
		{bad, poolFile(`, "ttl": "60"`), ""},
		{bad, poolFile(`, "answers": 33`), ""},
		{bad, poolFile(`, "answers": -0`), ""},
		{good, poolFile(`, "when_all_down": "self"`), ""},
		{bad, poolFile(`, "when_all_down": "ALL"`), ""},
		{bad, poolFile(`, "when_all_down": true`), ""},
		{bad, poolFile(`, "min_members": 0`), ""},
		{bad, poolFile(`, "min_members": 1001`), ""},
		{bad, poolFile(`, "min_members": "1"`), ""},
		{good, poolFile(`, "min_members": 1`), ""},
		{parserOnly, poolFile(`, "min_members": 2`), `pools[0].min_members: found 2, expected at most 1, for no more members of one address family have a weight over 0 and are no reserve`},
		{bad, poolFile(`, "geo": {}`), ""},
		{bad, poolFile(`, "geo": null`), ""},
		{good, poolFile(`, "geo": {"policy": "none"}`), ""},
		{bad, poolFile(`, "geo": {"policy": "nearby"}`), ""},
		{bad, poolFile(`, "geo": {"policy": "near", "cap": 1}`), ""},
		{good, poolFile(`, "geo": {"policy": "near", "min_candidates": 1000, "max_share": 1e-3}`), ""},
		{bad, poolFile(`, "geo": {"policy": "near", "min_candidates": 0}`), ""},
		{bad, poolFile(`, "geo": {"policy": "near", "min_candidates": 1001}`), ""},
		{bad, poolFile(`, "geo": {"policy": "near", "max_share": 0}`), ""},
		{bad, poolFile(`, "geo": {"policy": "near", "max_share": 1.01}`), ""},
		{bad, poolFile(`, "geo": {"policy": "near", "max_share": "50 %"}`), ""},
		{good, poolFile(`, "geo": {"policy": "near", "client_subnet": false}`), ""},
		{good, poolFile(`, "geo": {"client_subnet": true, "policy": "none"}`), ""},
		{bad, poolFile(`, "geo": {"policy": "near", "client_subnet": "no"}`), ""},
		{bad, poolFile(`, "geo": {"policy": "near", "client_subnet": null}`), ""},
		{bad, poolFile(`, "geo": {"client_subnet": false}`), ""},
		{bad, poolFile(`, "client_subnet": false`), ""},

		{good, `{"pools": [{"name": "` + long + `.A_b-1.Example.", "members": [{"id": "a", "addresses": ["8.8.8.1"], "weight": 1}]}]}`, ""},
		{bad, redirectFile(`, "host2": 1`), ""},
		{bad, `{"redirects": [{"host": "` + long + `a.example"}]}`, ""},
		{bad, `{"redirects": [{"host": "` + strings.Repeat(long+".", 4) + `"}]}`, ""},
		{bad, `{"redirects": [{"host": "a..example"}]}`, ""},
		{bad, `{"redirects": [{"host": "-a.example"}]}`, ""},
		{bad, `{"redirects": [{"host": "a.example:80"}]}`, ""},
		{bad, `{"redirects": [{"host": "."}]}`, ""},
		{bad, `{"redirects": [{"host": ""}]}`, ""},
		{bad, `{"redirects": [{}]}`, ""},
		{parserOnly, `{"redirects": [{"host": "` + strings.Repeat(long+".", 3) + strings.Repeat("a", 62) + `"}]}`, `redirects[0].host: found "` + strings.Repeat(long+".", 2)[:80] + `"…, expected the redirect host's name, without scheme and port, ` + expectedName},
	}
	for _, list := range [][]schemaCase{memberCases(), placeCases(), healthCases(), inspectionCases(), redirectCases()} {
		cases = append(cases, list...)
	}
	return cases
}

func memberCases() []schemaCase {
	addresses := func(list string) string {
		return memberFile(`{"id": "a", "addresses": [` + list + `], "weight": 1}`)
	}
	weight := func(text string) string {
		return memberFile(`{"id": "a", "addresses": ["8.8.8.1"], "weight": ` + text + `}`)
	}
	id := func(text string) string {
		return memberFile(`{"id": ` + text + `, "addresses": ["8.8.8.1"], "weight": 1}`)
	}
	return []schemaCase{
		{good, withMember(`, "mirror": "m.example", "reserve": true, "notes": ""`), ""},
		{bad, withMember(`, "mirror": ""`), ""},
		{good, withMember(`, "email": "Noc+dl@Mirror.Example"`), ""},
		{bad, withMember(`, "email": ""`), ""},
		{bad, withMember(`, "email": "noc"`), ""},
		{bad, withMember(`, "email": "a@b.example, c@d.example"`), ""},
		{bad, withMember(`, "email": "a@b.example\r\nBcc: c@d.example"`), ""},
		{bad, withMember(`, "email": 1`), ""},
		{bad, withMember(`, "email": "` + strings.Repeat("a", 65) + `@b.example"`), ""},
		{bad, withMember(`, "host": "m.example"`), ""},
		{good, memberFile(`{"id": "a", "weight": 1, "host": "M.Example."}`), ""},
		{good, memberFile(`{"id": "a", "weight": 0, "host": "m.example"}, {"id": "b", "weight": 1, "addresses": ["8.8.8.1"]}`), ""},
		{bad, memberFile(`{"id": "a", "weight": 1, "host": ""}`), ""},
		{bad, memberFile(`{"id": "a", "weight": 1, "host": ["m.example"]}`), ""},
		{bad, memberFile(`{"id": "a", "weight": 1, "host": "m.example:80"}`), ""},
		{bad, memberFile(`{"id": "a", "weight": 1, "host": "8.8.8.8"}`), ""},
		{bad, memberFile(`{"id": "a", "weight": 1, "host": "2606:4700::1"}`), ""},
		{parserOnly, memberFile(`{"id": "a", "weight": 1, "host": "A.example"}`), `pools[0].members[0].host: found "a.example", the pool of line 1, expected the host name of one machine: the addresses of a pool are those of its members`},
		{parserOnly, memberFile(`{"id": "a", "weight": 1, "host": "m.example"}, {"id": "b", "weight": 1, "host": "m.example."}`), `pools[0].members[1].host: found "m.example.", expected a host name that stands once in the pool: line 1 has it too`},
		{bad, withMember(`, "mirror": "m example"`), ""},
		{bad, withMember(`, "reserve": 1`), ""},
		{bad, withMember(`, "notes": null`), ""},
		{bad, withMember(`, "comment": ""`), ""},
		{bad, memberFile(`7`), ""},
		{bad, memberFile(`{"addresses": ["8.8.8.1"], "weight": 1}`), ""},
		{bad, memberFile(`{"id": "a", "weight": 1}`), ""},
		{bad, memberFile(`{"id": "a", "addresses": ["8.8.8.1"]}`), ""},
		{good, id(`"A.b_c-1"`), ""},
		{good, id(`"` + strings.Repeat("a", 64) + `"`), ""},
		{bad, id(`"` + strings.Repeat("a", 65) + `"`), ""},
		{bad, id(`".a"`), ""},
		{bad, id(`"a b"`), ""},
		{bad, id(`"a\n"`), ""},
		{bad, id(`""`), ""},
		{bad, id(`1`), ""},
		{good, weight(`0`), ""},
		{good, weight(`-0`), ""},
		{good, weight(`10000`), ""},
		{good, weight(`1.0e4`), ""},
		{good, weight(`100000e-1`), ""},
		{bad, weight(`10001`), ""},
		{bad, weight(`-1`), ""},
		{bad, weight(`1.5`), ""},
		{bad, weight(`1e-1`), ""},
		{bad, weight(`1e30`), ""},
		{bad, weight(`"10"`), ""},
		{bad, weight(`true`), ""},
		{bad, weight(`10.00000000000000000001`), ""},
		{good, addresses(`"8.8.8.8", "2606:4700::1"`), ""},
		{good, addresses(`"192.0.2.1"`), ""}, // warned about
		{good, addresses(`"2606:4700:0:0:0:0:8.8.8.8"`), ""},
		{bad, addresses(``), ""},
		{bad, addresses(`"8.8.8"`), ""},
		{bad, addresses(`"8.8.8.08"`), ""},
		{bad, addresses(`"8.8.8.8/32"`), ""},
		{bad, addresses(`"host.example"`), ""},
		{bad, addresses(`"[2606:4700::1]"`), ""},
		{bad, addresses(`"fe80::1%eth0"`), ""},
		{bad, addresses(`""`), ""},
		{bad, addresses(`8`), ""},
		{parserOnly, addresses(`"::ffff:8.8.8.8"`), `pools[0].members[0].addresses[0]: found "::ffff:8.8.8.8", expected an IPv4 address in its own form: "8.8.8.8"`},
		{parserOnly, addresses(`"0.0.0.0"`), `pools[0].members[0].addresses[0]: found "0.0.0.0" (an address of "this network"), expected the address of one machine`},
		{parserOnly, addresses(`"ff02::1"`), `pools[0].members[0].addresses[0]: found "ff02::1" (a multicast address), expected the address of one machine`},
		{parserOnly, addresses(`"8.8.8.8", "8.8.8.8"`), `pools[0].members[0].addresses[1]: found "8.8.8.8", expected an address that stands once in the pool: line 1 has it too`},
		{parserOnly, memberFile(`{"id": "a", "addresses": ["8.8.8.1"], "weight": 1}, {"id": "a", "addresses": ["8.8.8.2"], "weight": 1}`), `pools[0].members[1].id: found "a", expected an id that no other member of the pool has: line 1 has it too`},
		{parserOnly, memberFile(`{"id": "a", "addresses": ["2606:4700::1"], "weight": 1}, {"id": "b", "addresses": ["2606:4700:0::1"], "weight": 1}`), `pools[0].members[1].addresses[0]: found "2606:4700:0::1", expected an address that stands once in the pool: line 1 has it too`},
	}
}

func placeCases() []schemaCase {
	location := func(keys string) string { return withMember(`, "location": {` + keys + `}`) }
	only := func(keys string) string { return withMember(`, "only": {` + keys + `}`) }
	return []schemaCase{
		{good, location(`"country": "nl"`), ""},
		{good, location(`"country": "QQ"`), ""}, // warned about
		{bad, location(`"country": "NLD"`), ""},
		{bad, location(`"country": "N1"`), ""},
		{bad, location(`"country": "İ"`), ""},
		{bad, location(``), ""},
		{bad, location(`"city": "Delft"`), ""},
		{good, location(`"continent": "oC"`), ""},
		{good, location(`"continent": "AS"`), ""},
		{bad, location(`"continent": "AU"`), ""},
		{bad, location(`"continent": 1`), ""},
		{good, location(`"asn": 4294967295`), ""},
		{bad, location(`"asn": 4294967296`), ""},
		{bad, location(`"asn": 0`), ""},
		{good, location(`"latitude": -90, "longitude": 180.0`), ""},
		{bad, location(`"latitude": -90.1, "longitude": 0`), ""},
		{bad, location(`"latitude": 0, "longitude": 180.5`), ""},
		{bad, location(`"latitude": "52N", "longitude": 0`), ""},
		{bad, location(`"latitude": 52`), ""},
		{bad, location(`"longitude": 4`), ""},
		{bad, withMember(`, "location": "NL"`), ""},
		{good, only(`"countries": ["NL", "nl"], "continents": ["EU"], "asns": [1], "networks": ["0.0.0.0/0", "2606:4700::/32"]`), ""},
		{bad, only(``), ""},
		{bad, only(`"countries": []`), ""},
		{bad, only(`"countries": "NL"`), ""},
		{bad, only(`"cities": ["Delft"]`), ""},
		{bad, only(`"asns": ["AS1"]`), ""},
		{bad, only(`"networks": ["8.8.8.8"]`), ""},
		{bad, only(`"networks": ["all/0"]`), ""},
		{bad, only(`"networks": ["8.8.8.0/"]`), ""},
		{bad, withMember(`, "exclude": []`), ""},
		{parserOnly, only(`"networks": ["8.8.8.8/24"]`), `pools[0].members[0].only.networks[0]: found "8.8.8.8/24", expected a network without host bits: "8.8.8.0/24"`},
		{parserOnly, only(`"networks": ["8.8.8.0/33"]`), `pools[0].members[0].only.networks[0]: found "8.8.8.0/33", expected a network such as 192.0.2.0/24 or 2001:db8::/32`},
		{parserOnly, only(`"networks": ["::ffff:8.8.8.0/120"]`), `pools[0].members[0].only.networks[0]: found "::ffff:8.8.8.0/120", expected an IPv4 network in its own form`},
	}
}

func mirrorsCases() []schemaCase {
	mirror := func(keys string) string { return `[{"weight": 1, ` + keys + `}]` }
	prefix := func(text string) string { return mirror(`"url_prefix": "` + text + `"`) }
	rsync := func(text string) string {
		return mirror(`"url_prefix": "https://a.example/", "rsync_url": ` + text)
	}
	return []schemaCase{
		{good, `[]`, ""},
		{good, `{"mirrors": []}`, ""},
		{bad, `{}`, ""},
		{bad, `"x"`, ""},
		{bad, `{"mirrors": {}}`, ""},
		{bad, `{"mirrors": [], "version": 3}`, ""},
		{good, `{"mirrors": [], "version": 1, "$schema": "x", "owner": {"a": [1, null]}}`, ""},
		{bad, `[null]`, ""},
		{bad, `[{"weight": 1}]`, ""},
		{bad, `[{"url_prefix": "https://a.example/"}]`, ""},
		{good, `[{"url_prefix": "https://a.example/", "weight": 0, "since": 2019}]`, ""},
		{bad, `[{"url_prefix": "https://a.example/", "weight": 10001}]`, ""},
		{bad, `[{"url_prefix": "https://a.example/", "weight": -1}]`, ""},
		{bad, mirror(`"url_prefix": "https://a.example/", "email": 1`), ""},
		{bad, mirror(`"url_prefix": "https://a.example/", "notes": []`), ""},
		{good, mirror(`"url_prefix": "https://a.example/", "email": "", "notes": "x"`), ""},
		{good, prefix(`https://a.example/`), ""},
		{good, prefix(`https://a.example`), ""}, // warned about
		{good, prefix(`HTTP://A.Example.:8080/a/%20b;c=d/@x`), ""},
		{good, prefix(`http://192.0.2.1/`), ""},
		{good, prefix(`http://[2001:db8::1]:81/`), ""},
		{bad, prefix(``), ""},
		{bad, prefix(`/tails/`), ""},
		{bad, prefix(`a.example/tails/`), ""},
		{bad, prefix(`http:a.example/`), ""},
		{bad, prefix(`https:///`), ""},
		{bad, prefix(`rsync://a.example/`), ""},
		{bad, prefix(`https://me@a.example/`), ""},
		{bad, prefix(`https://me:pw@a.example/`), ""},
		{bad, prefix(`https://a.example/?`), ""},
		{bad, prefix(`https://a.example/?x=y/`), ""},
		{bad, prefix(`https://a.example/#x/`), ""},
		{bad, prefix(`https://a.example/a b/`), ""},
		{bad, prefix(` https://a.example/`), ""},
		{bad, prefix(`https://a.example/\n`), ""},
		{bad, prefix(`https://a.example/%0/`), ""},
		{bad, prefix(`https://a.example/a\\b/`), ""},
		{bad, prefix(`https://a.example/\"/`), ""},
		{bad, prefix(`https://a.example/a/./b/`), ""},
		{bad, prefix(`https://a.example/..`), ""},
		{bad, prefix(`https://a.example/%2E%2e/`), ""},
		{bad, prefix(`https://bücher.example/`), ""},
		{bad, prefix(`https://a.example/bücher/`), ""},
		{bad, prefix(`https://a..example/`), ""},
		{bad, prefix(`https://a.example:x/`), ""},
		{bad, prefix(`https://a.example:/`), ""},
		{bad, prefix(`https://a.example:123456/`), ""},
		{bad, prefix(`https://a.example:0/`), ""},
		{bad, prefix(`https://a.example:00000/`), ""},
		{bad, prefix(`https://a.example:65536/`), ""},
		{bad, prefix(`https://a.example:65540/`), ""},
		{bad, prefix(`https://a.example:65600/`), ""},
		{bad, prefix(`https://a.example:66000/`), ""},
		{bad, prefix(`https://a.example:70000/`), ""},
		{bad, prefix(`https://a.example:99999/`), ""},
		{bad, prefix(`https://a.example:000080/`), ""},
		{bad, prefix(`https://[::1]:0/`), ""},
		{good, prefix(`https://a.example:1/`), ""},
		{good, prefix(`https://a.example:00001/`), ""},
		{good, prefix(`https://a.example:00080/`), ""},
		{good, prefix(`https://a.example:443/`), ""},
		{good, prefix(`https://a.example:09999/`), ""},
		{good, prefix(`https://a.example:10000/`), ""},
		{good, prefix(`https://a.example:59999/`), ""},
		{good, prefix(`https://a.example:64999/`), ""},
		{good, prefix(`https://a.example:65535/`), ""},
		{parserOnly, prefix(`https://[::1::]/`), `[0].url_prefix: found "https://[::1::]/", expected an http or https URL that ends with "/"`},
		{parserOnly, `[{"url_prefix": "https://a.example/", "weight": 1}, {"url_prefix": "https://a.example", "weight": 1}]`, `[1].url_prefix: found "https://a.example", expected a URL prefix that stands here once: line 1 has it too`},
		{good, prefix(`https://a.example/` + strings.Repeat("a", 1981) + `/`), ""},
		{bad, prefix(`https://a.example/` + strings.Repeat("a", 1982) + `/`), ""},
		{bad, rsync(`"rsync://a.example/` + strings.Repeat("a", 2000) + `"`), ""},
		{good, rsync(`"rsync://a.example/module/"`), ""},
		{good, rsync(`""`), ""},
		{good, rsync(`"RSYNC://me:x%20y@A.Example.:65535/module/%7Ea?b#c"`), ""},
		{good, rsync(`"rsync://a.example:873"`), ""},
		{good, rsync(`"rsync://[2001:db8::1]:1/module"`), ""},
		{bad, rsync(`"rsync://a.example:0/module"`), ""},
		{bad, rsync(`"rsync://a.example:65536/module"`), ""},
		{bad, rsync(`"rsync://a.example:99999/module"`), ""},
		{bad, rsync(`"rsync://a.example:/module"`), ""},
		{bad, rsync(`"rsync://a.example:x/module"`), ""},
		{bad, rsync(`"rsync://a..example/module"`), ""},
		{bad, rsync(`"rsync://me@/module"`), ""},
		{bad, rsync(`"rsync://a.example/%zz"`), ""},
		{bad, rsync(`"a.example::module"`), ""},
		{bad, rsync(`"rsync:///module"`), ""},
		{bad, rsync(`"rsync://a.example/a b"`), ""},
		{bad, rsync(`null`), ""},
		{parserOnly, `[{"url_prefix": "https://a.example/", "weight": 1, "weight": 1}]`, `[0].weight: found the same key again, expected one value for it: line 1 has it too`},
	}
}
