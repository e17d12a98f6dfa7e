package pool

import (
	"cmp"
	"slices"
	"strings"
	"testing"
	"testing/fstest"
)

// FuzzParse holds what Parse promises for any repository: a definition unless
// there are errors, problems in order and in print, and nothing accepted that
// the schemas refuse.
func FuzzParse(f *testing.F) {
	sample, _, _ := readArchive(f, "testdata/sample.txtar", "")
	f.Add(sample[MirrorsPath].Data, sample[PoolsPath].Data)
	f.Add([]byte(goodMirrors), []byte(redirectFile(`, "geo": {"policy": "near", "max_share": 0.1}`)))
	for _, cases := range [][]schemaCase{memberCases(), placeCases(), healthCases(), inspectionCases(), redirectCases()} {
		for _, test := range cases {
			f.Add([]byte(goodMirrors), []byte(test.data))
		}
	}
	for _, test := range mirrorsCases() {
		f.Add([]byte(test.data), []byte(redirectFile(``)))
	}
	f.Add([]byte(`[{"weight": 1, "url_prefix": "https://a.example/`+strings.Repeat("a", 1950)+`"}]`), []byte(redirectFile(``)))
	mirrorsSchema, poolsSchema := compileSchema(f, "mirrors"), compileSchema(f, "pools")
	f.Fuzz(func(t *testing.T, mirrors, pools []byte) {
		files := fstest.MapFS{MirrorsPath: {Data: mirrors}, PoolsPath: {Data: pools}}
		definition, problems := Parse(files)
		if (definition == nil) != HasErrors(problems) {
			t.Fatalf("definition %v, problems:\n%s", definition, format(problems))
		}
		checkProblems(t, problems)
		if definition == nil {
			return
		}
		checkDefinition(t, definition)
		if err := schemaVerdict(mirrorsSchema, string(mirrors)); err != nil {
			t.Fatalf("mirrors.json accepted by the parser, refused by the schema: %v", err)
		}
		if err := schemaVerdict(poolsSchema, string(pools)); err != nil {
			t.Fatalf("pools.json accepted by the parser, refused by the schema: %v", err)
		}
		if drops := CapacityDrop(definition, definition, 0); len(drops) != 0 {
			t.Fatalf("a drop against itself: %v", drops)
		}
	})
}

func checkProblems(t *testing.T, problems []Problem) {
	inOrder := slices.IsSortedFunc(problems, func(a, b Problem) int {
		return cmp.Or(strings.Compare(a.File, b.File), cmp.Compare(a.Line, b.Line), cmp.Compare(a.Column, b.Column))
	})
	if !inOrder {
		t.Fatalf("not in order:\n%s", format(problems))
	}
	for _, problem := range problems {
		text := problem.String()
		if strings.ContainsFunc(text, func(r rune) bool { return r < ' ' || r == 0x7f }) || len(text) > 2000 || problem.Expected == "" {
			t.Fatalf("not fit for a line: %q", text)
		}
	}
}

// checkDefinition sees to what the rest of the program builds on.
func checkDefinition(t *testing.T, definition *Definition) {
	for _, pool := range definition.Pools {
		checkHealth(t, pool.Health)
		if _, v4, v6 := counted(pool); pool.MinMembers > max(v4, v6) {
			t.Fatalf("pool %+v", pool)
		}
		if pool.Name == "" || pool.TTL == 0 || pool.Answers == 0 || pool.Health.Kind == "" || len(pool.Members) == 0 ||
			pool.Policy.MaxShare <= 0 || pool.Policy.MaxShare > 1 || pool.Policy.MinCandidates < 1 ||
			pool.Health.Interval < minInterval || pool.Health.Interval > maxInterval || pool.Health.Timeout > pool.Health.Interval || pool.NamePosition.Line == 0 {
			t.Fatalf("pool %+v", pool)
		}
		for _, member := range pool.Members {
			if member.ID == "" || (len(member.Addresses) == 0) == (member.HostName == "") || member.Weight > MaxWeight || member.Position.Line == 0 {
				t.Fatalf("member %+v", member)
			}
		}
	}
	for _, redirect := range definition.Redirects {
		checkHealth(t, redirect.Health)
		if redirect.Host == "" || redirect.List == nil || redirect.Health.Kind == "" ||
			!strings.HasPrefix(redirect.StripPrefix, "/") || !strings.HasSuffix(redirect.StripPrefix, "/") {
			t.Fatalf("redirect host %+v", redirect)
		}
	}
	for _, list := range definition.MirrorLists {
		for _, mirror := range list.Mirrors {
			if !strings.HasPrefix(mirror.URLPrefix, "http") || !strings.HasSuffix(mirror.URLPrefix, "/") || mirror.Weight > MaxWeight {
				t.Fatalf("mirror %+v", mirror)
			}
		}
	}
}

// checkHealth sees to what the checks build on.
func checkHealth(t *testing.T, check Check) {
	if _, err := ParseStatuses(string(check.Statuses)); err != nil && check.Statuses != "" {
		t.Fatalf("statuses %q: %v", check.Statuses, err)
	}
	if check.Ramp < 0 || check.Ramp > maxRamp || check.CertificateWarning < 0 {
		t.Fatalf("check %+v", check)
	}
	for _, i := range check.Inspections {
		if i.Interval < minInterval || i.Interval > maxInterval || i.Timeout <= 0 || i.Timeout > i.Interval || i.DownAfter < 1 || i.UpAfter < 1 {
			t.Fatalf("inspection %+v", i)
		}
		named := false
		switch {
		case i.Kind == CheckRsync, i.Kind == CheckExec && i.Command != "":
			named = i.Purpose == PurposeAnswer
		case i.Kind != CheckHTTP && i.Kind != CheckHTTPS:
		case i.Purpose == PurposeThroughput:
			named = i.Path != "" && i.Bytes > 0 && i.MinRate > 0
		case i.Purpose == PurposeIntegrity:
			named = i.Path != "" && (i.SHA256 != "" && i.Origin == "" || i.SHA256 == "" && i.Origin != "" && i.Samples > 0 && i.Bytes > 0)
		case i.Purpose == PurposeContents:
			named = i.Required != "" || i.Index != ""
			for file := range i.Required.All() {
				named = named && file.Path != "" && !dotSegment.MatchString(file.Path)
			}
		}
		if !named {
			t.Fatalf("inspection %+v", i)
		}
	}
}
