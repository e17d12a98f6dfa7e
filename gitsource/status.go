package gitsource

import "time"

// Stage is a part of a look.
type Stage string

// The stages, in the order in which they come.
const (
	StageLook  Stage = "look"  // asking the remote for the branch's head
	StageFetch Stage = "fetch" // fetching the head's commit
	StageStore Stage = "store" // keeping an accepted commit on disk
)

// Status is what a Source knows of its remote at one moment.
type Status struct {
	// Head is the branch's head when the remote last told; empty before.
	Head string
	// LastLook is when the last look ended, LastSuccess when the last one
	// ended that failed at no stage; NextLook when the next begins.
	LastLook, LastSuccess, NextLook time.Time
	// LastError is what the last look failed with and Stage where; both are
	// empty when it did not fail. Error is the same for errors.Is.
	LastError string
	Stage     Stage
	Error     error
	// FailingSince is when the looks began to fail; zero while they do not.
	// Failures is how many have failed in a row: those at StageStore and those
	// at the other stages are counted apart, and Poke begins anew.
	FailingSince time.Time
	Failures     int
	// Refused is the head that cannot be used as it is, until a look has found
	// another one or it is taken after all. A refused commit is no failure of
	// the look.
	Refused Refused
	// Good is the last good commit, which may come from an earlier run.
	Good Good
}

// Refused is a commit that was fetched and not taken; the zero Refused stands
// for none.
type Refused struct {
	Commit string
	Time   time.Time // when it was refused
	Error  error     // what accept has said, or which limit it is over
}

// Good is a commit that was taken; the zero Good stands for none.
type Good struct {
	Commit   string
	Time     time.Time // when it was committed
	Accepted time.Time // when it was taken
}
