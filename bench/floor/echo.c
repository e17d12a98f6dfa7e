/* The floor of `make bench`: what the kernel takes to receive a datagram and to
 * send one back. It reads and writes in batches, sets the QR bit of each
 * datagram and looks at nothing else. It is written in C so that the floor has
 * no share of Go's own cost.
 *
 *   echo PORT [PAD]
 *
 * listens on 127.0.0.1:PORT. PAD is how many zero bytes each answer has more
 * than its question, so that it is as large as a server's.
 */
#define _GNU_SOURCE
#include <arpa/inet.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>

enum { BATCH = 64, LARGEST = 4096, ROOM = 4 << 20 };

static char packets[BATCH][2 * LARGEST]; /* the second half stays zero */
static struct sockaddr_in clients[BATCH];
static struct iovec parts[BATCH];
static struct mmsghdr messages[BATCH];

/* number reads a whole number from 0 to most, or returns -1. */
static long number(const char *text, long most)
{
	char *end;
	errno = 0;
	long value = strtol(text, &end, 10);
	return errno || end == text || *end || value < 0 || value > most ? -1 : value;
}

static int fail(const char *what)
{
	fprintf(stderr, "echo: %s: %s\n", what, strerror(errno));
	return 1;
}

static int listener(int port)
{
	struct sockaddr_in here = {
		.sin_family = AF_INET,
		.sin_port = htons((unsigned short)port),
		.sin_addr.s_addr = htonl(INADDR_LOOPBACK),
	};
	int room = ROOM, s = socket(AF_INET, SOCK_DGRAM, 0);
	if (s < 0)
		return -1;
	/* The kernel cuts these to its own limits, which will do. */
	setsockopt(s, SOL_SOCKET, SO_RCVBUF, &room, sizeof room);
	setsockopt(s, SOL_SOCKET, SO_SNDBUF, &room, sizeof room);
	return bind(s, (struct sockaddr *)&here, sizeof here) ? -1 : s;
}

int main(int argc, char **argv)
{
	long port = argc >= 2 ? number(argv[1], 65535) : -1;
	long pad = argc == 3 ? number(argv[2], LARGEST) : 0;
	if (argc > 3 || port < 1 || pad < 0) {
		fprintf(stderr, "usage: echo PORT [PAD], PAD at most %d\n", LARGEST);
		return 2;
	}
	int s = listener((int)port);
	if (s < 0)
		return fail("listening on 127.0.0.1");
	for (int i = 0; i < BATCH; i++) {
		parts[i].iov_base = packets[i];
		messages[i].msg_hdr.msg_name = &clients[i];
		messages[i].msg_hdr.msg_iov = &parts[i];
		messages[i].msg_hdr.msg_iovlen = 1;
	}
	for (;;) {
		for (int i = 0; i < BATCH; i++) {
			parts[i].iov_len = LARGEST;
			messages[i].msg_hdr.msg_namelen = sizeof clients[i];
		}
		int got = recvmmsg(s, messages, BATCH, MSG_WAITFORONE, NULL);
		if (got < 0 && errno != EINTR && errno != ECONNREFUSED)
			return fail("receiving");
		for (int i = 0; i < got; i++) {
			packets[i][2] |= (char)0x80;
			parts[i].iov_len = messages[i].msg_len + (size_t)pad;
		}
		for (int sent = 0; sent < got;) {
			int n = sendmmsg(s, messages + sent, (unsigned)(got - sent), 0);
			if (n < 0 && errno != EINTR && errno != ECONNREFUSED)
				return fail("sending");
			sent += n > 0 ? n : 0;
		}
	}
}
