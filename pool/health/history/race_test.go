//go:build race

package history

// raced tells that the race detector watches, under which the database takes ten times as
// long.
const raced = true
