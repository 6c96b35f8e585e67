/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * What ours.rs offers: the parser, the encoder and the table of nft_offload,
 * compiled from the module's own sources.
 */
#ifndef NFT_OFFLOAD_ORACLE_OURS_H
#define NFT_OFFLOAD_ORACLE_OURS_H

#include <linux/types.h>

#define ORACLE_MAX_WORDS	32
#define ORACLE_MAX_PORTS	3
#define ORACLE_NAME_LEN		24

struct flow_rule;

/* The interface indices of the chip's ports, and their numbers in the engine. */
struct oracle_ports {
	int ifindex[ORACLE_MAX_PORTS];
	u8 pse[ORACLE_MAX_PORTS];
	u8 count;
};

struct oracle_entry {
	/* Why it was refused; empty if it was not. */
	char reject[ORACLE_NAME_LEN];
	/* First slot of its bucket, and the words. */
	u16 bucket;
	u16 ways;
	u32 count;
	u32 words[ORACLE_MAX_WORDS];
	bool v6;
	bool udp;
};

/* Whether the module knows the chip. */
bool nft_oracle_has_chip(u32 chip);
void nft_oracle_encode(u32 chip, const struct flow_rule *rule,
		       const struct oracle_ports *ports, u32 clock,
		       struct oracle_entry *out);

#endif
