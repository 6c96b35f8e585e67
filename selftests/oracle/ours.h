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
	/* The port of a switch: the port it is behind, and its number there. */
	int switch_ifindex;
	u8 switch_pse;
	u8 switch_port;
};

struct oracle_entry {
	/* Why it was refused; empty if it was not. */
	char reject[ORACLE_NAME_LEN];
	/* Its PPE, the first slot of its bucket there, and the words. */
	u8 ppe;
	u16 bucket;
	u16 ways;
	u32 count;
	u32 words[ORACLE_MAX_WORDS];
	bool v6;
	bool udp;
};

/* From the IP header on. */
struct oracle_packet {
	u16 ethertype;
	u8 len;
	u8 bytes[54];
};

/* Whether the module knows the chip. */
bool nft_oracle_has_chip(u32 chip);
void nft_oracle_encode(u32 chip, const struct flow_rule *rule,
		       const struct oracle_ports *ports, u32 clock,
		       struct oracle_entry *out);

/* The entry of a bridged connection of which @packet is one, from port @ingress of the engine. */
void nft_oracle_bridge(u32 chip, const struct flow_rule *rule,
		       const struct oracle_ports *ports, u8 ingress,
		       const struct oracle_packet *packet, u32 clock,
		       struct oracle_entry *out);

/*
 * A table with its policy over plain memory, as the module's engine has it, and
 * the chip's own code over the registers at @regs; NULL if there is no memory.
 */
void *nft_oracle_table_new(u32 chip, void *regs);
void nft_oracle_table_free(void *table);

/* Each returns whether it could. REPLACE begins with what parse does. */
bool nft_oracle_parse(void *table, const struct flow_rule *rule,
		      const struct oracle_ports *ports);
bool nft_oracle_replace(void *table, u64 cookie, const struct flow_rule *rule,
			const struct oracle_ports *ports);
bool nft_oracle_destroy(void *table, u64 cookie);
bool nft_oracle_stats(void *table, u64 cookie);
/* Slots of all PPEs. */
u32 nft_oracle_slots(const void *table);
/* Bytes it takes beside what the engine needs. */
u64 nft_oracle_memory(const void *table);

#endif
