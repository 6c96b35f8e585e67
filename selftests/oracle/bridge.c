// SPDX-License-Identifier: GPL-2.0-only
/*
 * Rules for bridged frames, as tc's flower brings them, to the kernel's driver
 * and to nft_offload: both refuse, or both accept and make the same entry of a
 * connection, but for what stands in the table below.
 *
 * Neither has an entry for the rule itself. The oracle plays the hardware that
 * has learned a connection, and hands the driver one of its packets.
 */
#include <linux/etherdevice.h>
#include <linux/if_vlan.h>
#include <linux/ip.h>
#include <linux/ipv6.h>
#include <linux/sched.h>
#include <linux/slab.h>
#include <linux/unaligned.h>

#include "mtk_eth_soc.h"
#include "bridge.h"
#include "generate.h"
#include "ours.h"
#include "report.h"
#include "standin.h"

#define MAX_DUMPS	3

/* What is odd about a rule. */
enum bridge_odd {
#define ODDITY(name) BRIDGE_##name
#include "bridge_oddities.h"
#undef ODDITY
	BRIDGE_ODDS
};

static const char *const odd_names[] = {
#define ODDITY(name) #name
#include "bridge_oddities.h"
#undef ODDITY
};

/*
 * All deliberate differences of what is accepted. The driver accepts and ours
 * refuses for the reason, or, where that is NULL, the other way round.
 */
static const struct difference {
	const char *reject;
	enum bridge_odd odd;
	const char *why;
} differences[] = {
	{ NULL, BRIDGE_NO_META,
	  "the driver wants the device to be named, which tc knows without" },
	{ "foreign-ingress", BRIDGE_OTHER_INDEV,
	  "the driver takes rules for another device than the one they are at" },
	{ "foreign-ingress", BRIDGE_FOREIGN_INDEV,
	  "the driver takes flows that arrive at devices it does not have" },
	{ "mask", BRIDGE_MAC_MASK,
	  "the driver ignores masks and would offload more, or less, than the rule says" },
	{ "mask", BRIDGE_VID_MASK,
	  "the driver ignores masks and would offload more, or less, than the rule says" },
	{ "vlan-priority", BRIDGE_MATCH_PRIO,
	  "the driver ignores the priority and would change it to 0" },
	{ "vlan-priority", BRIDGE_PUSH_PRIO,
	  "the driver ignores the priority and would change it to 0" },
	{ "vlan-depth", BRIDGE_CVLAN,
	  "the driver ignores keys it does not know" },
	{ "vlan-depth", BRIDGE_KEPT_AND_TWO,
	  "the driver does not know which tags arrive" },
	{ "family", BRIDGE_N_PROTO,
	  "the driver ignores the EtherType" },
	{ "protocol", BRIDGE_IP_PROTO,
	  "the driver ignores the protocol" },
	{ "not-bridged", BRIDGE_ADDRESSES,
	  "the driver ignores keys it does not know" },
	{ "not-bridged", BRIDGE_TCP_FLAGS,
	  "the driver ignores keys it does not know" },
	{ "not-bridged", BRIDGE_TTL,
	  "the driver ignores keys it does not know" },
	{ "tunnel", BRIDGE_TUNNEL,
	  "the driver ignores keys it does not know" },
	{ "unknown-key", BRIDGE_OTHER_KEY,
	  "the driver ignores keys it does not know" },
	{ "vlan", BRIDGE_PUSH_VID,
	  "the driver takes VLAN IDs of 16 bits" },
	{ "vlan", BRIDGE_POP_NOTHING,
	  "the driver does not know which tags arrive" },
	{ "pppoe", BRIDGE_LATE_PPPOE,
	  "the driver puts a header that was asked for outside of a tag inside" },
	{ "bad-mangle", BRIDGE_CSUM,
	  "a rule that asks for new checksums has changed something" },
	{ "no-redirect", BRIDGE_NO_REDIRECT,
	  "the driver takes no device for its third one, if it has two" },
	{ "two-redirects", BRIDGE_TWO_REDIRECTS,
	  "the driver looks at the last device only" },
	{ "unknown-action", BRIDGE_BEHIND,
	  "the driver does what stands behind the redirection" },
	{ "dsa", BRIDGE_SWITCH_PORT,
	  "the special tag has room for six ports only" },
};

/* Those of the entries. */
enum {
	ENTRY_TTL,
	ENTRY_KEPT_TAG,
	ENTRY_TWO_TAGS,
	ENTRY_DIFFERENCES
};

static const char *const entry_differences[] = {
	[ENTRY_TTL] = "the driver has TTL and hop limit of bridged frames decremented; all else is equal",
	[ENTRY_KEPT_TAG] = "the driver loses a tag that no action takes off",
	[ENTRY_TWO_TAGS] = "the driver has the tag inside that was put on last",
};

struct counts {
	unsigned int accepted;
	unsigned int refused;
	unsigned int differ[ARRAY_SIZE(differences)];
	unsigned int entries[ENTRY_DIFFERENCES];
	unsigned int odd[BRIDGE_ODDS];
	/* Of those that only TTL is different in: family, tags out, PPPoE, to a switch. */
	unsigned int kinds[2][3][2][2];
	unsigned int bad_verdict;
	unsigned int bad_entry;
	unsigned int bad_destroy;
};

/* A rule, and how it came to be. */
struct bridge_rule {
	struct oracle_rule r;
	enum bridge_odd odd;
	u8 ingress;
	bool v6;
	bool udp;
	/* Tags in the order in which they are put on, and those that arrive. */
	u16 in_vid;
	bool tagged;
	bool pop;
	u8 pushes;
	bool pppoe;
	bool to_switch;
	u8 dst[ETH_ALEN];
	u8 src[ETH_ALEN];
};

#define USE(b, id, field) do {						\
	(b)->r.dissector.used_keys |= BIT_ULL(FLOW_DISSECTOR_KEY_##id);	\
	(b)->r.dissector.offset[FLOW_DISSECTOR_KEY_##id] =		\
		offsetof(struct oracle_keys, field);			\
} while (0)

static struct flow_action_entry *act(struct bridge_rule *b, enum flow_action_id id)
{
	struct flow_action *action = &b->r.rule->action;
	struct flow_action_entry *entry = &action->entries[action->num_entries++];

	memset(entry, 0, sizeof(*entry));
	entry->id = id;
	return entry;
}

static void push(struct bridge_rule *b, u16 vid, u16 proto)
{
	struct flow_action_entry *entry = act(b, FLOW_ACTION_VLAN_PUSH);

	entry->vlan.vid = vid;
	entry->vlan.proto = htons(proto);
}

static void keys(struct bridge_rule *b, struct oracle_standin *s, u64 *state)
{
	struct oracle_keys *k = &b->r.key, *m = &b->r.mask;
	bool only = !oracle_below(state, 3);

	memset(k, 0, sizeof(*k));
	memset(m, 0, sizeof(*m));
	memset(&b->r.dissector, 0, sizeof(b->r.dissector));
	b->r.rule->match.dissector = &b->r.dissector;
	b->r.rule->match.key = k;
	b->r.rule->match.mask = m;
	if (b->odd != BRIDGE_NO_META) {
		USE(b, META, meta);
		k->meta.ingress_ifindex = s->port[b->ingress]->ifindex;
		m->meta.ingress_ifindex = -1;
	}
	USE(b, CONTROL, control);
	USE(b, BASIC, basic);
	if (only) {
		k->basic.n_proto = htons(b->v6 ? ETH_P_IPV6 : ETH_P_IP);
		m->basic.n_proto = htons(0xffff);
	}
	/* Without a protocol the driver makes the connection's that of TCP. */
	if (only && oracle_below(state, 2)) {
		k->basic.ip_proto = b->udp ? IPPROTO_UDP : IPPROTO_TCP;
		m->basic.ip_proto = 0xff;
	}
	USE(b, ETH_ADDRS, eth);
	ether_addr_copy(k->eth.dst, b->dst);
	ether_addr_copy(k->eth.src, b->src);
	eth_broadcast_addr(m->eth.dst);
	eth_broadcast_addr(m->eth.src);
	if (b->tagged) {
		USE(b, VLAN, vlan);
		k->vlan.vlan_id = b->in_vid;
		k->vlan.vlan_tpid = htons(ETH_P_8021Q);
		m->vlan.vlan_id = VLAN_VID_MASK;
		m->vlan.vlan_tpid = htons(0xffff);
	}
}

static void odd_keys(struct bridge_rule *b, struct oracle_standin *s, u64 *state)
{
	struct oracle_keys *k = &b->r.key, *m = &b->r.mask;

	switch (b->odd) {
	case BRIDGE_OTHER_INDEV:
		k->meta.ingress_ifindex = s->port[!b->ingress]->ifindex;
		break;
	case BRIDGE_FOREIGN_INDEV:
		k->meta.ingress_ifindex = s->foreign->ifindex;
		break;
	case BRIDGE_NO_MACS:
		b->r.dissector.used_keys &= ~BIT_ULL(FLOW_DISSECTOR_KEY_ETH_ADDRS);
		break;
	case BRIDGE_MAC_MASK:
		(oracle_below(state, 2) ? m->eth.dst : m->eth.src)[oracle_below(state, ETH_ALEN)] = 0xfe;
		break;
	case BRIDGE_GROUP_DST:
		k->eth.dst[0] |= 1;
		break;
	case BRIDGE_GROUP_SRC:
		k->eth.src[0] |= 1;
		break;
	case BRIDGE_ZERO_SRC:
		eth_zero_addr(k->eth.src);
		break;
	case BRIDGE_ZERO_DST:
		eth_zero_addr(k->eth.dst);
		break;
	case BRIDGE_CONTROL_FLAGS:
		m->control.flags = FLOW_DIS_IS_FRAGMENT;
		break;
	case BRIDGE_TPID_AD:
		k->vlan.vlan_tpid = htons(ETH_P_8021AD);
		break;
	case BRIDGE_MATCH_PRIO:
		m->vlan.vlan_priority = 7;
		break;
	case BRIDGE_VID_MASK:
		m->vlan.vlan_id = 0x0ff0;
		break;
	case BRIDGE_CVLAN:
		USE(b, CVLAN, cvlan);
		k->cvlan.vlan_id = 7;
		k->cvlan.vlan_tpid = htons(ETH_P_8021Q);
		m->cvlan.vlan_id = VLAN_VID_MASK;
		m->cvlan.vlan_tpid = htons(0xffff);
		break;
	case BRIDGE_N_PROTO:
		k->basic.n_proto = htons(ETH_P_ARP);
		m->basic.n_proto = htons(0xffff);
		break;
	case BRIDGE_IP_PROTO:
		k->basic.ip_proto = IPPROTO_ICMP;
		m->basic.ip_proto = 0xff;
		break;
	case BRIDGE_ADDRESSES:
		USE(b, IPV4_ADDRS, ipv4);
		memset(&m->ipv4, 0xff, sizeof(m->ipv4));
		break;
	case BRIDGE_PORTS:
		USE(b, PORTS, ports);
		memset(&m->ports, 0xff, sizeof(m->ports));
		break;
	case BRIDGE_TCP_FLAGS:
		USE(b, TCP, tcp);
		m->tcp.flags = htons(7);
		break;
	case BRIDGE_TTL:
		USE(b, IP, ip);
		m->ip.ttl = 0xff;
		break;
	case BRIDGE_TUNNEL:
		USE(b, ENC_KEYID, enc_keyid);
		break;
	case BRIDGE_OTHER_KEY:
		USE(b, ICMP, icmp);
		break;
	default:
		break;
	}
}

static void actions(struct bridge_rule *b, struct oracle_standin *s, u64 *state)
{
	u8 egress = oracle_below(state, s->chip->ports);
	int i;

	b->r.rule->action.num_entries = 0;
	if (b->odd == BRIDGE_MANGLE)
		act(b, FLOW_ACTION_MANGLE)->mangle.htype = FLOW_ACT_MANGLE_HDR_TYPE_ETH;
	if (b->odd == BRIDGE_CSUM)
		act(b, FLOW_ACTION_CSUM);
	if (b->odd == BRIDGE_OTHER_ACTION)
		act(b, oracle_below(state, 2) ? FLOW_ACTION_VLAN_MANGLE : FLOW_ACTION_DROP);
	if (b->odd == BRIDGE_LATE_PPPOE)
		push(b, 1, ETH_P_8021Q);
	if (b->pop || b->odd == BRIDGE_POP_NOTHING)
		act(b, FLOW_ACTION_VLAN_POP);
	if (b->pppoe || b->odd == BRIDGE_TWO_PPPOE)
		act(b, FLOW_ACTION_PPPOE_PUSH)->pppoe.sid = oracle_random(state);
	if (b->odd == BRIDGE_TWO_PPPOE)
		act(b, FLOW_ACTION_PPPOE_PUSH)->pppoe.sid = oracle_random(state);
	for (i = 0; i < b->pushes; i++) {
		push(b, oracle_below(state, 4096),
		     b->odd == BRIDGE_PUSH_AD ? ETH_P_8021AD : ETH_P_8021Q);
		if (b->odd == BRIDGE_PUSH_PRIO)
			b->r.rule->action.entries[b->r.rule->action.num_entries - 1].vlan.prio = 3;
		if (b->odd == BRIDGE_PUSH_VID)
			b->r.rule->action.entries[b->r.rule->action.num_entries - 1].vlan.vid |= 0x1000;
	}
	if (b->odd == BRIDGE_NO_REDIRECT)
		return;
	act(b, FLOW_ACTION_REDIRECT)->dev = b->odd == BRIDGE_FOREIGN_EGRESS ? s->foreign :
		b->to_switch ? s->user : s->port[egress];
	if (b->odd == BRIDGE_TWO_REDIRECTS)
		act(b, FLOW_ACTION_REDIRECT)->dev = s->port[!egress];
	if (b->odd == BRIDGE_BEHIND)
		push(b, 5, ETH_P_8021Q);
}

/* What an oddity needs of the rest of the rule, so that it is the one thing that counts. */
static void shape(struct bridge_rule *b, u64 *state)
{
	b->v6 = oracle_below(state, 2);
	b->udp = oracle_below(state, 2);
	b->tagged = !oracle_below(state, 3);
	b->in_vid = 1 + oracle_below(state, 4094);
	b->pop = b->tagged && oracle_below(state, 4);
	b->pushes = oracle_below(state, 4) ? oracle_below(state, 2) : 2;
	b->pppoe = !oracle_below(state, 4) && (!b->tagged || b->pop);
	b->to_switch = !oracle_below(state, 4);
	switch (b->odd) {
	case BRIDGE_TPID_AD:
	case BRIDGE_MATCH_PRIO:
	case BRIDGE_VID_MASK:
	case BRIDGE_CVLAN:
		b->tagged = true;
		break;
	case BRIDGE_POP_NOTHING:
		b->tagged = false;
		b->pop = false;
		b->pppoe = false;
		break;
	case BRIDGE_PUSH_AD:
	case BRIDGE_PUSH_PRIO:
	case BRIDGE_PUSH_VID:
		b->pushes = 1;
		b->tagged = false;
		b->pop = false;
		break;
	case BRIDGE_TOO_MANY:
		b->pushes = 3;
		break;
	case BRIDGE_LATE_PPPOE:
		b->pushes = 0;
		b->tagged = false;
		b->pop = false;
		b->pppoe = true;
		break;
	case BRIDGE_TWO_PPPOE:
		b->pushes = 0;
		break;
	case BRIDGE_BEHIND:
		b->pushes = 0;
		break;
	case BRIDGE_SWITCH_PORT:
		b->to_switch = true;
		break;
	case BRIDGE_KEPT_AND_TWO:
		b->tagged = true;
		b->pop = false;
		b->pppoe = false;
		b->pushes = 2;
		return;
	default:
		break;
	}
	/* The hardware has room for two headers, and the driver says so for three that it puts on. */
	if (b->odd != BRIDGE_TOO_MANY &&
	    b->pushes + b->pppoe + (b->tagged && !b->pop) > 2)
		b->pushes = 1;
}

static void generate(struct bridge_rule *b, struct oracle_standin *s, u64 *state)
{
	b->odd = oracle_below(state, 2) ? BRIDGE_PLAIN : oracle_below(state, BRIDGE_ODDS);
	b->ingress = oracle_below(state, 2);
	put_unaligned_be48(oracle_random(state) & ~(1ULL << 40), b->dst);
	put_unaligned_be48(oracle_random(state) & ~(1ULL << 40), b->src);
	b->dst[5] |= 1;
	b->src[5] |= 1;
	shape(b, state);
	keys(b, s, state);
	odd_keys(b, s, state);
	actions(b, s, state);
}

struct oracle_rule *oracle_bridge_rule_new(void)
{
	struct bridge_rule *b = kzalloc_obj(*b);

	if (!b || oracle_rule_init(&b->r)) {
		kfree(b);
		return NULL;
	}
	return &b->r;
}

void oracle_bridge_rule_free(struct oracle_rule *r)
{
	if (!r)
		return;
	oracle_rule_free(r);
	kfree(container_of(r, struct bridge_rule, r));
}

void oracle_bridge_generate(struct oracle_rule *r, struct oracle_standin *s, u64 *state)
{
	generate(container_of(r, struct bridge_rule, r), s, state);
}

/* A packet for the rule, and the words by which the hardware has learned it. */
static unsigned int make_packet(const struct bridge_rule *b, struct oracle_packet *p,
				u32 *key, u64 *state)
{
	unsigned int addr = b->v6 ? 8 : 12, size = b->v6 ? 32 : 8, n, i;
	u8 *ports;

	memset(p, 0, sizeof(*p));
	p->ethertype = b->v6 ? ETH_P_IPV6 : ETH_P_IP;
	p->bytes[0] = b->v6 ? 0x60 : 0x45;
	p->bytes[b->v6 ? 6 : 9] = b->udp ? IPPROTO_UDP : IPPROTO_TCP;
	for (i = 0; i < size; i++)
		p->bytes[addr + i] = oracle_random(state);
	/* To one host. */
	p->bytes[addr + size / 2] = 0x20;
	ports = p->bytes + addr + size;
	put_unaligned_be32(oracle_random(state), ports);
	p->len = addr + size + 14;

	n = size / 4;
	for (i = 0; i < n; i++)
		key[i] = get_unaligned_be32(p->bytes + addr + 4 * i);
	key[n] = get_unaligned_be32(ports);
	return n + 1;
}

/* One of the connection's frames comes to the driver. */
static void check(struct oracle_standin *s, struct mtk_ppe *ppe, u16 slot,
		  const struct bridge_rule *b)
{
	struct sk_buff *skb = s->skb;
	struct ethhdr *eth = eth_hdr(skb);

	ether_addr_copy(eth->h_dest, b->dst);
	ether_addr_copy(eth->h_source, b->src);
	skb->protocol = htons(b->tagged ? ETH_P_8021Q : b->v6 ? ETH_P_IPV6 : ETH_P_IP);
	if (b->tagged)
		put_unaligned_be16(b->in_vid, skb->data);
	oracle_ref_check(s, ppe, slot);
	skb->protocol = htons(ETH_P_IP);
	memset(eth, 0, 2 * ETH_ALEN);
}

static u32 ttl_bit(const struct oracle_chip *chip)
{
	return chip->version == 1 ? MTK_FOE_IB1_BIND_TTL : MTK_FOE_IB1_BIND_TTL_V2;
}

static u32 *bind(struct oracle_standin *s, unsigned long cookie, const struct bridge_rule *b,
		 const struct oracle_entry *ours, const u32 *key, unsigned int key_words, u64 *state)
{
	struct mtk_flow_entry *entry = oracle_ref_find(s, cookie);
	u16 slot = ours->bucket + oracle_below(state, ours->ways);
	struct mtk_ppe *ppe;
	u32 *words;

	if (!entry || entry->ppe_index != ours->ppe)
		return NULL;
	ppe = oracle_ref_ppe(s, entry);
	words = oracle_ref_slot(ppe, slot);
	/*
	 * The driver keeps what it has no word for, which would be the
	 * hardware's own, and reads the kind of the flow from it.
	 */
	oracle_ref_learn(s, ppe, slot, key, key_words, b->udp, 0);
	if (b->v6)
		words[0] |= s->chip->version == 1 ?
			FIELD_PREP(MTK_FOE_IB1_PACKET_TYPE, MTK_PPE_PKT_TYPE_IPV6_ROUTE_5T) :
			FIELD_PREP(MTK_FOE_IB1_PACKET_TYPE_V2, MTK_PPE_PKT_TYPE_IPV6_ROUTE_5T);
	check(s, ppe, slot, b);
	return FIELD_GET(MTK_FOE_IB1_STATE, words[0]) == MTK_FOE_STATE_BIND ? words : NULL;
}

static void dump(const char *whose, const u32 *words, unsigned int n)
{
	unsigned int i;

	oracle_print("#   %s", whose);
	for (i = 0; i < n; i++)
		oracle_print(" %08x", words[i]);
	oracle_print("\n");
}

static void describe(const struct bridge_rule *b)
{
	oracle_print("# %s: IPv%c %s tag %d pop %d push %u PPPoE %d switch %d\n", odd_names[b->odd],
		     b->v6 ? '6' : '4', b->udp ? "udp" : "tcp", b->tagged ? b->in_vid : -1,
		     b->pop, b->pushes, b->pppoe, b->to_switch);
}

/* The tags that the frames have to leave with, outermost first. */
static unsigned int tags_of(const struct bridge_rule *b, u16 *vids)
{
	const struct flow_action_entry *entry;
	unsigned int n = 0;
	int i;

	if (b->tagged && !b->pop)
		vids[n++] = b->in_vid;
	flow_action_for_each(i, entry, &b->r.rule->action) {
		if (entry->id != FLOW_ACTION_VLAN_PUSH || n == 2)
			continue;
		vids[1] = vids[0];
		vids[0] = entry->vlan.vid;
		n++;
	}
	return n;
}

/*
 * Whether ours has the tags it should, and the entries are equal but for TTL and
 * for what makes up tags.
 */
static bool differ_in_tags(const struct oracle_chip *chip, const struct bridge_rule *b,
			   const u32 *theirs, const u32 *ours)
{
	unsigned int words = chip->entry_size / sizeof(u32), l2 = b->v6 ? 15 : 11, i;
	u32 layer = chip->version == 1 ? MTK_FOE_IB1_BIND_VLAN_LAYER :
					 MTK_FOE_IB1_BIND_VLAN_LAYER_V2;
	u32 tag = chip->version == 1 ? MTK_FOE_IB1_BIND_VLAN_TAG : MTK_FOE_IB1_BIND_VLAN_TAG_V2;
	u16 vids[2] = {};
	unsigned int n = tags_of(b, vids);

	if ((u16)ours[l2] != vids[0] || (u16)ours[l2 + 2] != vids[1] ||
	    (ours[0] & layer) >> __ffs(layer) != max_t(u32, n, b->to_switch) ||
	    !(ours[0] & tag) != b->to_switch)
		return false;
	for (i = 0; i < words; i++) {
		u32 may = 0;

		if (i == 0)
			may = ttl_bit(chip) | layer | tag;
		else if (i == l2 || i == l2 + 2)
			may = 0xffff;
		/* In the place of the EtherType, that a tag follows the switch's. */
		if (i == l2 && b->to_switch)
			may |= BIT(8) << 16;
		if ((theirs[i] ^ ours[i]) & ~may)
			return false;
	}
	return true;
}

static void compare_entries(const struct oracle_chip *chip, const struct bridge_rule *b,
			    const u32 *theirs, const struct oracle_entry *ours, struct counts *c)
{
	unsigned int words = chip->entry_size / sizeof(u32);
	u16 vids[2];

	if (ours->count == words && (theirs[0] ^ ours->words[0]) == ttl_bit(chip) &&
	    !memcmp(theirs + 1, ours->words + 1, (words - 1) * sizeof(u32))) {
		c->entries[ENTRY_TTL]++;
		c->kinds[b->v6][tags_of(b, vids)][b->pppoe][b->to_switch]++;
		return;
	}
	if (((b->tagged && !b->pop) || b->pushes == 2) && ours->count == words &&
	    differ_in_tags(chip, b, theirs, ours->words)) {
		c->entries[b->tagged && !b->pop ? ENTRY_KEPT_TAG : ENTRY_TWO_TAGS]++;
		return;
	}
	if (c->bad_entry++ < MAX_DUMPS) {
		describe(b);
		dump("driver     ", theirs, words);
		dump("nft_offload", ours->words, ours->count);
	}
}

static bool known(const struct bridge_rule *b, const char *reject, struct counts *c)
{
	int i;

	for (i = 0; i < ARRAY_SIZE(differences); i++) {
		const char *name = differences[i].reject;

		if (b->odd == differences[i].odd &&
		    (reject ? name && !strcmp(reject, name) : !name)) {
			c->differ[i]++;
			return true;
		}
	}
	return false;
}

static void compare_one(struct oracle_standin *s, struct oracle_ports *ports,
			struct bridge_rule *b, unsigned long cookie, u64 *state, struct counts *c)
{
	u32 clock = oracle_random(state), key[9], *theirs;
	unsigned int key_words, port = oracle_below(state, 6);
	struct oracle_packet packet;
	struct oracle_entry ours;
	const char *reject;
	int err;

	generate(b, s, state);
	if (b->odd == BRIDGE_SWITCH_PORT)
		port = 6;
	key_words = make_packet(b, &packet, key, state);
	c->odd[b->odd]++;
	oracle_set_clock(s, clock);
	oracle_set_switch_port(port);
	ports->switch_port = port;
	err = oracle_ref_replace(s, cookie, b->r.rule);
	nft_oracle_bridge(s->chip->id, b->r.rule, ports, ports->pse[b->ingress], &packet,
			  clock, &ours);
	reject = *ours.reject ? ours.reject : NULL;

	if (err && reject) {
		c->refused++;
		return;
	}
	if (err || reject) {
		if (!known(b, reject, c) && c->bad_verdict++ < MAX_DUMPS) {
			describe(b);
			oracle_print("#   %s: driver %d, nft_offload %s\n", s->chip->name,
				     err, reject ?: "accepts");
		}
	} else {
		c->accepted++;
		theirs = bind(s, cookie, b, &ours, key, key_words, state);
		if (theirs) {
			compare_entries(s->chip, b, theirs, &ours, c);
		} else if (c->bad_entry++ < MAX_DUMPS) {
			describe(b);
			oracle_print("#   %s: the driver did not bind it\n", s->chip->name);
		}
		if (oracle_ref_destroy(s, cookie) ||
		    (theirs && FIELD_GET(MTK_FOE_IB1_STATE, theirs[0]) != MTK_FOE_STATE_INVALID))
			c->bad_destroy++;
		return;
	}
	if (!err && oracle_ref_destroy(s, cookie))
		c->bad_destroy++;
}

static bool saw_all(const struct oracle_chip *chip, const struct counts *c)
{
	int v6, tags, pppoe, to_switch, i;
	bool all = true;

	for (i = 0; i < ARRAY_SIZE(differences); i++) {
		/* With three devices of its own, the driver knows no device for none. */
		if (!c->differ[i] && !(differences[i].odd == BRIDGE_NO_REDIRECT && chip->ports == 3)) {
			oracle_print("# %s: no rule showed: %s (%s)\n", chip->name,
				     differences[i].why, odd_names[differences[i].odd]);
			all = false;
		}
	}
	for (i = 0; i < ENTRY_DIFFERENCES; i++) {
		if (!c->entries[i]) {
			oracle_print("# %s: no entry showed: %s\n", chip->name, entry_differences[i]);
			all = false;
		}
	}
	for (i = 0; i < BRIDGE_ODDS; i++) {
		if (!c->odd[i]) {
			oracle_print("# %s: no rule was %s\n", chip->name, odd_names[i]);
			all = false;
		}
	}
	for (v6 = 0; v6 < 2; v6++) {
		for (tags = 0; tags < 2; tags++) {
			for (pppoe = 0; pppoe < 2; pppoe++) {
				for (to_switch = 0; to_switch < 2; to_switch++) {
					if (c->kinds[v6][tags][pppoe][to_switch])
						continue;
					oracle_print("# %s: no equal entry for v6 %d, tags %d, PPPoE %d, switch %d\n",
						     chip->name, v6, tags, pppoe, to_switch);
					all = false;
				}
			}
		}
	}
	return all;
}

static int compare_all(struct oracle_standin *s, u64 seed, unsigned int count, struct counts *c)
{
	struct oracle_rule *r = oracle_bridge_rule_new();
	u64 state = seed + s->chip->id;
	struct oracle_ports ports;
	unsigned int i;

	if (!r)
		return -ENOMEM;
	oracle_ports_of(s, &ports);
	for (i = 0; i < count; i++) {
		compare_one(s, &ports, container_of(r, struct bridge_rule, r), i + 1, &state, c);
		cond_resched();
	}
	oracle_bridge_rule_free(r);
	return 0;
}

static void summary(const struct oracle_chip *chip, const struct counts *c)
{
	int i;

	oracle_print("# %s, bridged: %u accepted by both, %u refused by both, deliberately different:\n",
		     chip->name, c->accepted, c->refused);
	for (i = 0; i < ARRAY_SIZE(differences); i++)
		oracle_print("#   %6u %-16s %s\n", c->differ[i],
			     differences[i].reject ?: "accepted", differences[i].why);
	for (i = 0; i < ENTRY_DIFFERENCES; i++)
		oracle_print("#   %6u %-16s %s\n", c->entries[i], "other entry", entry_differences[i]);
}

void oracle_bridge(const struct oracle_chip *chip, u64 seed, unsigned int count)
{
	struct oracle_standin *s;
	struct counts *c;
	int i;

	if (!nft_oracle_has_chip(chip->id)) {
		for (i = 0; i < ORACLE_BRIDGE_POINTS; i++)
			oracle_skip("%s", chip->name);
		return;
	}
	c = kvzalloc_obj(*c);
	s = oracle_standin_new(chip);
	if (!c || !s || compare_all(s, seed, count, c)) {
		for (i = 0; i < ORACLE_BRIDGE_POINTS; i++)
			oracle_point(false, "%s: could not be set up", chip->name);
		goto free;
	}
	summary(chip, c);
	oracle_point(!c->bad_verdict, "%s: of %u rules for bridged frames %u were accepted by one only against the table",
		     chip->name, count, c->bad_verdict);
	oracle_point(!c->bad_entry, "%s: %u of %u entries of bridged connections differ", chip->name,
		     c->bad_entry, c->accepted);
	oracle_point(!c->bad_destroy, "%s: %u entries of bridged connections stayed after DESTROY",
		     chip->name, c->bad_destroy);
	oracle_point(saw_all(chip, c), "%s: the rules for bridged frames had everything in them",
		     chip->name);
free:
	if (s)
		oracle_standin_free(s);
	kvfree(c);
}
