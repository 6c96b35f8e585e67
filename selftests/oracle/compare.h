/* SPDX-License-Identifier: GPL-2.0-only */
/* One rule to the kernel's driver and to nft_offload. */
#ifndef NFT_OFFLOAD_ORACLE_COMPARE_H
#define NFT_OFFLOAD_ORACLE_COMPARE_H

#include <linux/types.h>

#include "ours.h"

struct flow_rule;
struct oracle_standin;

enum oracle_outcome {
	/* Both accept, and the entries are the same. */
	ORACLE_EQUAL,
	/* Both refuse. */
	ORACLE_REFUSED,
	/* As a row of the table of differences says. */
	ORACLE_DIFFERENT,
	/* None of these: one refuses, the entries differ, the driver did not bind it. */
	ORACLE_BAD_VERDICT,
	ORACLE_BAD_ENTRY,
	ORACLE_BAD_BIND,
};

struct oracle_trial {
	/* In: bits of enum oracle_odd, and a number for what is random. */
	u64 odd;
	u64 *state;
	/* Out. */
	enum oracle_outcome outcome;
	/* The driver's answer, and nft_offload's. */
	int err;
	struct oracle_entry ours;
	/* What the driver has bound, if it has. */
	u32 theirs[ORACLE_MAX_WORDS];
	/* The row of the table of differences. */
	int row;
	/* The driver did not take the flow back out. */
	bool stayed;
};

/* Both have the ports of @ports. Callers take turns. */
void oracle_try(struct oracle_standin *s, const struct oracle_ports *ports,
		struct flow_rule *rule, struct oracle_trial *t);

/* Prints the rule and what became of it. */
void oracle_show(const struct oracle_standin *s, const struct flow_rule *rule,
		 const struct oracle_trial *t, unsigned int number);

#endif
