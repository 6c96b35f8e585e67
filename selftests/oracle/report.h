/* SPDX-License-Identifier: GPL-2.0-only */
/* The module's report: TAP, or lines of key=value. */
#ifndef NFT_OFFLOAD_ORACLE_REPORT_H
#define NFT_OFFLOAD_ORACLE_REPORT_H

#include <linux/compiler_attributes.h>
#include <linux/types.h>

__printf(1, 2) void oracle_print(const char *fmt, ...);
/* The number of the next point of the test. */
unsigned int oracle_next_point(void);

#define oracle_point(ok, fmt, ...) oracle_print("%s %u " fmt "\n", (ok) ? "ok" : "not ok",	\
						oracle_next_point(), ##__VA_ARGS__)
#define oracle_skip(fmt, ...)							\
	oracle_print("ok %u " fmt " # SKIP nft_offload has no such chip\n",	\
		     oracle_next_point(), ##__VA_ARGS__)
/* Prints what no rule was, if @n is 0, and is whether it is not. */
#define oracle_seen(n, fmt, ...) ({						\
	bool _seen = n;								\
	if (!_seen)								\
		oracle_print("# no " fmt "\n", ##__VA_ARGS__);			\
	_seen;									\
})

struct oracle_chip;
struct seq_file;

/* What has been printed so far. */
void oracle_report(struct seq_file *m);

void oracle_bench(const struct oracle_chip *chip, u64 seed);

#endif
