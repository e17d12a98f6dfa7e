// Package load asks a DNS server on this machine as many questions as it can
// answer, or as many a second as are wished, and measures what comes back.
//
// It is made to be cheaper for each question than any server: one core of it
// keeps one core of the fastest server busy. It sends and receives in batches
// by non-blocking system calls, asks prebuilt questions, allocates nothing
// while it runs, and never blocks in the kernel where a server would have to
// wake it. Every answer is matched by its id and checked: that it is one, its
// response code, its question, and the number of its records.
//
// It refuses every server that is not in 127.0.0.0/8 or ::1, and is for Linux.
// It may import nothing of the program that it measures.
package load
