/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * Rules for bridged frames as tc's flower brings them, and the entry that each
 * of the two drivers makes of one connection.
 */
#ifndef NFT_OFFLOAD_ORACLE_BRIDGE_H
#define NFT_OFFLOAD_ORACLE_BRIDGE_H

#include <linux/types.h>

struct flow_rule;
struct oracle_chip;
struct oracle_entry;
struct oracle_ports;
struct oracle_rule;
struct oracle_standin;

/* From the IP header on. */
struct oracle_packet {
	u16 ethertype;
	u8 len;
	u8 bytes[54];
};

/*
 * In bridge.rs: the entry of a connection of which @packet is one, and which
 * arrives at port @ingress of the engine.
 */
void nft_oracle_bridge(u32 chip, const struct flow_rule *rule,
		       const struct oracle_ports *ports, u8 ingress,
		       const struct oracle_packet *packet, u32 clock,
		       struct oracle_entry *out);

/* Room for a rule for bridged frames, NULL if there is none. */
struct oracle_rule *oracle_bridge_rule_new(void);
void oracle_bridge_rule_free(struct oracle_rule *r);
/* Makes @r, of oracle_bridge_rule_new(), a random rule, half of them odd in some way. */
void oracle_bridge_generate(struct oracle_rule *r, struct oracle_standin *s, u64 *state);

void oracle_bridge(const struct oracle_chip *chip, u64 seed, unsigned int count);

/* Points of a chip. */
#define ORACLE_BRIDGE_POINTS	4

#endif
