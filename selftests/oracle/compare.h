/* SPDX-License-Identifier: GPL-2.0-only */
/* The same rules to the kernel's driver and to nft_offload. */
#ifndef NFT_OFFLOAD_ORACLE_COMPARE_H
#define NFT_OFFLOAD_ORACLE_COMPARE_H

#include <linux/types.h>

#include "ours.h"

struct flow_rule;
struct mtk_flow_entry;
struct oracle_chip;
struct oracle_rule;
struct oracle_standin;
struct oracle_trial;

/* Enough for each comparison. */
#define ORACLE_MAX_DIFFERENCES	32

/* A difference between the two that is deliberate. */
struct oracle_difference {
	/*
	 * Why nft_offload refuses, where the driver accepts; "accepts" if only
	 * the driver refuses; or how the entries differ, as differ() says.
	 */
	const char *verdict;
	/* A rule shows it only if it was made odd in one of these ways. */
	u64 odd;
	const char *why;
	/* A chip with three ports cannot show it. */
	bool two_ports;
};

/* How rules of one kind are made and compared. */
struct oracle_comparison {
	/* The rules, in the report. */
	const char *what;
	const struct oracle_difference *differences;
	int num_differences;
	const char *const *odd_names;
	int num_odds;
	/* Makes @r a random rule, half of them odd in some way. */
	void (*generate)(struct oracle_rule *r, struct oracle_standin *s, u64 *state);
	/* Makes nft_offload's entry, or its refusal. */
	void (*encode)(const struct oracle_standin *s, const struct oracle_ports *ports,
		       u32 clock, struct oracle_trial *t);
	/* Has the driver bind the flow of @entry in @slot, and says whether it has. */
	bool (*bind)(struct oracle_standin *s, const struct mtk_flow_entry *entry, u16 slot,
		     const struct oracle_trial *t);
	/* How the entries differ, NULL if they are the same. */
	const char *(*differ)(const struct oracle_chip *chip, const struct oracle_trial *t);
	/* Notes what a rule had in it. Without a rule it forgets all that was noted. */
	void (*note)(const struct oracle_rule *r, const struct oracle_trial *t);
	/* Whether the rules had everything in them; prints what was missing. */
	bool (*saw_all)(void);
};

extern const struct oracle_comparison oracle_routed, oracle_bridged;

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
	ORACLE_OUTCOMES
};

struct oracle_trial {
	/* In: bits of the oddities, and a number for what is random. */
	const struct oracle_comparison *how;
	struct flow_rule *rule;
	u64 odd;
	u64 *state;
	/* The generated rule; NULL if the kernel made it. */
	const struct oracle_rule *made;
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
		struct oracle_trial *t);

/* Prints the rule and what became of it. */
void oracle_show(const struct oracle_standin *s, const struct oracle_trial *t,
		 unsigned int number);

/* Gives @count random rules to both: five points of the report. */
void oracle_compare(const struct oracle_chip *chip, const struct oracle_comparison *how,
		    u64 seed, unsigned int count);

#define ORACLE_POINTS	5

#endif
