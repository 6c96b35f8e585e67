/* SPDX-License-Identifier: GPL-2.0-only */
/* The module's report: TAP, or lines of key=value. */
#ifndef NFT_OFFLOAD_ORACLE_REPORT_H
#define NFT_OFFLOAD_ORACLE_REPORT_H

#include <linux/compiler_attributes.h>
#include <linux/types.h>

__printf(1, 2) void oracle_print(const char *fmt, ...);
/* One point of the test. */
__printf(2, 3) void oracle_point(bool ok, const char *fmt, ...);
__printf(1, 2) void oracle_skip(const char *fmt, ...);
/* Prints what no rule was, if @n is 0, and returns whether it is not. */
__printf(2, 3) bool oracle_seen(unsigned int n, const char *fmt, ...);

struct oracle_chip;
struct seq_file;

/* What has been printed so far. */
void oracle_report(struct seq_file *m);

void oracle_bench(const struct oracle_chip *chip, u64 seed);

#endif
