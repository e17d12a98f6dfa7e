//go:build !race

package history

// raced tells that the race detector watches.
const raced = false
