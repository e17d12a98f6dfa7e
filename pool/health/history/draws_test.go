package history

import (
	"os"
	"strconv"
)

// draws is how many random or repeated cases there are: DRAW in the environment multiplies it.
func draws(count int) int {
	if factor, err := strconv.Atoi(os.Getenv("DRAW")); err == nil && factor > 0 {
		return count * factor
	}
	return count
}
