package pool

import "fmt"

// CapacityDrop compares a new Definition with the one that is served. Every DNS
// pool and redirect host that would lose more than the fraction limit (0 to 1)
// of its weight, the reserve not counted, is an Error; one that is gone has lost
// all of it. Without an old Definition there is nothing to lose.
func CapacityDrop(old, new *Definition, limit float64) []Problem {
	if old == nil || new == nil {
		return nil
	}
	var problems []Problem
	compare := func(place Position, what string, before, after int, gone bool) {
		if before == 0 {
			return
		}
		drop := 1 - float64(after)/float64(before)
		if drop <= limit+1e-9 {
			return
		}
		found := fmt.Sprintf("a total weight of %d, down from %d (%.4g %% less)", after, before, 100*drop)
		if gone {
			found = fmt.Sprintf("nothing, where the total weight was %d (100 %% less)", before)
		}
		problems = append(problems, Problem{
			Position: place, Severity: Error, What: what, Found: found,
			Expected: fmt.Sprintf("a drop of at most %.4g %% in one commit (git.max_capacity_drop %.4g): go there in several commits, or raise that limit on the nodes first (1: no limit)",
				100*limit, limit),
		})
	}
	for _, was := range old.Pools {
		place, after := Position{File: PoolsPath}, 0
		is := new.Pool(was.Name)
		if is != nil {
			place, after = is.NamePosition, is.TotalWeight()
		}
		compare(place, "pool "+was.Name, was.TotalWeight(), after, is == nil)
	}
	for _, was := range old.Redirects {
		place, after := Position{File: PoolsPath}, 0
		is := new.Redirect(was.Host)
		if is != nil {
			place, after = is.Position, is.List.TotalWeight()
		}
		compare(place, "redirect host "+was.Host, was.List.TotalWeight(), after, is == nil)
	}
	SortProblems(problems)
	return problems
}
