// Package crowd makes thousands of connections to a name server, of which hardly
// any is an honest client's, and keeps their number: who is turned away comes back.
//
// It imports nothing of the program, and connects to nothing beyond 127.0.0.0/8.
package crowd
