//go:build !linux

package main

// stepBack does nothing: only Linux has a niceness for each thread.
func stepBack() {}
