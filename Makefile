VERSION := $(shell git describe --always --dirty --tags 2>/dev/null)
LDFLAGS := -X main.version=$(VERSION)

.PHONY: help build demo test unit lint e2e health geodata bench-build bench bench-growth bench-health bench-reload bench-connections bench-flood fuzz robustness clean

help: ## list the targets
	@grep -hE '^[a-z0-9-]+:.*## ' $(MAKEFILE_LIST) | sed -E 's/:.*## /\t/' | expand -t 14

build: ## build bin/mirrorpool
	CGO_ENABLED=0 go build -trimpath -ldflags '$(LDFLAGS)' -o bin/mirrorpool ./cmd/mirrorpool

demo: build ## show it working on this machine; Ctrl-C ends it
	@exec bin/mirrorpool demo

test: lint unit e2e ## every test: linters, unit tests with -race, command-line scripts, end to end

# What the race detector does not watch: arithmetic of one goroutine, which takes ten times
# as long with it, and SQLite, whose memory is not Go's, so that it sees none of it.
unwatched := $(addprefix crypto/internal/fips140/,aes/... bigmod edwards25519/... mlkem nistec/... sha256 sha3 sha512) modernc.org/sqlite/lib

# Three packages at a time: many of their tests wait for servers. Lint has vetted them.
unit: ## unit tests and command-line scripts, with the race detector, in random order
	go test -race $(unwatched:%=-gcflags=%=-race=false) -vet=off -shuffle=on -p 3 -timeout 10m ./...

# Those that measure time and memory run alone, and first; the others mostly wait.
e2e: build ## the built program between real mirrors, sshd, resolvers, dnsperf and curl
	MIRRORPOOL_TEST_PROGRAM='$(CURDIR)/bin/mirrorpool' go test -tags e2e -vet=off -count=1 -parallel 4 -timeout 10m -run TestEndToEnd -v ./cmd/mirrorpool

# How often each fault is put in.
ROUNDS ?= 5

health: build ## how soon failing mirrors are out of the answers, here and in gdnsd; writes docs/health.md
	HEALTH_ROUNDS='$(ROUNDS)' go test -tags e2e -count=1 -timeout 30m -run 'TestEndToEndHealth$$' -v ./cmd/mirrorpool

# How long each target is fuzzed, and which: make fuzz FUZZTIME=10m FUZZ=FuzzBothPaths
FUZZTIME ?= 60s
FUZZ ?= .

fuzz: ## every fuzz target for FUZZTIME (60s); FUZZ=FuzzBothPaths picks by name
	@listed="$$(go test -list '^Fuzz' ./...)" || { echo "$$listed"; exit 1; }; \
	targets="$$(echo "$$listed" | awk '/^Fuzz/ { names[n++] = $$1 } /^ok/ { for (i = 0; i < n; i++) print $$2 ":" names[i]; n = 0 }' | grep -E ':.*$(FUZZ)')" || \
		{ echo "no fuzz target matches '$(FUZZ)'"; exit 1; }; \
	failed=; for target in $$targets; do \
		echo "== $$target"; \
		go test -run '^$$' -fuzz "^$${target#*:}\$$" -fuzztime '$(FUZZTIME)' -fuzzminimizetime 2s "$${target%%:*}" || failed="$$failed $$target"; \
	done; \
	if [ -n "$$failed" ]; then echo "failed:$$failed; what was found is kept in testdata/fuzz of the package"; exit 1; fi

# What is passed on: make robustness ROBUSTNESS='-packets 100000 -seed 7'
ROBUSTNESS ?=

robustness: build ## ten million random and damaged packets to the built server; ROBUSTNESS='-h' for the flags
	go build -trimpath -o bin/bench ./bench
	bin/bench robustness $(ROBUSTNESS)

geodata: ## build the embedded country data anew from Debian's tor-geoipdb
	go run ./pool/geo/geodata

# What is passed on: make bench BENCH='-rounds 3 -servers ours,knot -questions pool'
BENCH ?=

bench: bench-build ## this program beside other DNS servers; BENCH='-h' for the flags
	bin/bench compare $(BENCH)

bench-growth: bench-build ## what a query costs with more pools, members and names
	bin/bench growth $(BENCH)

bench-health: bench-build ## what probing 10,000 mirrors every 30 s costs on one processor
	bin/bench health $(BENCH)

bench-reload: bench-build ## queries while pushes, changes of health and SIGHUP come
	bin/bench reload $(BENCH)

bench-connections: bench-build ## UDP beside 10,000 TCP and TLS connections of silent, slow, greedy and honest clients
	bin/bench connections $(BENCH)

bench-flood: bench-build ## floods from a million forged addresses, in a network of their own, and what honest clients notice; needs ip, unshare, unbound
	bin/bench flood $(BENCH)

bench-build: build
	go build -trimpath -o bin/bench ./bench
	cc -O2 -Wall -Wextra -o bin/bench-echo bench/floor/echo.c

lint: ## formatting, vet, staticcheck
	@unformatted="$$(go tool gofumpt -l .)"; if [ -n "$$unformatted" ]; then echo "run 'go tool gofumpt -w .':"; echo "$$unformatted"; exit 1; fi
	go vet -tags e2e ./...
	go tool staticcheck -tags e2e ./...

clean: ## remove what was built
	rm -rf bin
