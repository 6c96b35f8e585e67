// SPDX-License-Identifier: GPL-2.0-only
/* Rules as the kernel's flowtable makes them, and odd ones. */
#include "mtk_eth_soc.h"
#include "compare.h"
#include "generate.h"
#include "report.h"
#include "standin.h"

#define ODD(name) BIT_ULL(ORACLE_ODD_##name)

static const struct oracle_difference differences[] = {
	{ "foreign-ingress", ODD(FOREIGN_INGRESS),
	  "the driver takes flows that arrive at devices it does not have" },
	{ "foreign-egress", ODD(NULL_EGRESS),
	  "the driver takes no device for its third one, if it has two", true },
	{ "foreign-egress", ODD(TWO_REDIRECTS),
	  "the driver looks at the last device only" },
	{ "no-redirect", ODD(NO_REDIRECT) | ODD(TRUNCATED),
	  "the driver takes no device for its third one, if it has two", true },
	{ "two-redirects", ODD(TWO_REDIRECTS),
	  "the driver looks at the last device only" },
	{ "no-addresses", ODD(NO_ADDRS),
	  "the driver reads addresses that the rule does not have" },
	{ "mask", ODD(MASK) | ODD(VLAN_MATCH),
	  "the driver ignores masks and would offload more than the rule says" },
	{ "family", ODD(N_PROTO),
	  "the driver ignores the EtherType" },
	{ "mixed-family", ODD(N_PROTO) | ODD(ADDR_TYPE) | ODD(FAMILY_MANGLE),
	  "the driver ignores the EtherType, and changes of IPv4 addresses in IPv6 flows" },
	{ "protocol", ODD(PROTOCOL),
	  "the driver makes TCP of all that is not UDP" },
	{ "tcp-flags", ODD(TCP_FLAGS),
	  "the driver ignores keys it does not know" },
	{ "ttl", ODD(TTL),
	  "the driver ignores keys it does not know" },
	{ "tunnel", ODD(TUNNEL_KEY),
	  "the driver ignores keys it does not know" },
	{ "unknown-key", ODD(OTHER_KEY),
	  "the driver ignores keys it does not know" },
	{ "vlan-priority", ODD(VLAN_MATCH) | ODD(PUSH_PRIO),
	  "the driver ignores the priority and would change it to 0" },
	{ "vlan-8021ad", ODD(VLAN_AD),
	  "the driver ignores tags that arrive" },
	{ "vlan", ODD(VLAN_MATCH) | ODD(POPS) | ODD(PUSH_VID) | ODD(TRUNCATED),
	  "the driver ignores tags that arrive, and takes VLAN IDs of 16 bits" },
	{ "vlan-depth", ODD(POPS),
	  "the driver ignores how many tags are taken off" },
	{ "pppoe", ODD(TAG_IN_PPPOE),
	  "the driver puts a tag that was asked for inside of PPPoE outside" },
	{ "multicast", ODD(GROUP),
	  "the driver offloads IP groups to one host" },
	{ "missing-mac", ODD(NO_MAC) | ODD(TRUNCATED) | ODD(ETH_MANGLE),
	  "the driver sends frames with half an Ethernet address" },
	{ "bad-mangle", ODD(ETH_MANGLE) | ODD(IP_MANGLE) | ODD(PORT_MANGLE),
	  "the driver ignores masks, offsets and protocol of changes" },
	{ "nat66", ODD(PORT66),
	  "the driver loses changes of ports in IPv6 flows" },
	{ "layer2", ODD(BRIDGE),
	  "bridged flows are none that a flowtable brings" },
	{ "dsa", ODD(SWITCH_PORT),
	  "the special tag has room for six ports only" },
	{ "other entry", ODD(PORT_PAIR),
	  "the driver loses the second port of a change of both at once" },
};
static_assert(ARRAY_SIZE(differences) <= ORACLE_MAX_DIFFERENCES);

static const char *const odd_names[ORACLE_ODDITIES] = {
#define ODDITY(name) #name
#include "oddities.h"
#undef ODDITY
};

/* What is in the rules. */
static struct {
	/* Accepted and equal, by what is done. */
	unsigned int nat[2][16];
	unsigned int destination_first;
	unsigned int encap[3][3][2];
	unsigned int dsa[3][2];
	/* Not odd and refused by both. */
	unsigned int gre;
	unsigned int service_tags;
	unsigned int from_tunnel;
	unsigned int to_tunnel;
} seen;

static void note(const struct oracle_rule *r, const struct oracle_trial *t)
{
	const struct oracle_kind *kind = r ? &r->kind : NULL;

	if (!kind) {
		memset(&seen, 0, sizeof(seen));
	} else if (t->outcome == ORACLE_EQUAL && !(r->odd & ~ODD(PART_NAT))) {
		seen.nat[kind->v6][kind->nat]++;
		seen.destination_first += kind->destination_first;
		seen.encap[kind->in_tags][kind->out_tags][kind->pppoe]++;
		seen.dsa[kind->out_tags][kind->pppoe] += kind->to_switch;
	} else if (t->outcome == ORACLE_REFUSED && !r->odd) {
		seen.gre += kind->gre;
		seen.service_tags += !!kind->service_tags;
		seen.from_tunnel += kind->from_tunnel;
		seen.to_tunnel += kind->to_tunnel;
	}
}

/* Each kind of NAT, and each way of tags and PPPoE that the driver does. */
static bool saw_all(void)
{
	int i, in, out, pppoe;
	bool all = true;

	for (i = 0; i < 16; i++)
		all &= oracle_seen(seen.nat[0][i], "flow with NAT %x", i);
	for (i = 0; i < 18; i++) {
		in = i / 6, out = i / 2 % 3, pppoe = i % 2;
		if (out + pppoe == 3)
			continue;
		all &= oracle_seen(seen.encap[in][out][pppoe],
				   "flow from %d tags to %d tags, PPPoE %d", in, out, pppoe);
		all &= oracle_seen(seen.dsa[out][pppoe],
				   "flow to a switch with %d tags, PPPoE %d", out, pppoe);
	}
	all &= oracle_seen(seen.nat[1][0], "flow over IPv6");
	all &= oracle_seen(seen.destination_first, "reply of SNAT with DNAT");
	all &= oracle_seen(seen.gre, "GRE");
	all &= oracle_seen(seen.service_tags, "802.1ad tag");
	all &= oracle_seen(seen.from_tunnel, "flow from a tunnel");
	return oracle_seen(seen.to_tunnel, "flow to a tunnel") && all;
}

static void encode(const struct oracle_standin *s, const struct oracle_ports *ports, u32 clock,
		   struct oracle_trial *t)
{
	nft_oracle_encode(s->chip->id, t->rule, ports, clock, &t->ours);
}

/* The hardware learns the flow with the key that ours has found. */
static bool bind(struct oracle_standin *s, const struct mtk_flow_entry *entry, u16 slot,
		 const struct oracle_trial *t)
{
	struct mtk_ppe *ppe = oracle_ref_ppe(s, entry);

	oracle_ref_learn(s, ppe, slot, t->ours.words + 1, t->ours.v6 ? 9 : 3, t->ours.udp,
			 oracle_random(t->state));
	oracle_ref_check(s, ppe, slot);
	return entry->hash == slot;
}

static const char *differ(const struct oracle_chip *chip, const struct oracle_trial *t)
{
	return memcmp(t->theirs, t->ours.words, chip->entry_size) ? "other entry" : NULL;
}

const struct oracle_comparison oracle_routed = {
	.what = "routed rules",
	.differences = differences,
	.num_differences = ARRAY_SIZE(differences),
	.odd_names = odd_names,
	.num_odds = ORACLE_ODDITIES,
	.generate = oracle_generate,
	.encode = encode,
	.bind = bind,
	.differ = differ,
	.note = note,
	.saw_all = saw_all,
};
