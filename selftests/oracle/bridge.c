// SPDX-License-Identifier: GPL-2.0-only
/*
 * Rules for bridged frames, as tc's flower brings them.
 *
 * Neither side has an entry for the rule itself. The oracle plays the hardware
 * that has learned a connection, and hands the driver one of its packets.
 */
#include <linux/etherdevice.h>
#include <linux/if_vlan.h>
#include <linux/unaligned.h>

#include "mtk_eth_soc.h"
#include "compare.h"
#include "generate.h"
#include "report.h"
#include "standin.h"

/* What is odd about a rule: one thing at most. */
enum bridge_odd {
#define ODDITY(name) BRIDGE_##name
#include "bridge_oddities.h"
#undef ODDITY
	BRIDGE_ODDS
};

static const char *const odd_names[BRIDGE_ODDS] = {
#define ODDITY(name) #name
#include "bridge_oddities.h"
#undef ODDITY
};

#define ODD(name) BIT_ULL(BRIDGE_##name)

static const struct oracle_difference differences[] = {
	{ "accepts", ODD(NO_META),
	  "the driver wants the device to be named, which tc knows without" },
	{ "foreign-ingress", ODD(OTHER_INDEV),
	  "the driver takes rules for another device than the one they are at" },
	{ "foreign-ingress", ODD(FOREIGN_INDEV),
	  "the driver takes flows that arrive at devices it does not have" },
	{ "mask", ODD(MAC_MASK),
	  "the driver ignores masks and would offload more, or less, than the rule says" },
	{ "mask", ODD(VID_MASK),
	  "the driver ignores masks and would offload more, or less, than the rule says" },
	{ "vlan-priority", ODD(MATCH_PRIO),
	  "the driver ignores the priority and would change it to 0" },
	{ "vlan-priority", ODD(PUSH_PRIO),
	  "the driver ignores the priority and would change it to 0" },
	{ "vlan-depth", ODD(CVLAN),
	  "the driver ignores keys it does not know" },
	{ "vlan-depth", ODD(KEPT_AND_TWO),
	  "the driver does not know which tags arrive" },
	{ "family", ODD(N_PROTO),
	  "the driver ignores the EtherType" },
	{ "protocol", ODD(IP_PROTO),
	  "the driver ignores the protocol" },
	{ "not-bridged", ODD(ADDRESSES),
	  "the driver ignores keys it does not know" },
	{ "not-bridged", ODD(TCP_FLAGS),
	  "the driver ignores keys it does not know" },
	{ "not-bridged", ODD(TTL),
	  "the driver ignores keys it does not know" },
	{ "tunnel", ODD(TUNNEL),
	  "the driver ignores keys it does not know" },
	{ "unknown-key", ODD(OTHER_KEY),
	  "the driver ignores keys it does not know" },
	{ "vlan", ODD(PUSH_VID),
	  "the driver takes VLAN IDs of 16 bits" },
	{ "vlan", ODD(POP_NOTHING),
	  "the driver does not know which tags arrive" },
	{ "pppoe", ODD(LATE_PPPOE),
	  "the driver puts a header that was asked for outside of a tag inside" },
	{ "bad-mangle", ODD(CSUM),
	  "a rule that asks for new checksums has changed something" },
	{ "no-redirect", ODD(NO_REDIRECT),
	  "the driver takes no device for its third one, if it has two", true },
	{ "two-redirects", ODD(TWO_REDIRECTS),
	  "the driver looks at the last device only" },
	{ "unknown-action", ODD(BEHIND),
	  "the driver does what stands behind the redirection" },
	{ "dsa", ODD(SWITCH_PORT),
	  "the special tag has room for six ports only" },
	/* Any rule shows these. */
	{ "ttl", U64_MAX,
	  "the driver has TTL and hop limit of bridged frames decremented; all else is equal" },
	{ "kept tag", U64_MAX,
	  "the driver loses a tag that no action takes off" },
	{ "two tags", U64_MAX,
	  "the driver has the tag inside that was put on last" },
};
static_assert(ARRAY_SIZE(differences) <= ORACLE_MAX_DIFFERENCES);

/* Of those that only TTL is different in: family, tags out, PPPoE, to a switch. */
static unsigned int seen[2][3][2][2];

static void push(struct oracle_rule *r, u16 vid, u16 proto, u8 prio)
{
	struct flow_action_entry *act = oracle_add(r, FLOW_ACTION_VLAN_PUSH);

	act->vlan.vid = vid;
	act->vlan.proto = htons(proto);
	act->vlan.prio = prio;
}

static void match_keys(struct oracle_rule *r, struct oracle_standin *s, u64 *state)
{
	struct oracle_keys *k = &r->key, *m = &r->mask;
	bool only = !oracle_below(state, 3);

	ORACLE_USE(r, META, meta);
	k->meta.ingress_ifindex = s->port[r->frame.ingress]->ifindex;
	m->meta.ingress_ifindex = -1;
	ORACLE_USE(r, CONTROL, control);
	ORACLE_USE(r, BASIC, basic);
	if (only) {
		k->basic.n_proto = htons(r->kind.v6 ? ETH_P_IPV6 : ETH_P_IP);
		m->basic.n_proto = htons(0xffff);
	}
	/* Without a protocol the driver makes the connection's that of TCP. */
	if (only && oracle_below(state, 2)) {
		k->basic.ip_proto = r->kind.udp ? IPPROTO_UDP : IPPROTO_TCP;
		m->basic.ip_proto = 0xff;
	}
	ORACLE_USE(r, ETH_ADDRS, eth);
	ether_addr_copy(k->eth.dst, r->frame.dst);
	ether_addr_copy(k->eth.src, r->frame.src);
	memset(&m->eth, 0xff, sizeof(m->eth));
	if (r->kind.in_tags) {
		ORACLE_USE(r, VLAN, vlan);
		oracle_match_vlan(&k->vlan, &m->vlan, r->frame.vid);
	}
}

static void odd_keys(struct oracle_rule *r, struct oracle_standin *s, u64 *state,
		     enum bridge_odd odd)
{
	struct oracle_keys *k = &r->key, *m = &r->mask;

	switch (odd) {
	case BRIDGE_NO_META:
		oracle_unuse(r, FLOW_DISSECTOR_KEY_META);
		break;
	case BRIDGE_OTHER_INDEV:
		k->meta.ingress_ifindex = s->port[!r->frame.ingress]->ifindex;
		break;
	case BRIDGE_FOREIGN_INDEV:
		k->meta.ingress_ifindex = s->foreign->ifindex;
		break;
	case BRIDGE_NO_MACS:
		oracle_unuse(r, FLOW_DISSECTOR_KEY_ETH_ADDRS);
		break;
	case BRIDGE_MAC_MASK:
		((u8 *)&m->eth)[oracle_below(state, 2 * ETH_ALEN)] = 0xfe;
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
		ORACLE_USE(r, CVLAN, cvlan);
		oracle_match_vlan(&k->cvlan, &m->cvlan, 7);
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
		ORACLE_USE(r, IPV4_ADDRS, ipv4);
		memset(&m->ipv4, 0xff, sizeof(m->ipv4));
		break;
	case BRIDGE_PORTS:
		ORACLE_USE(r, PORTS, ports);
		memset(&m->ports, 0xff, sizeof(m->ports));
		break;
	case BRIDGE_TCP_FLAGS:
		ORACLE_USE(r, TCP, tcp);
		m->tcp.flags = htons(7);
		break;
	case BRIDGE_TTL:
		ORACLE_USE(r, IP, ip);
		m->ip.ttl = 0xff;
		break;
	case BRIDGE_TUNNEL:
		ORACLE_USE(r, ENC_KEYID, enc_keyid);
		break;
	case BRIDGE_OTHER_KEY:
		ORACLE_USE(r, ICMP, icmp);
		break;
	default:
		break;
	}
}

static void add_actions(struct oracle_rule *r, struct oracle_standin *s, u64 *state,
			enum bridge_odd odd)
{
	u8 egress = oracle_below(state, s->chip->ports);
	int i, sessions = odd == BRIDGE_TWO_PPPOE ? 2 : r->kind.pppoe;

	if (odd == BRIDGE_MANGLE)
		oracle_add(r, FLOW_ACTION_MANGLE)->mangle.htype = FLOW_ACT_MANGLE_HDR_TYPE_ETH;
	if (odd == BRIDGE_CSUM)
		oracle_add(r, FLOW_ACTION_CSUM);
	if (odd == BRIDGE_OTHER_ACTION)
		oracle_add(r, oracle_below(state, 2) ? FLOW_ACTION_VLAN_MANGLE : FLOW_ACTION_DROP);
	if (odd == BRIDGE_LATE_PPPOE)
		push(r, 1, ETH_P_8021Q, 0);
	if (r->frame.pop || odd == BRIDGE_POP_NOTHING)
		oracle_add(r, FLOW_ACTION_VLAN_POP);
	for (i = 0; i < sessions; i++)
		oracle_add(r, FLOW_ACTION_PPPOE_PUSH)->pppoe.sid = oracle_random(state);
	for (i = 0; i < r->kind.out_tags; i++)
		push(r, oracle_below(state, 4096) | (odd == BRIDGE_PUSH_VID ? 0x1000 : 0),
		     odd == BRIDGE_PUSH_AD ? ETH_P_8021AD : ETH_P_8021Q,
		     odd == BRIDGE_PUSH_PRIO ? 3 : 0);
	if (odd == BRIDGE_NO_REDIRECT)
		return;
	oracle_add(r, FLOW_ACTION_REDIRECT)->dev = odd == BRIDGE_FOREIGN_EGRESS ? s->foreign :
		r->kind.to_switch ? s->user : s->port[egress];
	if (odd == BRIDGE_TWO_REDIRECTS)
		oracle_add(r, FLOW_ACTION_REDIRECT)->dev = s->port[!egress];
	if (odd == BRIDGE_BEHIND)
		push(r, 5, ETH_P_8021Q, 0);
}

/* What an oddity needs of the rest of the rule, so that it is the one thing that counts. */
static void shape(struct oracle_rule *r, u64 *state, enum bridge_odd odd)
{
	static const struct {
		u64 odd;
		/* What has to be, -1 for anything. */
		s8 tagged, pop, pppoe, pushes, to_switch;
	} shapes[] = {
		{ ODD(TPID_AD) | ODD(MATCH_PRIO) | ODD(VID_MASK) | ODD(CVLAN), 1, -1, -1, -1, -1 },
		{ ODD(POP_NOTHING), 0, 0, 0, -1, -1 },
		{ ODD(PUSH_AD) | ODD(PUSH_PRIO) | ODD(PUSH_VID), 0, 0, -1, 1, -1 },
		{ ODD(TOO_MANY), -1, -1, -1, 3, -1 },
		{ ODD(LATE_PPPOE), 0, 0, 1, 0, -1 },
		{ ODD(TWO_PPPOE) | ODD(BEHIND), -1, -1, -1, 0, -1 },
		{ ODD(SWITCH_PORT), -1, -1, -1, -1, 1 },
		{ ODD(KEPT_AND_TWO), 1, 0, 0, 2, -1 },
	};
	struct oracle_kind *kind = &r->kind;
	int i;

	kind->in_tags = !oracle_below(state, 3);
	r->frame.pop = kind->in_tags && oracle_below(state, 4);
	kind->out_tags = oracle_below(state, 4) ? oracle_below(state, 2) : 2;
	kind->pppoe = !oracle_below(state, 4) && (!kind->in_tags || r->frame.pop);
	kind->to_switch = !oracle_below(state, 4);
	for (i = 0; i < ARRAY_SIZE(shapes); i++) {
		if (!(shapes[i].odd & BIT_ULL(odd)))
			continue;
		kind->in_tags = shapes[i].tagged < 0 ? kind->in_tags : shapes[i].tagged;
		r->frame.pop = shapes[i].pop < 0 ? r->frame.pop : shapes[i].pop;
		kind->pppoe = shapes[i].pppoe < 0 ? kind->pppoe : shapes[i].pppoe;
		kind->out_tags = shapes[i].pushes < 0 ? kind->out_tags : shapes[i].pushes;
		kind->to_switch = shapes[i].to_switch < 0 ? kind->to_switch : shapes[i].to_switch;
	}
	/* The hardware has room for two headers, and the driver says so for three that it puts on. */
	if (odd != BRIDGE_TOO_MANY && odd != BRIDGE_KEPT_AND_TWO &&
	    kind->out_tags + kind->pppoe + (kind->in_tags && !r->frame.pop) > 2)
		kind->out_tags = 1;
}

/* A packet for the rule. */
static void make_packet(struct oracle_packet *p, const struct oracle_kind *kind, u64 *state)
{
	unsigned int addr = kind->v6 ? 8 : 12, size = kind->v6 ? 32 : 8, i;

	memset(p, 0, sizeof(*p));
	p->ethertype = kind->v6 ? ETH_P_IPV6 : ETH_P_IP;
	p->bytes[0] = kind->v6 ? 0x60 : 0x45;
	p->bytes[kind->v6 ? 6 : 9] = kind->udp ? IPPROTO_UDP : IPPROTO_TCP;
	/* Addresses and ports. */
	for (i = addr; i < addr + size + 4; i++)
		p->bytes[i] = oracle_random(state);
	/* To one host. */
	p->bytes[addr + size / 2] = 0x20;
	p->len = addr + size + 14;
}

void oracle_bridge_generate(struct oracle_rule *r, struct oracle_standin *s, u64 *state)
{
	enum bridge_odd odd = oracle_below(state, 2) ? BRIDGE_PLAIN :
			      oracle_below(state, BRIDGE_ODDS);

	oracle_rule_reset(r);
	r->odd = BIT_ULL(odd);
	r->kind.v6 = oracle_below(state, 2);
	r->kind.udp = oracle_below(state, 2);
	r->kind.switch_port = odd == BRIDGE_SWITCH_PORT ? 6 : oracle_below(state, 6);
	r->frame.ingress = oracle_below(state, 2);
	r->frame.vid = 1 + oracle_below(state, 4094);
	put_unaligned_be48(oracle_random(state) & ~(1ULL << 40), r->frame.dst);
	put_unaligned_be48(oracle_random(state) & ~(1ULL << 40), r->frame.src);
	r->frame.dst[5] |= 1;
	r->frame.src[5] |= 1;
	shape(r, state, odd);
	make_packet(&r->frame.packet, &r->kind, state);
	match_keys(r, s, state);
	odd_keys(r, s, state, odd);
	add_actions(r, s, state, odd);
}

static void encode(const struct oracle_standin *s, const struct oracle_ports *ports, u32 clock,
		   struct oracle_trial *t)
{
	const struct oracle_frame *frame = &t->made->frame;

	nft_oracle_bridge(s->chip->id, t->rule, ports, ports->pse[frame->ingress],
			  &frame->packet, clock, &t->ours);
}

/* One of the connection's frames comes to the driver. */
static void check(struct oracle_standin *s, struct mtk_ppe *ppe, u16 slot,
		  const struct oracle_rule *r)
{
	struct sk_buff *skb = s->skb;
	struct ethhdr *eth = eth_hdr(skb);

	ether_addr_copy(eth->h_dest, r->frame.dst);
	ether_addr_copy(eth->h_source, r->frame.src);
	skb->protocol = htons(r->kind.in_tags ? ETH_P_8021Q : r->frame.packet.ethertype);
	if (r->kind.in_tags)
		put_unaligned_be16(r->frame.vid, skb->data);
	oracle_ref_check(s, ppe, slot);
	skb->protocol = htons(ETH_P_IP);
	memset(eth, 0, 2 * ETH_ALEN);
}

static bool bind(struct oracle_standin *s, const struct mtk_flow_entry *entry, u16 slot,
		 const struct oracle_trial *t)
{
	const struct oracle_kind *kind = &t->made->kind;
	struct mtk_ppe *ppe = oracle_ref_ppe(s, entry);
	unsigned int key_words = kind->v6 ? 9 : 3, i;
	u32 *words = oracle_ref_slot(ppe, slot), key[9];

	for (i = 0; i < key_words; i++)
		key[i] = get_unaligned_be32(t->made->frame.packet.bytes + (kind->v6 ? 8 : 12) + 4 * i);
	/*
	 * The driver keeps what it has no word for, which would be the
	 * hardware's own, and reads the kind of the flow from it.
	 */
	oracle_ref_learn(s, ppe, slot, key, key_words, kind->udp, 0);
	if (kind->v6)
		words[0] |= s->chip->version == 1 ?
			FIELD_PREP(MTK_FOE_IB1_PACKET_TYPE, MTK_PPE_PKT_TYPE_IPV6_ROUTE_5T) :
			FIELD_PREP(MTK_FOE_IB1_PACKET_TYPE_V2, MTK_PPE_PKT_TYPE_IPV6_ROUTE_5T);
	check(s, ppe, slot, t->made);
	return FIELD_GET(MTK_FOE_IB1_STATE, words[0]) == MTK_FOE_STATE_BIND;
}

/* The tags that the frames have to leave with, outermost first. */
static unsigned int tags_of(const struct oracle_rule *r, u16 *vids)
{
	const struct flow_action_entry *act;
	unsigned int n = 0;
	int i;

	if (r->kind.in_tags && !r->frame.pop)
		vids[n++] = r->frame.vid;
	flow_action_for_each(i, act, &r->rule->action) {
		if (act->id != FLOW_ACTION_VLAN_PUSH || n == 2)
			continue;
		vids[1] = vids[0];
		vids[0] = act->vlan.vid;
		n++;
	}
	return n;
}

/*
 * Whether ours has the tags it should, and the entries are equal but for TTL and
 * for what makes up tags.
 */
static bool differ_in_tags(const struct oracle_chip *chip, const struct oracle_trial *t, u32 ttl)
{
	unsigned int words = chip->entry_size / sizeof(u32), l2 = t->made->kind.v6 ? 15 : 11, i;
	u32 layer = chip->version == 1 ? MTK_FOE_IB1_BIND_VLAN_LAYER :
					 MTK_FOE_IB1_BIND_VLAN_LAYER_V2;
	u32 tag = chip->version == 1 ? MTK_FOE_IB1_BIND_VLAN_TAG : MTK_FOE_IB1_BIND_VLAN_TAG_V2;
	const u32 *ours = t->ours.words;
	bool to_switch = t->made->kind.to_switch;
	u16 vids[2] = {};
	unsigned int n = tags_of(t->made, vids);

	if ((u16)ours[l2] != vids[0] || (u16)ours[l2 + 2] != vids[1] ||
	    (ours[0] & layer) >> __ffs(layer) != max_t(u32, n, to_switch) ||
	    !(ours[0] & tag) != to_switch)
		return false;
	for (i = 0; i < words; i++) {
		u32 may = 0;

		if (i == 0)
			may = ttl | layer | tag;
		else if (i == l2 || i == l2 + 2)
			may = 0xffff;
		/* In the place of the EtherType, that a tag follows the switch's. */
		if (i == l2 && to_switch)
			may |= BIT(8) << 16;
		if ((t->theirs[i] ^ ours[i]) & ~may)
			return false;
	}
	return true;
}

static const char *differ(const struct oracle_chip *chip, const struct oracle_trial *t)
{
	u32 ttl = chip->version == 1 ? MTK_FOE_IB1_BIND_TTL : MTK_FOE_IB1_BIND_TTL_V2;
	bool kept = t->made->kind.in_tags && !t->made->frame.pop;

	if ((t->theirs[0] ^ t->ours.words[0]) == ttl &&
	    !memcmp(t->theirs + 1, t->ours.words + 1, chip->entry_size - sizeof(u32)))
		return "ttl";
	if ((kept || t->made->kind.out_tags == 2) && differ_in_tags(chip, t, ttl))
		return kept ? "kept tag" : "two tags";
	return "entry";
}

static void note(const struct oracle_rule *r, const struct oracle_trial *t)
{
	u16 vids[2];

	if (!r)
		memset(seen, 0, sizeof(seen));
	else if (t->outcome == ORACLE_DIFFERENT && !strcmp(differences[t->row].verdict, "ttl"))
		seen[r->kind.v6][tags_of(r, vids)][r->kind.pppoe][r->kind.to_switch]++;
}

static bool saw_all(void)
{
	bool all = true;
	int i;

	for (i = 0; i < 16; i++)
		all &= oracle_seen(seen[i & 1][i >> 1 & 1][i >> 2 & 1][i >> 3],
				   "equal entry for v6 %d, tags %d, PPPoE %d, switch %d",
				   i & 1, i >> 1 & 1, i >> 2 & 1, i >> 3);
	return all;
}

const struct oracle_comparison oracle_bridged = {
	.what = "rules for bridged frames",
	.differences = differences,
	.num_differences = ARRAY_SIZE(differences),
	.odd_names = odd_names,
	.num_odds = BRIDGE_ODDS,
	.generate = oracle_bridge_generate,
	.encode = encode,
	.bind = bind,
	.differ = differ,
	.note = note,
	.saw_all = saw_all,
};
