package zones

import (
	"os"
	"strconv"
)

// draws is how many random cases are drawn: DRAW in the environment multiplies it.
func draws(count int) int {
	if factor, err := strconv.Atoi(os.Getenv("DRAW")); err == nil && factor > 0 {
		return count * factor
	}
	return count
}
