package pool

import (
	"embed"
	"fmt"
)

//go:embed schema/*.schema.json
var schemas embed.FS

// Schema gives the JSON Schema (draft 2020-12) of a file: "mirrors" is that of
// mirrors.json, "pools" that of pools.json. Whatever Parse accepts, the schema
// accepts; a few mistakes, such as an id that stands twice, only Parse sees.
func Schema(name string) ([]byte, error) {
	switch name {
	case "mirrors", "pools":
		schema, err := schemas.ReadFile("schema/" + name + ".schema.json")
		if err != nil {
			return nil, fmt.Errorf("reading the embedded schema: %w", err)
		}
		return schema, nil
	}
	return nil, fmt.Errorf(`finding a schema: found %q, expected "mirrors" or "pools"`, name)
}
