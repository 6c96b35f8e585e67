/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * Flow rules out of a random number: those that the kernel's flowtable makes,
 * and those that it does not and that a driver has to refuse or survive.
 */
#ifndef NFT_OFFLOAD_ORACLE_GENERATE_H
#define NFT_OFFLOAD_ORACLE_GENERATE_H

#include <net/flow_offload.h>

#include "ours.h"

struct oracle_standin;

/* What is odd about a rule. */
enum oracle_odd {
#define ODDITY(name) ORACLE_ODD_##name
#include "oddities.h"
#undef ODDITY
	ORACLE_ODDITIES
};

#define ORACLE_ACTIONS	32

struct oracle_keys {
	struct flow_dissector_key_meta meta;
	struct flow_dissector_key_control control;
	struct flow_dissector_key_basic basic;
	struct flow_dissector_key_eth_addrs eth;
	struct flow_dissector_key_vlan vlan;
	struct flow_dissector_key_vlan cvlan;
	union {
		struct flow_dissector_key_ipv4_addrs ipv4;
		struct flow_dissector_key_ipv6_addrs ipv6;
	};
	struct flow_dissector_key_ports ports;
	struct flow_dissector_key_tcp tcp;
	struct flow_dissector_key_ip ip;
	struct flow_dissector_key_control enc_control;
	struct flow_dissector_key_keyid enc_keyid;
	union {
		struct flow_dissector_key_ipv4_addrs enc_ipv4;
		struct flow_dissector_key_ipv6_addrs enc_ipv6;
	};
	struct flow_dissector_key_icmp icmp;
};

/* Kinds of flows, by what the kernel can ask for. */
struct oracle_kind {
	bool v6;
	bool udp;
	/* Of neither protocol; without NAT. */
	bool gre;
	/* Source address, source port, destination address, destination port. */
	u8 nat;
	/* Changes of the destination come first, as in the reply of a flow with SNAT and DNAT. */
	bool destination_first;
	u8 in_tags;
	u8 out_tags;
	/* Which of the tags put on are 802.1ad, outermost first. */
	u8 service_tags;
	bool pppoe;
	/* Arrives, or leaves, in a lightweight tunnel. */
	bool from_tunnel;
	bool to_tunnel;
	bool hairpin;
	/* Out of port @switch_port of a switch. */
	bool to_switch;
	u8 switch_port;
};

/* What a bridged connection has beside its kind. */
struct oracle_frame {
	u8 ingress;
	/* The tag with which it arrives is taken off. */
	bool pop;
	u16 vid;
	u8 dst[ETH_ALEN];
	u8 src[ETH_ALEN];
	struct oracle_packet packet;
};

struct oracle_rule {
	struct oracle_kind kind;
	struct oracle_frame frame;
	/* Bits of enum oracle_odd, or of those of rules for bridged frames. */
	u64 odd;
	struct flow_dissector dissector;
	struct oracle_keys key;
	struct oracle_keys mask;
	struct flow_rule *rule;
};

/* splitmix64 */
static inline u64 oracle_random(u64 *state)
{
	u64 z = *state += 0x9e3779b97f4a7c15ULL;

	z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9ULL;
	z = (z ^ (z >> 27)) * 0x94d049bb133111ebULL;
	return z ^ (z >> 31);
}

static inline u32 oracle_below(u64 *state, u32 limit)
{
	return (oracle_random(state) >> 32) * limit >> 32;
}

int oracle_rule_init(struct oracle_rule *r);
void oracle_rule_free(struct oracle_rule *r);
/* Leaves it without keys and actions. */
void oracle_rule_reset(struct oracle_rule *r);

/* The kernel's flowtable gives places to more keys than it says are used. */
#define ORACLE_PLACE(r, id, member)					\
	((r)->dissector.offset[FLOW_DISSECTOR_KEY_##id] =		\
		offsetof(struct oracle_keys, member))
#define ORACLE_USE(r, id, member)					\
	oracle_use(r, FLOW_DISSECTOR_KEY_##id, offsetof(struct oracle_keys, member))

/* Both return true. */
static inline bool oracle_use(struct oracle_rule *r, enum flow_dissector_key_id id,
			      unsigned short offset)
{
	r->dissector.used_keys |= BIT_ULL(id);
	r->dissector.offset[id] = offset;
	return true;
}

static inline bool oracle_unuse(struct oracle_rule *r, enum flow_dissector_key_id id)
{
	r->dissector.used_keys &= ~BIT_ULL(id);
	return true;
}

/* Adds an action of @id, all else of which is 0. */
struct flow_action_entry *oracle_add(struct oracle_rule *r, enum flow_action_id id);
void oracle_mangle(struct oracle_rule *r, enum flow_action_mangle_base base, u32 offset,
		   const void *value, u32 mask);
void oracle_random_mac(u8 *mac, u64 *state);
void oracle_match_vlan(struct flow_dissector_key_vlan *key,
		       struct flow_dissector_key_vlan *mask, u16 vid);

/* Makes the rule that the kernel makes for a random flow of @kind. */
void oracle_generate_kind(struct oracle_rule *r, struct oracle_standin *s,
			  const struct oracle_kind *kind, u64 *state);
/* Makes a rule for a flow of a random kind, half of them with oddities. */
void oracle_generate(struct oracle_rule *r, struct oracle_standin *s,
		     u64 *state);
/* Makes a rule for bridged frames as tc's flower brings it, half of them with an oddity. */
void oracle_bridge_generate(struct oracle_rule *r, struct oracle_standin *s, u64 *state);
/* Makes the rule odd in one way; returns false if that was not possible. */
bool oracle_make_odd(struct oracle_rule *r, struct oracle_standin *s, u64 *state,
		     enum oracle_odd odd);
/*
 * Makes of a rule what no driver can make sense of, and has to survive: any keys, any
 * bytes in them, any actions. What is left is that the rule is one: its keys and actions
 * are where it says, and devices are devices.
 */
void oracle_scramble(struct oracle_rule *r, struct oracle_standin *s, u64 *state);

#endif
