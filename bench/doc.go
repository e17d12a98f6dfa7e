// Command bench measures mirrorpool beside other authoritative DNS servers, on
// one machine and in one run. `make bench` builds and starts it.
//
// One server runs at a time, on one processor; the generator of package load
// keeps it busy from another. Rounds are interleaved, so that what the machine
// does beside touches all servers alike, and medians are printed. Beside the
// servers runs the floor: an echo, written in C, that sends datagrams back.
//
// It imports nothing of the program: what it measures is the ordinary binary.
// It sends nothing beyond 127.0.0.0/8 and ::1, ends each process that it
// started by its id, and removes its temporary files.
package main
