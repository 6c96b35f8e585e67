// SPDX-License-Identifier: GPL-2.0-only

#include <linux/etherdevice.h>
#include <linux/if_vlan.h>
#include <linux/in.h>
#include <linux/ip.h>
#include <linux/ipv6.h>
#include <linux/slab.h>
#include <linux/tcp.h>
#include <linux/tc_act/tc_csum.h>
#include <net/ip.h>

#include "generate.h"
#include "standin.h"

const char *const oracle_odd_names[ORACLE_ODDITIES] = {
#define ODDITY(name) #name
#include "oddities.h"
#undef ODDITY
};

/* The kernel's flowtable gives places to more keys than it says are used. */
#define PLACE(r, id, member)						\
	((r)->dissector.offset[FLOW_DISSECTOR_KEY_##id] =		\
		offsetof(struct oracle_keys, member))

#define USE(r, id, member) ({						\
	struct oracle_rule *_r = (r);					\
	_r->dissector.used_keys |= BIT_ULL(FLOW_DISSECTOR_KEY_##id);	\
	PLACE(_r, id, member);						\
})

int oracle_rule_init(struct oracle_rule *r)
{
	memset(r, 0, sizeof(*r));
	r->rule = flow_rule_alloc(ORACLE_ACTIONS);
	return r->rule ? 0 : -ENOMEM;
}

void oracle_rule_free(struct oracle_rule *r)
{
	kfree(r->rule);
}

static void unuse(struct oracle_rule *r, enum flow_dissector_key_id id)
{
	r->dissector.used_keys &= ~BIT_ULL(id);
}

static struct flow_action_entry *add(struct oracle_rule *r,
				     enum flow_action_id id)
{
	struct flow_action *actions = &r->rule->action;
	struct flow_action_entry *act;

	if (actions->num_entries == ORACLE_ACTIONS)
		actions->num_entries--;
	act = &actions->entries[actions->num_entries++];
	memset(act, 0, sizeof(*act));
	act->id = id;
	act->hw_stats = FLOW_ACTION_HW_STATS_DONT_CARE;
	return act;
}

static void mangle(struct oracle_rule *r, enum flow_action_mangle_base base,
		   u32 offset, const void *value, u32 mask)
{
	struct flow_action_entry *act = add(r, FLOW_ACTION_MANGLE);

	act->mangle.htype = base;
	act->mangle.offset = offset;
	act->mangle.mask = mask;
	memcpy(&act->mangle.val, value, sizeof(u32));
}

/* An action of @id, any of those there are; NULL if there is none. */
static struct flow_action_entry *some(struct oracle_rule *r, u64 *state,
				      enum flow_action_id id, int base)
{
	struct flow_action_entry *found = NULL, *act;
	int i, seen = 0;

	flow_action_for_each(i, act, &r->rule->action) {
		if (act->id != id || (base >= 0 && act->mangle.htype != base))
			continue;
		if (!oracle_below(state, ++seen))
			found = act;
	}
	return found;
}

static void remove(struct oracle_rule *r, struct flow_action_entry *act)
{
	struct flow_action *actions = &r->rule->action;
	struct flow_action_entry *end;

	end = &actions->entries[--actions->num_entries];
	for (; act < end; act++)
		*act = act[1];
}

/* Moves the last action to place @at, if there are as many before it. */
static void move_last(struct oracle_rule *r, int at)
{
	struct flow_action *actions = &r->rule->action;
	int i = actions->num_entries - 1;
	struct flow_action_entry last = actions->entries[i];

	for (; i > at; i--)
		actions->entries[i] = actions->entries[i - 1];
	actions->entries[at] = last;
}

/* Inserts an action anywhere. */
static struct flow_action_entry *insert(struct oracle_rule *r, u64 *state,
					enum flow_action_id id)
{
	int at;

	add(r, id);
	at = oracle_below(state, r->rule->action.num_entries);
	move_last(r, at);
	return &r->rule->action.entries[at];
}

/* Ports as they come: mostly any, at times the ends of the range. */
static __be16 random_port(u64 *state)
{
	static const u16 ends[] = { 0, 1, 80, 1023, 1024, 0x7fff, 0x8000, 65534, 65535 };

	if (oracle_below(state, 4))
		return (__force __be16)oracle_random(state);
	return htons(ends[oracle_below(state, ARRAY_SIZE(ends))]);
}

static __be32 random_ip4(u64 *state)
{
	static const u32 ends[] = {
		0, 1, 0x7f000001, 0x0a000000, 0xc0a801ff, 0xdfffffff, 0xf0000000, 0xfffffffe,
	};
	u32 ip = oracle_random(state);

	if (!oracle_below(state, 8))
		return htonl(ends[oracle_below(state, ARRAY_SIZE(ends))]);
	if (ipv4_is_multicast(htonl(ip)) || ip == INADDR_BROADCAST)
		ip &= 0x7fffffff;
	return htonl(ip);
}

static void random_ip6(struct in6_addr *ip, u64 *state)
{
	u64 words[2] = { oracle_random(state), oracle_random(state) };

	if (!oracle_below(state, 8))
		words[oracle_below(state, 2)] = oracle_below(state, 2) ? 0 : U64_MAX;
	memcpy(ip, words, sizeof(*ip));
	if (ipv6_addr_is_multicast(ip))
		ip->s6_addr[0] = 0x20;
}

static void random_mac(u8 *mac, u64 *state)
{
	u64 value = oracle_random(state);

	memcpy(mac, &value, ETH_ALEN);
	mac[0] &= ~1;
	if (!oracle_below(state, 8))
		mac[5] = 0xff;
	if (is_zero_ether_addr(mac))
		mac[5] = 1;
}

/* In the order and the words of the kernel's nf_flow_table_offload.c. */
static void add_macs(struct oracle_rule *r, u64 *state)
{
	u8 src[ETH_ALEN], dst[ETH_ALEN];
	u16 half;
	u32 val;

	random_mac(src, state);
	random_mac(dst, state);
	memcpy(&half, src, 2);
	val = half << 16;
	mangle(r, FLOW_ACT_MANGLE_HDR_TYPE_ETH, 4, &val, ~0xffff0000);
	mangle(r, FLOW_ACT_MANGLE_HDR_TYPE_ETH, 8, src + 2, 0);
	mangle(r, FLOW_ACT_MANGLE_HDR_TYPE_ETH, 0, dst, 0);
	memcpy(&half, dst + 4, 2);
	val = half;
	mangle(r, FLOW_ACT_MANGLE_HDR_TYPE_ETH, 4, &val, ~0xffff);
}

static void add_address(struct oracle_rule *r, u64 *state, bool dst)
{
	struct in6_addr ip6;
	__be32 ip4;
	int i;

	if (!r->kind.v6) {
		ip4 = random_ip4(state);
		mangle(r, FLOW_ACT_MANGLE_HDR_TYPE_IP4,
		       dst ? offsetof(struct iphdr, daddr) : offsetof(struct iphdr, saddr),
		       &ip4, 0);
		return;
	}
	random_ip6(&ip6, state);
	for (i = 0; i < 4; i++)
		mangle(r, FLOW_ACT_MANGLE_HDR_TYPE_IP6,
		       (dst ? offsetof(struct ipv6hdr, daddr) : offsetof(struct ipv6hdr, saddr)) +
		       4 * i, &ip6.s6_addr32[i], 0);
}

static void add_port(struct oracle_rule *r, u64 *state, bool dst)
{
	u32 port = ntohs(random_port(state));
	__be32 val = htonl(dst ? port : port << 16);
	__be32 mask = ~htonl(dst ? 0xffff : 0xffff0000);

	mangle(r, r->kind.udp ? FLOW_ACT_MANGLE_HDR_TYPE_UDP : FLOW_ACT_MANGLE_HDR_TYPE_TCP,
	       0, &val, (__force u32)mask);
}

static void match_vlan(struct flow_dissector_key_vlan *key,
		       struct flow_dissector_key_vlan *mask, u64 *state)
{
	key->vlan_id = oracle_random(state) & VLAN_VID_MASK;
	key->vlan_tpid = htons(ETH_P_8021Q);
	mask->vlan_id = VLAN_VID_MASK;
	mask->vlan_tpid = htons(0xffff);
}

static void match_tunnel(struct oracle_rule *r, u64 *state)
{
	struct oracle_keys *key = &r->key, *mask = &r->mask;

	USE(r, ENC_CONTROL, enc_control);
	USE(r, ENC_KEYID, enc_keyid);
	key->enc_keyid.keyid = (__force __be32)oracle_random(state);
	mask->enc_keyid.keyid = (__force __be32)~0;
	if (oracle_below(state, 2)) {
		USE(r, ENC_IPV4_ADDRS, enc_ipv4);
		key->enc_control.addr_type = FLOW_DISSECTOR_KEY_IPV4_ADDRS;
		key->enc_ipv4.src = random_ip4(state);
		key->enc_ipv4.dst = random_ip4(state);
		memset(&mask->enc_ipv4, 0xff, sizeof(mask->enc_ipv4));
	} else {
		USE(r, ENC_IPV6_ADDRS, enc_ipv6);
		key->enc_control.addr_type = FLOW_DISSECTOR_KEY_IPV6_ADDRS;
		random_ip6(&key->enc_ipv6.src, state);
		random_ip6(&key->enc_ipv6.dst, state);
		memset(&mask->enc_ipv6, 0xff, sizeof(mask->enc_ipv6));
	}
}

/* As nf_flow_rule_match() of the kernel does it. */
static void add_matches(struct oracle_rule *r, struct oracle_standin *s,
			struct net_device *in, u64 *state)
{
	struct oracle_keys *key = &r->key, *mask = &r->mask;

	PLACE(r, IPV4_ADDRS, ipv4);
	PLACE(r, IPV6_ADDRS, ipv6);
	PLACE(r, TCP, tcp);
	PLACE(r, PORTS, ports);
	USE(r, META, meta);
	key->meta.ingress_ifindex = in->ifindex;
	memset(&mask->meta.ingress_ifindex, 0xff, sizeof(int));
	USE(r, CONTROL, control);
	mask->control.addr_type = 0xffff;
	USE(r, BASIC, basic);
	mask->basic.n_proto = htons(0xffff);
	mask->basic.ip_proto = 0xff;
	key->basic.ip_proto = r->kind.gre ? IPPROTO_GRE :
			      r->kind.udp ? IPPROTO_UDP : IPPROTO_TCP;
	if (r->kind.from_tunnel)
		match_tunnel(r, state);
	if (r->kind.v6) {
		USE(r, IPV6_ADDRS, ipv6);
		key->control.addr_type = FLOW_DISSECTOR_KEY_IPV6_ADDRS;
		key->basic.n_proto = htons(ETH_P_IPV6);
		random_ip6(&key->ipv6.src, state);
		random_ip6(&key->ipv6.dst, state);
		memset(&mask->ipv6, 0xff, sizeof(mask->ipv6));
	} else {
		USE(r, IPV4_ADDRS, ipv4);
		key->control.addr_type = FLOW_DISSECTOR_KEY_IPV4_ADDRS;
		key->basic.n_proto = htons(ETH_P_IP);
		key->ipv4.src = random_ip4(state);
		key->ipv4.dst = random_ip4(state);
		memset(&mask->ipv4, 0xff, sizeof(mask->ipv4));
	}
	if (!r->kind.gre) {
		USE(r, PORTS, ports);
		key->ports.src = random_port(state);
		key->ports.dst = random_port(state);
		mask->ports.ports = (__force __be32)~0;
	}
	if (!r->kind.gre && !r->kind.udp) {
		USE(r, TCP, tcp);
		mask->tcp.flags = cpu_to_be16(be32_to_cpu(TCP_FLAG_RST | TCP_FLAG_FIN) >> 16);
	}
	/* The keys of tags are filled in, and never said to be used. */
	if (r->kind.in_tags > 0) {
		PLACE(r, VLAN, vlan);
		match_vlan(&key->vlan, &mask->vlan, state);
	}
	if (r->kind.in_tags > 1) {
		PLACE(r, CVLAN, cvlan);
		match_vlan(&key->cvlan, &mask->cvlan, state);
	}
}

/* A tag that is not 802.1Q is asked for by an action that is left empty. */
static void add_tag(struct oracle_rule *r, u64 *state, bool service)
{
	struct flow_action_entry *act;

	if (service) {
		add(r, FLOW_ACTION_ACCEPT);
		return;
	}
	act = add(r, FLOW_ACTION_VLAN_PUSH);
	act->vlan.vid = oracle_random(state) & VLAN_VID_MASK;
	act->vlan.proto = htons(ETH_P_8021Q);
}

static void add_nat(struct oracle_rule *r, u64 *state)
{
	const struct oracle_kind *kind = &r->kind;
	int i, bit;

	for (i = 0; i < 4; i++) {
		bit = i ^ (kind->destination_first ? 2 : 0);
		if (!(kind->nat & BIT(bit)))
			continue;
		if (bit & 1)
			add_port(r, state, bit & 2);
		else
			add_address(r, state, bit & 2);
	}
	if (kind->nat && !kind->v6)
		add(r, FLOW_ACTION_CSUM)->csum_flags = TCA_CSUM_UPDATE_FLAG_IPV4HDR |
			(kind->udp ? TCA_CSUM_UPDATE_FLAG_UDP : TCA_CSUM_UPDATE_FLAG_TCP);
}

/* What of @kind the kernel's flowtable never asks for. */
static u64 odd_kind(const struct oracle_kind *kind)
{
	u64 odd = 0;

	/* Its NAT changes an address with its port; flows have two headers at most. */
	if ((kind->nat ^ kind->nat >> 1) & 5)
		odd |= BIT_ULL(ORACLE_ODD_PART_NAT);
	if (kind->v6 && kind->nat)
		odd |= BIT_ULL(kind->nat & 5 ? ORACLE_ODD_NAT66 : ORACLE_ODD_PORT66);
	if (kind->out_tags + kind->pppoe > 2)
		odd |= BIT_ULL(ORACLE_ODD_TAGS_AND_PPPOE);
	if (kind->to_switch && kind->switch_port > 5)
		odd |= BIT_ULL(ORACLE_ODD_SWITCH_PORT);
	return odd;
}

void oracle_generate_kind(struct oracle_rule *r, struct oracle_standin *s,
			  const struct oracle_kind *kind, u64 *state)
{
	int in, out, i;

	r->kind = *kind;
	r->odd = odd_kind(kind);
	memset(&r->dissector, 0, sizeof(r->dissector));
	memset(&r->key, 0, sizeof(r->key));
	memset(&r->mask, 0, sizeof(r->mask));
	r->rule->match.dissector = &r->dissector;
	r->rule->match.key = &r->key;
	r->rule->match.mask = &r->mask;
	r->rule->action.num_entries = 0;

	in = oracle_below(state, s->chip->ports);
	out = kind->hairpin ? in :
	      (in + 1 + oracle_below(state, s->chip->ports - 1)) % s->chip->ports;

	add_matches(r, s, s->port[in], state);
	if (kind->from_tunnel)
		add(r, FLOW_ACTION_TUNNEL_DECAP);
	if (kind->to_tunnel)
		add(r, FLOW_ACTION_TUNNEL_ENCAP);
	add_macs(r, state);
	for (i = 0; i < kind->in_tags; i++)
		add(r, FLOW_ACTION_VLAN_POP);
	for (i = 0; i < kind->out_tags; i++)
		add_tag(r, state, kind->service_tags & BIT(i));
	if (kind->pppoe)
		add(r, FLOW_ACTION_PPPOE_PUSH)->pppoe.sid = oracle_random(state);
	add_nat(r, state);
	add(r, FLOW_ACTION_REDIRECT)->dev = kind->to_switch ? s->user : s->port[out];
}

static void odd_mask(struct oracle_rule *r, u64 *state)
{
	u8 bit = BIT(oracle_below(state, 8));

	switch (oracle_below(state, 5)) {
	case 0:
		r->mask.meta.ingress_ifindex &= ~bit;
		break;
	case 1:
		r->mask.basic.ip_proto &= ~bit;
		break;
	case 2:
		r->mask.basic.n_proto = htons((u16)~bit);
		break;
	case 3:
		((u8 *)&r->mask.ipv6)[oracle_below(state, r->kind.v6 ? 32 : 8)] &= ~bit;
		break;
	default:
		((u8 *)&r->mask.ports)[oracle_below(state, 4)] &= ~bit;
		break;
	}
}

/* Each returns whether the rule could be made odd this way. */

/* That the keys of tags are used, as `tc flower` says it. */
static bool odd_vlan_keys(struct oracle_rule *r)
{
	if (r->kind.in_tags > 0)
		USE(r, VLAN, vlan);
	if (r->kind.in_tags > 1)
		USE(r, CVLAN, cvlan);
	return r->kind.in_tags;
}

static bool odd_vlan_match(struct oracle_rule *r, u64 *state)
{
	if (!odd_vlan_keys(r))
		return false;
	switch (oracle_below(state, 3)) {
	case 0:
		r->mask.vlan.vlan_priority = 7;
		break;
	case 1:
		r->mask.vlan.vlan_id = 0xff;
		break;
	default:
		if (r->kind.in_tags < 2)
			return false;
		unuse(r, FLOW_DISSECTOR_KEY_VLAN);
		break;
	}
	return true;
}

static bool odd_group(struct oracle_rule *r, u64 *state)
{
	struct flow_action_entry *act;
	__be32 ip4 = oracle_below(state, 3) ?
		     htonl(0xe0000000 | (oracle_random(state) & 0x0fffffff)) :
		     htonl(INADDR_BROADCAST);

	act = some(r, state, FLOW_ACTION_MANGLE, FLOW_ACT_MANGLE_HDR_TYPE_IP4);
	if (act && act->mangle.offset == offsetof(struct iphdr, daddr))
		memcpy(&act->mangle.val, &ip4, sizeof(ip4));
	else if (r->kind.v6)
		r->key.ipv6.dst.s6_addr[0] = 0xff;
	else
		r->key.ipv4.dst = ip4;
	return true;
}

static bool odd_mac(struct oracle_rule *r, u64 *state)
{
	int what = oracle_below(state, 4);
	struct flow_action_entry *act;
	int i;

	flow_action_for_each(i, act, &r->rule->action) {
		bool src;

		if (act->id != FLOW_ACTION_MANGLE ||
		    act->mangle.htype != FLOW_ACT_MANGLE_HDR_TYPE_ETH)
			continue;
		src = act->mangle.offset == 8 || act->mangle.mask == 0xffff;
		if (src != (what & 1))
			continue;
		if (what & 2)
			act->mangle.val = 0;
		else if (act->mangle.offset == 0)
			act->mangle.val |= (__force u32)htonl(0x01000000);
		else if (act->mangle.mask == 0xffff)
			act->mangle.val |= 0x10000;
	}
	return true;
}

static bool odd_eth_mangle(struct oracle_rule *r, u64 *state)
{
	struct flow_action_entry *act;

	act = some(r, state, FLOW_ACTION_MANGLE, FLOW_ACT_MANGLE_HDR_TYPE_ETH);
	if (!act)
		return false;
	switch (oracle_below(state, 3)) {
	case 0:
		act->mangle.offset = 1 + oracle_below(state, 3);
		break;
	case 1:
		act->mangle.offset = 12;
		break;
	default:
		act->mangle.mask = 0x00ff00ff;
		break;
	}
	return true;
}

static bool odd_ip_mangle(struct oracle_rule *r, u64 *state)
{
	struct flow_action_entry *act;

	act = some(r, state, FLOW_ACTION_MANGLE, FLOW_ACT_MANGLE_HDR_TYPE_IP4);
	if (!act)
		return false;
	if (oracle_below(state, 2))
		act->mangle.mask = 0xff;
	else
		act->mangle.offset = oracle_below(state, 40);
	if (!act->mangle.mask && (act->mangle.offset == offsetof(struct iphdr, saddr) ||
				  act->mangle.offset == offsetof(struct iphdr, daddr)))
		act->mangle.offset = 8;
	return true;
}

static struct flow_action_entry *some_port_mangle(struct oracle_rule *r, u64 *state)
{
	return some(r, state, FLOW_ACTION_MANGLE,
		    r->kind.udp ? FLOW_ACT_MANGLE_HDR_TYPE_UDP :
		    FLOW_ACT_MANGLE_HDR_TYPE_TCP);
}

static bool odd_port_mangle(struct oracle_rule *r, u64 *state)
{
	struct flow_action_entry *act = some_port_mangle(r, state);

	if (!act)
		return false;
	switch (oracle_below(state, 4)) {
	case 0:
		act->mangle.offset = 2;
		break;
	case 1:
		act->mangle.offset = 4;
		break;
	case 2:
		act->mangle.mask ^= 0x00010000;
		break;
	default:
		act->mangle.htype = r->kind.udp ? FLOW_ACT_MANGLE_HDR_TYPE_TCP :
				    FLOW_ACT_MANGLE_HDR_TYPE_UDP;
		break;
	}
	return true;
}

static bool odd_family_mangle(struct oracle_rule *r, u64 *state)
{
	u32 val = oracle_random(state);

	mangle(r, r->kind.v6 ? FLOW_ACT_MANGLE_HDR_TYPE_IP4 :
	       FLOW_ACT_MANGLE_HDR_TYPE_IP6, r->kind.v6 ? 12 : 8, &val, 0);
	move_last(r, 4);
	return true;
}

static bool odd_push(struct oracle_rule *r, u64 *state, enum oracle_odd odd)
{
	struct flow_action_entry *act;

	act = some(r, state, FLOW_ACTION_VLAN_PUSH, -1);
	if (!act)
		return false;
	if (odd == ORACLE_ODD_PUSH_AD)
		act->vlan.proto = htons(ETH_P_8021AD);
	else if (odd == ORACLE_ODD_PUSH_PRIO)
		act->vlan.prio = 1 + oracle_below(state, 7);
	else
		act->vlan.vid = 0x1000 | oracle_random(state);
	return true;
}

static bool odd_three_tags(struct oracle_rule *r, u64 *state)
{
	int i;

	for (i = r->kind.out_tags; i < 3; i++) {
		add(r, FLOW_ACTION_VLAN_PUSH)->vlan.proto = htons(ETH_P_8021Q);
		move_last(r, 4);
	}
	return true;
}

static bool odd_pppoe(struct oracle_rule *r, u64 *state, enum oracle_odd odd)
{
	struct flow_action_entry *act, saved;

	act = some(r, state, FLOW_ACTION_PPPOE_PUSH, -1);
	if (!act)
		return false;
	saved = *act;
	if (odd == ORACLE_ODD_TWO_PPPOE) {
		*add(r, FLOW_ACTION_PPPOE_PUSH) = saved;
		move_last(r, act - r->rule->action.entries);
		return true;
	}
	if (r->kind.out_tags != 1)
		return false;
	remove(r, act);
	*add(r, FLOW_ACTION_PPPOE_PUSH) = saved;
	move_last(r, 4);
	return true;
}

static bool odd_other_action(struct oracle_rule *r, u64 *state)
{
	static const enum flow_action_id ids[] = {
		FLOW_ACTION_DROP, FLOW_ACTION_TRAP, FLOW_ACTION_GOTO, FLOW_ACTION_MIRRED,
		FLOW_ACTION_REDIRECT_INGRESS, FLOW_ACTION_VLAN_MANGLE, FLOW_ACTION_TUNNEL_ENCAP,
		FLOW_ACTION_TUNNEL_DECAP, FLOW_ACTION_ADD, FLOW_ACTION_MARK, FLOW_ACTION_PRIORITY,
		FLOW_ACTION_QUEUE, FLOW_ACTION_POLICE, FLOW_ACTION_CT, FLOW_ACTION_CONTINUE,
		NUM_FLOW_ACTIONS, 0x7fffffff,
	};

	insert(r, state, ids[oracle_below(state, ARRAY_SIZE(ids))]);
	return true;
}

static bool odd_redirect(struct oracle_rule *r, struct oracle_standin *s, u64 *state,
			 enum oracle_odd odd)
{
	struct flow_action_entry *act = some(r, state, FLOW_ACTION_REDIRECT, -1);

	if (!act)
		return false;
	switch (odd) {
	case ORACLE_ODD_NO_REDIRECT:
		remove(r, act);
		break;
	case ORACLE_ODD_TWO_REDIRECTS:
		insert(r, state, FLOW_ACTION_REDIRECT)->dev =
			oracle_below(state, 4) ?
			s->port[oracle_below(state, s->chip->ports)] : s->foreign;
		break;
	case ORACLE_ODD_FOREIGN_EGRESS:
		act->dev = s->foreign;
		break;
	default:
		act->dev = NULL;
		break;
	}
	return true;
}

static bool odd_protocol(struct oracle_rule *r, u64 *state)
{
	static const u8 protocols[] = {
		0, IPPROTO_ICMP, IPPROTO_GRE, IPPROTO_ESP, IPPROTO_ICMPV6, IPPROTO_SCTP, 255,
	};

	r->key.basic.ip_proto = protocols[oracle_below(state, ARRAY_SIZE(protocols))];
	return true;
}

static bool odd_bridge(struct oracle_rule *r, u64 *state)
{
	struct flow_action *actions = &r->rule->action;

	r->key.control.addr_type = 0;
	if (oracle_below(state, 4)) {
		USE(r, ETH_ADDRS, eth);
		random_mac(r->key.eth.src, state);
		random_mac(r->key.eth.dst, state);
		memset(&r->mask.eth, 0xff, sizeof(r->mask.eth));
		unuse(r, FLOW_DISSECTOR_KEY_PORTS);
		unuse(r, FLOW_DISSECTOR_KEY_IPV4_ADDRS);
		unuse(r, FLOW_DISSECTOR_KEY_IPV6_ADDRS);
		unuse(r, FLOW_DISSECTOR_KEY_TCP);
		/* Only the way out is left. */
		while (actions->num_entries > 1)
			remove(r, &actions->entries[0]);
	}
	return true;
}

static bool odd_other_key(struct oracle_rule *r, u64 *state)
{
	switch (oracle_below(state, 3)) {
	case 0:
		USE(r, ICMP, icmp);
		break;
	case 1:
		USE(r, ARP, icmp);
		break;
	default:
		USE(r, CT, icmp);
		break;
	}
	return true;
}

static bool make_odd(struct oracle_rule *r, struct oracle_standin *s, u64 *state,
		     enum oracle_odd odd)
{
	struct flow_action_entry *act;

	switch (odd) {
	case ORACLE_ODD_NO_META:
		unuse(r, FLOW_DISSECTOR_KEY_META);
		return true;
	case ORACLE_ODD_NO_CONTROL:
		unuse(r, FLOW_DISSECTOR_KEY_CONTROL);
		return true;
	case ORACLE_ODD_NO_BASIC:
		unuse(r, FLOW_DISSECTOR_KEY_BASIC);
		return true;
	case ORACLE_ODD_NO_ADDRS:
		unuse(r, FLOW_DISSECTOR_KEY_IPV4_ADDRS);
		unuse(r, FLOW_DISSECTOR_KEY_IPV6_ADDRS);
		return true;
	case ORACLE_ODD_NO_PORTS:
		unuse(r, FLOW_DISSECTOR_KEY_PORTS);
		return true;
	case ORACLE_ODD_MASK:
		odd_mask(r, state);
		return true;
	case ORACLE_ODD_CONTROL_FLAGS:
		r->mask.control.flags = FLOW_DIS_IS_FRAGMENT << oracle_below(state, 3);
		return true;
	case ORACLE_ODD_ADDR_TYPE:
		r->key.control.addr_type = oracle_below(state, 2) ? FLOW_DISSECTOR_KEY_TIPC :
			oracle_random(state);
		return true;
	case ORACLE_ODD_N_PROTO:
		r->key.basic.n_proto = oracle_below(state, 2) ? htons(ETH_P_ARP) :
			htons(r->kind.v6 ? ETH_P_IP : ETH_P_IPV6);
		return true;
	case ORACLE_ODD_BRIDGE:
		return odd_bridge(r, state);
	case ORACLE_ODD_PROTOCOL:
		return odd_protocol(r, state);
	case ORACLE_ODD_TCP_FLAGS:
		USE(r, TCP, tcp);
		r->key.tcp.flags = htons(oracle_below(state, 0x1000));
		r->mask.tcp.flags = htons(0x0010 | oracle_below(state, 0x1000));
		return true;
	case ORACLE_ODD_TTL:
		USE(r, IP, ip);
		r->mask.ip.ttl = 0xff;
		return true;
	case ORACLE_ODD_TOS:
		USE(r, IP, ip);
		r->key.ip.tos = oracle_random(state);
		r->mask.ip.tos = 0xff;
		return true;
	case ORACLE_ODD_TUNNEL_KEY:
		USE(r, ENC_KEYID, enc_keyid);
		return true;
	case ORACLE_ODD_OTHER_KEY:
		return odd_other_key(r, state);
	case ORACLE_ODD_VLAN_KEYS:
		return odd_vlan_keys(r);
	case ORACLE_ODD_VLAN_MATCH:
		return odd_vlan_match(r, state);
	case ORACLE_ODD_VLAN_AD:
		r->key.vlan.vlan_tpid = htons(ETH_P_8021AD);
		return odd_vlan_keys(r);
	case ORACLE_ODD_POPS:
		insert(r, state, FLOW_ACTION_VLAN_POP);
		return true;
	case ORACLE_ODD_GROUP:
		return odd_group(r, state);
	case ORACLE_ODD_MAC:
		return odd_mac(r, state);
	case ORACLE_ODD_NO_MAC:
		act = some(r, state, FLOW_ACTION_MANGLE, FLOW_ACT_MANGLE_HDR_TYPE_ETH);
		if (act)
			remove(r, act);
		return act;
	case ORACLE_ODD_ETH_MANGLE:
		return odd_eth_mangle(r, state);
	case ORACLE_ODD_IP_MANGLE:
		return odd_ip_mangle(r, state);
	case ORACLE_ODD_PORT_MANGLE:
		return odd_port_mangle(r, state);
	case ORACLE_ODD_PORT_PAIR:
		act = some_port_mangle(r, state);
		if (act)
			act->mangle.mask = 0;
		return act;
	case ORACLE_ODD_OTHER_MANGLE:
		insert(r, state, FLOW_ACTION_MANGLE)->mangle.htype =
			oracle_below(state, 2) ? FLOW_ACT_MANGLE_UNSPEC : 17;
		return true;
	case ORACLE_ODD_FAMILY_MANGLE:
		return odd_family_mangle(r, state);
	case ORACLE_ODD_PUSH_AD:
	case ORACLE_ODD_PUSH_PRIO:
	case ORACLE_ODD_PUSH_VID:
		return odd_push(r, state, odd);
	case ORACLE_ODD_THREE_TAGS:
		return odd_three_tags(r, state);
	case ORACLE_ODD_TAG_IN_PPPOE:
	case ORACLE_ODD_TWO_PPPOE:
		return odd_pppoe(r, state, odd);
	case ORACLE_ODD_ACCEPT:
		insert(r, state, FLOW_ACTION_ACCEPT);
		return true;
	case ORACLE_ODD_OTHER_ACTION:
		return odd_other_action(r, state);
	case ORACLE_ODD_NO_REDIRECT:
	case ORACLE_ODD_TWO_REDIRECTS:
	case ORACLE_ODD_FOREIGN_EGRESS:
	case ORACLE_ODD_NULL_EGRESS:
		return odd_redirect(r, s, state, odd);
	case ORACLE_ODD_FOREIGN_INGRESS:
		r->key.meta.ingress_ifindex = oracle_below(state, 2) ? s->foreign->ifindex :
			(int)oracle_below(state, 3) - 2;
		return true;
	case ORACLE_ODD_TRUNCATED:
		r->rule->action.num_entries =
			oracle_below(state, r->rule->action.num_entries);
		return true;
	default:
		return false;
	}
}

void oracle_generate(struct oracle_rule *r, struct oracle_standin *s,
		     u64 *state)
{
	struct oracle_kind kind = {};
	u64 bits = oracle_random(state);
	enum oracle_odd odd;
	int n;

	kind.v6 = bits & 1;
	kind.udp = bits & 2;
	kind.gre = !oracle_below(state, 32);
	/* With NAT, all the ways of it; of IPv6 mostly without. */
	if (!kind.gre && (!kind.v6 || !(bits & 0x70)))
		kind.nat = (bits >> 8) & 0xf;
	/* Mostly addresses with their ports, as the kernel does it. */
	if (bits & 0x3000)
		kind.nat = (kind.nat & 5) * 3;
	kind.destination_first = kind.nat == 0xf && (bits & 0x4000);
	kind.in_tags = oracle_below(state, 4) & 3;
	if (kind.in_tags == 3)
		kind.in_tags = 0;
	kind.out_tags = oracle_below(state, 4);
	if (kind.out_tags == 3)
		kind.out_tags = 0;
	if (!oracle_below(state, 16))
		kind.service_tags = oracle_below(state, 1 << kind.out_tags);
	kind.pppoe = !oracle_below(state, 3);
	kind.from_tunnel = !oracle_below(state, 64);
	kind.to_tunnel = !kind.from_tunnel && !oracle_below(state, 64);
	kind.hairpin = !oracle_below(state, 8);
	kind.to_switch = !oracle_below(state, 4);
	/* Of seven at most, the tag can tell six. */
	kind.switch_port = oracle_below(state, 16) ? oracle_below(state, 6) : 6;
	oracle_generate_kind(r, s, &kind, state);

	n = oracle_below(state, 10);
	n = n < 5 ? 0 : n < 9 ? 1 : 2;
	while (n--) {
		odd = oracle_below(state, ORACLE_ODDITIES);
		if (make_odd(r, s, state, odd))
			r->odd |= BIT_ULL(odd);
	}
}

static void random_bytes(void *to, size_t len, u64 *state)
{
	u64 value;

	for (; len >= sizeof(value); len -= sizeof(value), to += sizeof(value)) {
		value = oracle_random(state);
		memcpy(to, &value, sizeof(value));
	}
	value = oracle_random(state);
	memcpy(to, &value, len);
}

static void scramble_keys(struct oracle_rule *r, u64 *state)
{
	PLACE(r, META, meta);
	PLACE(r, CONTROL, control);
	PLACE(r, BASIC, basic);
	PLACE(r, ETH_ADDRS, eth);
	PLACE(r, VLAN, vlan);
	PLACE(r, CVLAN, cvlan);
	PLACE(r, IPV4_ADDRS, ipv4);
	PLACE(r, IPV6_ADDRS, ipv6);
	PLACE(r, PORTS, ports);
	PLACE(r, TCP, tcp);
	PLACE(r, IP, ip);
	PLACE(r, ENC_CONTROL, enc_control);
	PLACE(r, ENC_KEYID, enc_keyid);
	PLACE(r, ENC_IPV4_ADDRS, enc_ipv4);
	PLACE(r, ENC_IPV6_ADDRS, enc_ipv6);
	/* One more or less, or any; those without a place begin where all do. */
	if (oracle_below(state, 2))
		r->dissector.used_keys ^= BIT_ULL(oracle_below(state, FLOW_DISSECTOR_KEY_MAX));
	else
		r->dissector.used_keys = oracle_random(state) &
					 (BIT_ULL(FLOW_DISSECTOR_KEY_MAX) - 1);
}

static void scramble_actions(struct oracle_rule *r, struct oracle_standin *s, u64 *state)
{
	struct flow_action *actions = &r->rule->action;
	struct net_device *devices[] = { s->port[0], s->port[s->chip->ports - 1], s->foreign, NULL };
	struct flow_action_entry *act;
	int i;

	if (oracle_below(state, 2))
		actions->num_entries = oracle_below(state, ORACLE_ACTIONS + 1);
	flow_action_for_each(i, act, actions) {
		if (oracle_below(state, 3))
			continue;
		random_bytes(act, sizeof(*act), state);
		act->id = oracle_below(state, 8) ? oracle_below(state, NUM_FLOW_ACTIONS) :
			  (u32)oracle_random(state);
		/* Whatever it is, this is where a device would be. */
		act->dev = devices[oracle_below(state, ARRAY_SIZE(devices))];
		if (act->id == FLOW_ACTION_MANGLE)
			random_bytes(&act->mangle, sizeof(act->mangle), state);
		else if (act->id == FLOW_ACTION_VLAN_PUSH)
			random_bytes(&act->vlan, sizeof(act->vlan), state);
	}
}

void oracle_scramble(struct oracle_rule *r, struct oracle_standin *s, u64 *state)
{
	u32 what = oracle_below(state, 16);

	if (what & 1)
		scramble_keys(r, state);
	if (what & 2)
		random_bytes(&r->key, sizeof(r->key), state);
	if ((what & 4) && (what & 2))
		random_bytes(&r->mask, sizeof(r->mask), state);
	if (what & 8)
		scramble_actions(r, s, state);
}
