//go:build race

package dnsserver

// raceDetector makes each look at the table take fifty times as long.
const raceDetector = true
