package main

import (
	"encoding/json"
	"io/fs"
	"maps"
	"os"
	"path/filepath"
	"reflect"
	"regexp"
	"slices"
	"strings"
	"testing"
	"testing/fstest"

	"mirrorpool/pool"
)

// page reads one of the pages for people, by its path in the project.
func page(t *testing.T, name string) string {
	t.Helper()
	data, err := os.ReadFile(filepath.Join("../..", name))
	if err != nil {
		t.Fatal(err)
	}
	return string(data)
}

// example is the indented block of a page after a line that ends with these words.
func example(t *testing.T, text, words string) string {
	t.Helper()
	_, after, found := strings.Cut(text, words+"\n\n")
	var block strings.Builder
	for line := range strings.Lines(after) {
		code, indented := strings.CutPrefix(line, "    ")
		if !indented {
			break
		}
		block.WriteString(code)
	}
	if !found || block.Len() == 0 {
		t.Fatalf("the page has no example after %q", words)
	}
	return block.String()
}

// TestExamplesOfPagesAreTaken reads what a new administrator or operator copies.
func TestExamplesOfPagesAreTaken(t *testing.T) {
	text := page(t, "docs/administrator.md")
	files := fstest.MapFS{}
	for name, words := range map[string]string{
		"pools.json":             "`pools.json`:",
		"mirrors.json":           "`mirrors.json`, for the redirect host:",
		"zones/example.org.zone": "with a name for each node:",
	} {
		files[name] = &fstest.MapFile{Data: []byte(example(t, text, words))}
	}
	content, problems := readRepository(files)
	for _, problem := range problems {
		if !strings.Contains(problem.String(), "documentation address") {
			t.Errorf("administrator.md: %s", problem)
		}
	}
	if content == nil {
		t.Error("the example's repository is refused")
	}

	text = page(t, "docs/operator.md")
	for words, more := range map[string]string{
		"all else has a default:":           "",
		"a key signs (TSIG).":               "git: {url: /srv/mirrors.git}\n",
		"of his own run on the nodes:":      "git: {url: /srv/mirrors.git}\n",
		"In `mirrorpool.yaml` under `dns`:": "git: {url: /srv/mirrors.git}\ndns:\n",
	} {
		block := example(t, text, words)
		if strings.HasSuffix(more, "dns:\n") {
			block = "  " + strings.ReplaceAll(strings.TrimRight(block, "\n"), "\n", "\n  ")
		}
		if _, err := parseConfig("operator.md", []byte(more+block)); err != nil {
			t.Errorf("operator.md, after %q: %v", words, err)
		}
	}
}

// configKeys are the keys that a section of the configuration takes, with those of the
// sections in it.
func configKeys(section reflect.Type, prefix string) []string {
	for section.Kind() == reflect.Pointer || section.Kind() == reflect.Slice {
		section = section.Elem()
	}
	if section.Kind() != reflect.Struct {
		return nil
	}
	var keys []string
	for i := range section.NumField() {
		if name := section.Field(i).Tag.Get("yaml"); name != "" {
			keys = append(keys, prefix+name)
			keys = append(keys, configKeys(section.Field(i).Type, prefix+name+".")...)
		}
	}
	return keys
}

// TestPagesNameEveryKey: each key of the configuration stands in the operator's page and
// in the example, and neither names another one.
func TestPagesNameEveryKey(t *testing.T) {
	text, whole := page(t, "docs/operator.md"), page(t, "docs/mirrorpool.yaml")
	keys := configKeys(reflect.TypeFor[config](), "")
	named := func(key string) bool { return strings.Contains(text, "`"+key+"`") }
	for _, key := range keys {
		_, last, _ := cutLast(key)
		if !regexp.MustCompile(`(?m)^[ #-]*` + last + `:`).MatchString(whole) {
			t.Errorf("mirrorpool.yaml lacks %s", key)
		}
		// Those of lists of sections stand in tables of their own.
		_, ofEntry, _ := strings.Cut(key, ".")
		inTable := strings.HasPrefix(key, "alerts.") || strings.HasPrefix(key, "publish.")
		isSection := slices.ContainsFunc(keys, func(other string) bool { return strings.HasPrefix(other, key+".") })
		if !named(key) && !(inTable && (named(ofEntry) || named(last) && last == "ca_file")) && !isSection {
			t.Errorf("operator.md lacks %s", key)
		}
	}
	for _, found := range regexp.MustCompile("(?m)^\\| `((?:git|dns|http|admin|geo|health|log)\\.[a-z_.]+)`").FindAllStringSubmatch(text, -1) {
		if found[1] != healthFile && !slices.Contains(keys, found[1]) {
			t.Errorf("operator.md has the key %s, and the configuration has not", found[1])
		}
	}
}

// cutLast cuts a key at its last dot.
func cutLast(key string) (before, last string, found bool) {
	at := strings.LastIndexByte(key, '.')
	return key[:max(at, 0)], key[at+1:], at >= 0
}

// TestPagesNameEveryKeyOfPools: so do those of pools.json in the administrator's page.
func TestPagesNameEveryKeyOfPools(t *testing.T) {
	text := page(t, "docs/administrator.md")
	data, err := pool.Schema("pools")
	if err != nil {
		t.Fatal(err)
	}
	var schema any
	if err := json.Unmarshal(data, &schema); err != nil {
		t.Fatal(err)
	}
	keys := schemaKeys(schema)
	if len(keys) < 50 {
		t.Fatalf("the schema has only the keys %q", keys)
	}
	for _, key := range keys {
		if !strings.Contains(text, "`"+key+"`") {
			t.Errorf("administrator.md lacks %s", key)
		}
	}
}

// schemaKeys are the names of all properties in a JSON Schema.
func schemaKeys(schema any) []string {
	var keys []string
	switch node := schema.(type) {
	case map[string]any:
		for name, inner := range node {
			if properties, is := inner.(map[string]any); name == "properties" && is {
				keys = slices.AppendSeq(keys, maps.Keys(properties))
			}
			keys = append(keys, schemaKeys(inner)...)
		}
	case []any:
		for _, inner := range node {
			keys = append(keys, schemaKeys(inner)...)
		}
	}
	slices.Sort(keys)
	return slices.Compact(keys)
}

// TestPagesNameEveryStage holds the table of stages to those that there are.
func TestPagesNameEveryStage(t *testing.T) {
	_, text, _ := strings.Cut(page(t, "docs/operator.md"), "\n### Stages\n")
	text, _, _ = strings.Cut(text, "\n## ")
	var named []string
	for _, row := range regexp.MustCompile("(?m)^\\| (`.*?) \\|").FindAllStringSubmatch(text, -1) {
		for _, name := range strings.Split(row[1], ", ") {
			named = append(named, strings.Trim(name, "`"))
		}
	}
	var there []string
	for _, one := range staleStages {
		there = append(there, string(one))
	}
	slices.Sort(named)
	slices.Sort(there)
	if !slices.Equal(named, there) {
		t.Errorf("the page has the stages\n%q, there are\n%q", named, there)
	}
}

// TestPagesNameEveryMetric: each metric that the sources name stands in the operator's
// page, and none that they do not name.
func TestPagesNameEveryMetric(t *testing.T) {
	text := page(t, "docs/operator.md")
	metric := regexp.MustCompile(`mirrorpool_[a-z_]*[a-z]\b`)
	// Where a file makes its metrics' names of the prefix and the rest.
	prefixes := map[string]string{"describe": "mirrorpool_", "vec": "mirrorpool_dns_"}
	described := regexp.MustCompile(`\b(describe|vec)\(\s*"([a-z_]+)"`)
	there := map[string]bool{}
	for _, folder := range []string{"cmd/mirrorpool", "admin", "dnsserver", "redirect", "publish", "pool"} {
		err := fs.WalkDir(os.DirFS("../.."), folder, func(path string, _ fs.DirEntry, err error) error {
			if err != nil || !strings.HasSuffix(path, ".go") || strings.HasSuffix(path, "_test.go") {
				return err
			}
			source := page(t, path)
			for _, name := range metric.FindAllString(source, -1) {
				there[name] = true
			}
			for _, name := range described.FindAllStringSubmatch(source, -1) {
				there[prefixes[name[1]]+name[2]] = true
			}
			return nil
		})
		if err != nil {
			t.Fatal(err)
		}
	}
	named := map[string]bool{}
	for _, name := range metric.FindAllString(text, -1) {
		named[name] = true
		if !there[name] {
			t.Errorf("operator.md has the metric %s, and the sources have not", name)
		}
	}
	for name := range there {
		if !named[name] {
			t.Errorf("operator.md lacks the metric %s", name)
		}
	}
}

// TestLinksOfPagesLead: each link of a page within the project leads to a file, and to a
// heading in it.
func TestLinksOfPagesLead(t *testing.T) {
	pages, err := filepath.Glob("../../docs/*.md")
	if err != nil {
		t.Fatal(err)
	}
	link := regexp.MustCompile(`\]\(([^)#:]*)(#[^)]*)?\)`)
	for _, path := range append(pages, "../../README.md") {
		data, err := os.ReadFile(path)
		if err != nil {
			t.Fatal(err)
		}
		for _, found := range link.FindAllStringSubmatch(string(data), -1) {
			to := path
			if found[1] != "" {
				to = filepath.Join(filepath.Dir(path), found[1])
			}
			target, err := os.ReadFile(to)
			if err != nil {
				t.Errorf("%s: %v", path, err)
			} else if found[2] != "" && !slices.Contains(anchors(string(target)), found[2][1:]) {
				t.Errorf("%s: %s has no heading %s", path, to, found[2])
			}
		}
	}
}

// anchors are those that a page's headings have where it is shown.
func anchors(text string) []string {
	var all []string
	for _, heading := range regexp.MustCompile(`(?m)^#+ (.*)$`).FindAllStringSubmatch(text, -1) {
		plain := regexp.MustCompile(`[^a-z0-9 _-]`).ReplaceAllString(strings.ToLower(heading[1]), "")
		all = append(all, strings.ReplaceAll(plain, " ", "-"))
	}
	return all
}
