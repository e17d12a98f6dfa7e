package pool

import (
	"bytes"
	"fmt"
	"strings"
	"testing"
	"testing/fstest"

	"github.com/santhosh-tekuri/jsonschema/v6"
)

// compileSchema gives one of the schemas, with formats looked at.
func compileSchema(t testing.TB, name string) *jsonschema.Schema {
	t.Helper()
	data, err := Schema(name)
	if err != nil {
		t.Fatal(err)
	}
	document, err := jsonschema.UnmarshalJSON(bytes.NewReader(data))
	if err != nil {
		t.Fatal(err)
	}
	compiler := jsonschema.NewCompiler()
	compiler.DefaultDraft(jsonschema.Draft2020)
	compiler.AssertFormat()
	location := "urn:mirrorpool:schema:" + name
	if err := compiler.AddResource(location, document); err != nil {
		t.Fatal(err)
	}
	schema, err := compiler.Compile(location)
	if err != nil {
		t.Fatal(err)
	}
	return schema
}

// schemaVerdict tells what the schema says of a file.
func schemaVerdict(schema *jsonschema.Schema, data string) error {
	document, err := jsonschema.UnmarshalJSON(strings.NewReader(data))
	if err != nil {
		return err
	}
	return schema.Validate(document)
}

// Schema and parser are to say the same of every file, but for what is marked.
func TestSchemaAndParserAgree(t *testing.T) {
	for _, file := range []struct {
		name  string
		path  string
		cases []schemaCase
	}{
		{"mirrors", MirrorsPath, mirrorsCases()},
		{"pools", PoolsPath, poolsCases()},
	} {
		schema := compileSchema(t, file.name)
		for i, test := range file.cases {
			t.Run(fmt.Sprintf("%s %d", file.name, i), func(t *testing.T) {
				files := fstest.MapFS{MirrorsPath: {Data: []byte(goodMirrors)}}
				files[file.path] = &fstest.MapFile{Data: []byte(test.data)}
				_, problems := Parse(files)
				mistake := schemaVerdict(schema, test.data)
				if (mistake == nil) != (test.verdict != bad) {
					t.Errorf("%s\nschema: %v", test.data, mistake)
				}
				if HasErrors(problems) != (test.verdict != good) {
					t.Errorf("%s\nparser: %s", test.data, format(problems))
				}
				if test.verdict != parserOnly {
					return
				}
				for _, problem := range problems {
					if problem.Severity == Error {
						_, got, _ := strings.Cut(problem.String(), ": error: ")
						if got != test.problem {
							t.Errorf("%s\nparser: %s\nwant:   %s", test.data, got, test.problem)
						}
						break
					}
				}
			})
		}
	}
}

// The samples are good by the schemas too.
func TestSchemaAcceptsSample(t *testing.T) {
	files, _, _ := readArchive(t, "testdata/sample.txtar", "")
	for path, name := range map[string]string{
		"mirrors.json": "mirrors", "lists/onion.json": "mirrors", "pools.json": "pools",
	} {
		if err := schemaVerdict(compileSchema(t, name), string(files[path].Data)); err != nil {
			t.Errorf("%s: %v", path, err)
		}
	}
}

func TestSchemaUnknown(t *testing.T) {
	const want = `finding a schema: found "zones", expected "mirrors" or "pools"`
	if _, err := Schema("zones"); err == nil || err.Error() != want {
		t.Errorf("error %v, want %s", err, want)
	}
}
