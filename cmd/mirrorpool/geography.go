package main

import (
	"errors"
	"fmt"
	"os"
	"sync"
	"time"

	"mirrorpool/pool/geo"
)

// Where Debian's tor-geoipdb keeps its ranges; newer ones than the embedded
// are used in their place.
const (
	installedIPv4 = "/usr/share/tor/geoip"
	installedIPv6 = "/usr/share/tor/geoip6"
)

// geographyInterval is how often database files are looked at.
const geographyInterval = 10 * time.Second

// geography gives the map that is used now. A configured file that cannot be
// read at the start must not keep a name server from starting: it then works
// with the embedded country data, and takes the file when it can be read.
type geography struct {
	config geo.Config

	mutex   sync.Mutex
	source  *geo.Source
	without error  // why the configured files are not in use; nil: they are
	tried   string // what the configured files looked like when they were read in vain
}

func (c geoConfig) files() geo.Config {
	return geo.Config{
		City: c.City, Country: c.Country, ASN: c.ASN, Overrides: c.Overrides,
		InstalledIPv4: installedIPv4, InstalledIPv6: installedIPv6,
	}
}

// openGeography reads the databases. The second error is about configured
// files that are not in use; only the first one leaves no geography at all.
func openGeography(config geo.Config) (g *geography, fatal, without error) {
	source, err := geo.Open(config)
	if err == nil {
		return &geography{config: config, source: source}, nil, nil
	}
	fallback, fallbackErr := geo.Open(geo.Config{InstalledIPv4: config.InstalledIPv4, InstalledIPv6: config.InstalledIPv6})
	if fallbackErr != nil {
		return nil, errors.Join(err, fallbackErr), nil
	}
	return &geography{config: config, source: fallback, without: err, tried: appearance(config)}, nil, err
}

// appearance is what a change of the configured files changes.
func appearance(config geo.Config) string {
	text := ""
	for _, path := range []string{config.City, config.Country, config.ASN, config.Overrides} {
		if path == "" {
			continue
		}
		if info, err := os.Stat(path); err != nil {
			text += err.Error()
		} else {
			text += fmt.Sprintln(path, info.Size(), info.ModTime().UnixNano(), info.Mode())
		}
	}
	return text
}

// current is the map in use.
func (g *geography) current() *geo.Map {
	g.mutex.Lock()
	defer g.mutex.Unlock()
	return g.source.Map()
}

func (g *geography) databases() []geo.Database {
	g.mutex.Lock()
	defer g.mutex.Unlock()
	return g.source.Description()
}

// refresh looks at the files and reports whether the map is another one now.
// Reading a large database takes seconds, so the lock is not held meanwhile, and
// files that could not be read are read again only when they have changed.
func (g *geography) refresh() (changed bool, err error) {
	g.mutex.Lock()
	source, without, tried := g.source, g.without, g.tried
	g.mutex.Unlock()
	if without == nil {
		return source.Refresh()
	}
	now := appearance(g.config)
	if now == tried {
		return false, without
	}
	whole, err := geo.Open(g.config)
	g.mutex.Lock()
	defer g.mutex.Unlock()
	if err != nil {
		g.without, g.tried = err, now
		return false, err
	}
	g.source, g.without = whole, nil
	return true, nil
}
