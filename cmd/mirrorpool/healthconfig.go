package main

// healthConfig is how this node checks; what is checked is in the repository.
type healthConfig struct {
	// Rate is how many probes are started in a second at most; absent: the default.
	Rate *float64 `yaml:"rate"`
	// Control are addresses and ports that are up as long as this machine's own
	// network is. They are connected to where more than half of all targets fail at once.
	Control []string `yaml:"control"`
	// Resolver is the address and port that host names are asked of; empty: the
	// machine's own.
	Resolver string `yaml:"resolver"`
	// Rsync is the program that checks of rsync are made with.
	Rsync string `yaml:"rsync"`
	// Commands are what checks "exec" may run, by the name that the repository uses: a
	// program and its arguments.
	Commands map[string][]string `yaml:"commands"`
}

func (h *healthConfig) validate(v *validation) {
	h.validatePace(v)
	h.validatePrograms(v)
}
