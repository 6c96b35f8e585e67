// SPDX-License-Identifier: GPL-2.0-only
/*
 * The router's end of the lab's command channel.
 *
 *   labagent serve NETNS ADDR PORT   listen in NETNS, run what is asked for
 *                                    in the namespace labagent was started in
 *   labagent pppoe DEV ID MAC        keep a PPPoE session open, as a kernel that
 *                                    pppd has set up does
 *   lan|wan|vppectl|qmp|lab [-i] ARG...
 *                                    ask the lab to run it outside the router;
 *                                    output and exit status come back
 *
 * The channel is a NIC in a network namespace of its own, so that the router under
 * test sees nothing of it.
 *
 * Both directions speak the same frames: a type byte, a 32-bit big-endian
 * length, the payload. 'A' target, terminal size or nothing, and arguments, each
 * ended by a NUL; 'I' standard input (empty: its end); 'O' and 'E' output;
 * 'X' exit status, which ends the exchange. When a client goes away, its command
 * is killed. channel.py is the other end.
 */
#define _GNU_SOURCE
#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <linux/if_ether.h>
#include <net/if.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <linux/if_pppox.h>
#include <linux/ppp-ioctl.h>
#include <linux/ppp_defs.h>
#include <poll.h>
#include <pty.h>
#include <sched.h>
#include <signal.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/pidfd.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#define LAB_CONF	"/etc/lab/host"	/* "NETNS ADDR PORT" of the lab */
#define MAX_FRAME	(1 << 20)
#define MAX_ARGS	1024

static void die(const char *what)
{
	fprintf(stderr, "labagent: %s: %s\n", what, strerror(errno));
	exit(125);
}

static int write_all(int fd, const void *data, size_t len)
{
	const char *p = data;

	while (len) {
		ssize_t n = write(fd, p, len);

		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0 && errno == EAGAIN) {
			struct pollfd pfd = { .fd = fd, .events = POLLOUT };

			poll(&pfd, 1, -1);
			continue;
		}
		if (n <= 0)
			return -1;
		p += n;
		len -= n;
	}
	return 0;
}

static int read_all(int fd, void *data, size_t len)
{
	char *p = data;

	while (len) {
		ssize_t n = read(fd, p, len);

		if (n < 0 && errno == EINTR)
			continue;
		if (n <= 0)
			return -1;
		p += n;
		len -= n;
	}
	return 0;
}

static int send_frame(int fd, char type, const void *data, uint32_t len)
{
	char head[5] = { type };
	uint32_t be = htonl(len);

	memcpy(head + 1, &be, 4);
	if (write_all(fd, head, sizeof(head)))
		return -1;
	return len ? write_all(fd, data, len) : 0;
}

/* The payload is ended by a NUL of our own and belongs to the caller. */
static int recv_frame(int fd, char *type, char **data, uint32_t *len)
{
	char head[5];
	uint32_t be;

	if (read_all(fd, head, sizeof(head)))
		return -1;
	memcpy(&be, head + 1, 4);
	*len = ntohl(be);
	*type = head[0];
	if (*len > MAX_FRAME)
		return -1;
	*data = malloc(*len + 1);
	if (!*data)
		return -1;
	if (read_all(fd, *data, *len)) {
		free(*data);
		return -1;
	}
	(*data)[*len] = 0;
	return 0;
}

static int enter_netns(const char *name)
{
	char path[256];
	int fd, ret;

	snprintf(path, sizeof(path), "/run/netns/%s", name);
	fd = open(path, O_RDONLY | O_CLOEXEC);
	if (fd < 0)
		return -1;
	ret = setns(fd, CLONE_NEWNET);
	close(fd);
	return ret;
}

static int inet_socket(const char *netns, const char *addr, const char *port,
		       struct sockaddr_in *sin)
{
	int home = open("/proc/self/ns/net", O_RDONLY | O_CLOEXEC);
	int fd, one = 1;

	if (home < 0)
		die("/proc/self/ns/net");
	if (enter_netns(netns))
		die(netns);
	fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
	if (fd < 0)
		die("socket");
	if (setns(home, CLONE_NEWNET))
		die("setns");
	close(home);
	setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof(one));
	setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &one, sizeof(one));
	memset(sin, 0, sizeof(*sin));
	sin->sin_family = AF_INET;
	sin->sin_port = htons(atoi(port));
	if (inet_pton(AF_INET, addr, &sin->sin_addr) != 1)
		die(addr);
	return fd;
}

/* One output pipe to one frame; false at its end. */
static int forward(int from, int conn, char type)
{
	char buf[65536];
	ssize_t n = read(from, buf, sizeof(buf));

	if (n < 0 && (errno == EINTR || errno == EAGAIN))
		return 1;
	if (n <= 0)
		return 0;
	return send_frame(conn, type, buf, n) == 0;
}

static void run_child(char **argv)
{
	signal(SIGPIPE, SIG_DFL);
	execvp(argv[0], argv);
	fprintf(stderr, "%s: %s\n", argv[0], strerror(errno));
	_exit(errno == ENOENT ? 127 : 126);
}

static void serve_one(int conn)
{
	char *argv[MAX_ARGS + 1], buf[4096], *data, *p, *tty, type;
	int in[2], out[2], err[2], argc = 0, pidfd, status;
	struct pollfd pfd[4];
	uint32_t len, be;
	pid_t pid;

	if (recv_frame(conn, &type, &data, &len) || type != 'A')
		return;
	p = data + strlen(data) + 1;		/* target: always the router */
	if (p >= data + len)
		return;
	tty = p;
	p += strlen(p) + 1;
	for (; p < data + len && argc < MAX_ARGS; p += strlen(p) + 1)
		argv[argc++] = p;
	argv[argc] = NULL;
	if (!argc)
		return;

	if (*tty) {
		struct winsize ws = { 0 };
		int master;

		sscanf(tty, "%hux%hu", &ws.ws_row, &ws.ws_col);
		pid = forkpty(&master, NULL, NULL, &ws);
		if (!pid)
			run_child(argv);
		if (pid < 0)
			return;
		in[1] = dup(master);
		out[0] = master;
		err[0] = -1;
	} else {
		if (pipe2(in, O_CLOEXEC) || pipe2(out, O_CLOEXEC) || pipe2(err, O_CLOEXEC))
			return;
		pid = fork();
		if (pid < 0)
			return;
		if (!pid) {
			setsid();
			dup2(in[0], 0);
			dup2(out[1], 1);
			dup2(err[1], 2);
			run_child(argv);
		}
		close(in[0]);
		close(out[1]);
		close(err[1]);
	}
	pidfd = pidfd_open(pid, 0);
	pfd[0] = (struct pollfd){ .fd = conn, .events = POLLIN };
	pfd[1] = (struct pollfd){ .fd = out[0], .events = POLLIN };
	pfd[2] = (struct pollfd){ .fd = err[0], .events = POLLIN };
	pfd[3] = (struct pollfd){ .fd = pidfd, .events = POLLIN };

	for (;;) {
		int n = poll(pfd, 4, -1);

		if (n < 0 && errno == EINTR)
			continue;
		if (pfd[1].revents && !forward(out[0], conn, 'O'))
			pfd[1].fd = -1;
		if (pfd[2].revents && !forward(err[0], conn, 'E'))
			pfd[2].fd = -1;
		if (pfd[0].revents) {
			char *chunk;

			if (recv_frame(conn, &type, &chunk, &len)) {
				kill(-pid, SIGKILL);
				return;
			}
			if (type == 'I' && len && in[1] >= 0) {
				if (write_all(in[1], chunk, len)) {
					close(in[1]);
					in[1] = -1;
				}
			} else if (type == 'I' && in[1] >= 0) {
				close(in[1]);
				in[1] = -1;
			}
			free(chunk);
		}
		if (pfd[3].revents)
			break;
	}
	/*
	 * Output in the pipes is still the command's. A daemon that it left may
	 * hold the pipes open for ever, so do not wait for their end.
	 */
	for (;;) {
		if (poll(pfd + 1, 2, 50) <= 0)
			break;
		if (pfd[1].revents && !forward(out[0], conn, 'O'))
			pfd[1].fd = -1;
		if (pfd[2].revents && !forward(err[0], conn, 'E'))
			pfd[2].fd = -1;
		if (pfd[1].fd < 0 && pfd[2].fd < 0)
			break;
	}
	waitpid(pid, &status, 0);
	be = htonl(WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status));
	send_frame(conn, 'X', &be, 4);
	/* If something is unread at close, TCP resets the connection and loses data. */
	shutdown(conn, SHUT_WR);
	while (read(conn, buf, sizeof(buf)) > 0)
		;
}

static int serve(const char *netns, const char *addr, const char *port)
{
	struct sockaddr_in sin;
	int fd = inet_socket(netns, addr, port, &sin);

	signal(SIGPIPE, SIG_IGN);
	if (bind(fd, (struct sockaddr *)&sin, sizeof(sin)) || listen(fd, 64))
		die("listen");
	/* From here on the channel answers. */
	if (fork())
		return 0;
	for (;;) {
		int one = 1, conn;

		while (waitpid(-1, NULL, WNOHANG) > 0)
			;
		conn = accept4(fd, NULL, NULL, SOCK_CLOEXEC);
		if (conn < 0)
			continue;
		setsockopt(conn, IPPROTO_TCP, TCP_NODELAY, &one, sizeof(one));
		if (!fork()) {
			close(fd);
			serve_one(conn);
			_exit(0);
		}
		close(conn);
	}
}

static int call(const char *target, int argc, char **argv)
{
	char netns[64], addr[64], port[16], buf[65536], *data, type;
	struct pollfd pfd[2];
	struct sockaddr_in sin;
	int fd, i, with_stdin = 0;
	size_t used = 0;
	uint32_t len;
	FILE *conf;

	if (argc && !strcmp(argv[0], "-i")) {
		with_stdin = 1;
		argc--;
		argv++;
	}
	if (!argc) {
		fprintf(stderr, "usage: %s [-i] ARG...\n", target);
		return 2;
	}
	conf = fopen(LAB_CONF, "r");
	if (!conf || fscanf(conf, "%63s %63s %15s", netns, addr, port) != 3)
		die(LAB_CONF);
	fclose(conf);
	fd = inet_socket(netns, addr, port, &sin);
	if (connect(fd, (struct sockaddr *)&sin, sizeof(sin)))
		die("the lab does not answer");

	used += snprintf(buf, sizeof(buf), "%s", target) + 1;
	buf[used++] = 0;			/* no terminal */
	for (i = 0; i < argc; i++) {
		size_t n = strlen(argv[i]) + 1;

		if (used + n > sizeof(buf)) {
			errno = E2BIG;
			die(target);
		}
		memcpy(buf + used, argv[i], n);
		used += n;
	}
	if (send_frame(fd, 'A', buf, used))
		die("send");
	if (!with_stdin && send_frame(fd, 'I', NULL, 0))
		die("send");

	pfd[0] = (struct pollfd){ .fd = fd, .events = POLLIN };
	pfd[1] = (struct pollfd){ .fd = with_stdin ? 0 : -1, .events = POLLIN };
	for (;;) {
		if (poll(pfd, 2, -1) < 0)
			continue;
		if (pfd[1].revents) {
			ssize_t n = read(0, buf, sizeof(buf));

			if (n < 0)
				n = 0;
			send_frame(fd, 'I', buf, n);
			if (!n)
				pfd[1].fd = -1;
		}
		if (!pfd[0].revents)
			continue;
		if (recv_frame(fd, &type, &data, &len)) {
			fprintf(stderr, "%s: the lab hung up\n", target);
			return 125;
		}
		if (type == 'O')
			write_all(1, data, len);
		else if (type == 'E')
			write_all(2, data, len);
		else if (type == 'X' && len == 4) {
			memcpy(&len, data, 4);
			return ntohl(len);
		}
		free(data);
	}
}

static void pppoe(const char *dev, const char *id, const char *mac)
{
	static const int protocols[] = { PPP_IP, PPP_IPV6 };
	struct sockaddr_pppox addr = {
		.sa_family = AF_PPPOX,
		.sa_protocol = PX_PROTO_OE,
		.sa_addr.pppoe.sid = htons(atoi(id)),
	};
	int sock, channel, unit, number, i;
	unsigned char *to = addr.sa_addr.pppoe.remote;

	if (sscanf(mac, "%hhx:%hhx:%hhx:%hhx:%hhx:%hhx", &to[0], &to[1], &to[2],
		   &to[3], &to[4], &to[5]) != 6) {
		errno = EINVAL;
		die(mac);
	}
	snprintf(addr.sa_addr.pppoe.dev, sizeof(addr.sa_addr.pppoe.dev), "%s", dev);
	sock = socket(AF_PPPOX, SOCK_STREAM, PX_PROTO_OE);
	if (sock < 0 || connect(sock, (struct sockaddr *)&addr, sizeof(addr)))
		die("PPPoE");
	channel = open("/dev/ppp", O_RDWR);
	unit = open("/dev/ppp", O_RDWR);
	if (channel < 0 || unit < 0)
		die("/dev/ppp");
	if (ioctl(sock, PPPIOCGCHAN, &number) || ioctl(channel, PPPIOCATTCHAN, &number))
		die("PPP channel");
	number = -1;
	if (ioctl(unit, PPPIOCNEWUNIT, &number) || ioctl(channel, PPPIOCCONNECT, &number))
		die("PPP unit");
	for (i = 0; i < 2; i++) {
		struct npioctl np = { .protocol = protocols[i], .mode = NPMODE_PASS };

		if (ioctl(unit, PPPIOCSNPMODE, &np))
			die("PPP mode");
	}
	for (;;)
		pause();
}

int main(int argc, char **argv)
{
	const char *name = strrchr(argv[0], '/');

	name = name ? name + 1 : argv[0];
	if (strcmp(name, "labagent"))
		return call(name, argc - 1, argv + 1);
	if (argc == 5 && !strcmp(argv[1], "serve"))
		return serve(argv[2], argv[3], argv[4]);
	if (argc == 5 && !strcmp(argv[1], "pppoe"))
		pppoe(argv[2], argv[3], argv[4]);
	fprintf(stderr, "usage: labagent serve NETNS ADDR PORT | pppoe DEV ID MAC\n");
	return 2;
}
