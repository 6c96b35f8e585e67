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

void oracle_rule_reset(struct oracle_rule *r)
{
	memset(&r->kind, 0, sizeof(r->kind));
	memset(&r->dissector, 0, sizeof(r->dissector));
	memset(&r->key, 0, sizeof(r->key));
	memset(&r->mask, 0, sizeof(r->mask));
	r->rule->match.dissector = &r->dissector;
	r->rule->match.key = &r->key;
	r->rule->match.mask = &r->mask;
	r->rule->action.num_entries = 0;
}

struct flow_action_entry *oracle_add(struct oracle_rule *r, enum flow_action_id id)
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

void oracle_mangle(struct oracle_rule *r, enum flow_action_mangle_base base, u32 offset,
		   const void *value, u32 mask)
{
	struct flow_action_entry *act = oracle_add(r, FLOW_ACTION_MANGLE);

	act->mangle.htype = base;
	act->mangle.offset = offset;
	act->mangle.mask = mask;
	memcpy(&act->mangle.val, value, sizeof(u32));
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

void oracle_random_mac(u8 *mac, u64 *state)
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

	oracle_random_mac(src, state);
	oracle_random_mac(dst, state);
	memcpy(&half, src, 2);
	val = half << 16;
	oracle_mangle(r, FLOW_ACT_MANGLE_HDR_TYPE_ETH, 4, &val, ~0xffff0000);
	oracle_mangle(r, FLOW_ACT_MANGLE_HDR_TYPE_ETH, 8, src + 2, 0);
	oracle_mangle(r, FLOW_ACT_MANGLE_HDR_TYPE_ETH, 0, dst, 0);
	memcpy(&half, dst + 4, 2);
	val = half;
	oracle_mangle(r, FLOW_ACT_MANGLE_HDR_TYPE_ETH, 4, &val, ~0xffff);
}

static void add_address(struct oracle_rule *r, u64 *state, bool dst)
{
	struct in6_addr ip6;
	__be32 ip4;
	int i;

	if (!r->kind.v6) {
		ip4 = random_ip4(state);
		oracle_mangle(r, FLOW_ACT_MANGLE_HDR_TYPE_IP4,
		       dst ? offsetof(struct iphdr, daddr) : offsetof(struct iphdr, saddr),
		       &ip4, 0);
		return;
	}
	random_ip6(&ip6, state);
	for (i = 0; i < 4; i++)
		oracle_mangle(r, FLOW_ACT_MANGLE_HDR_TYPE_IP6,
		       (dst ? offsetof(struct ipv6hdr, daddr) : offsetof(struct ipv6hdr, saddr)) +
		       4 * i, &ip6.s6_addr32[i], 0);
}

static void add_port(struct oracle_rule *r, u64 *state, bool dst)
{
	u32 port = ntohs(random_port(state));
	__be32 val = htonl(dst ? port : port << 16);
	__be32 mask = ~htonl(dst ? 0xffff : 0xffff0000);

	oracle_mangle(r, r->kind.udp ? FLOW_ACT_MANGLE_HDR_TYPE_UDP : FLOW_ACT_MANGLE_HDR_TYPE_TCP,
	       0, &val, (__force u32)mask);
}

void oracle_match_vlan(struct flow_dissector_key_vlan *key,
		       struct flow_dissector_key_vlan *mask, u16 vid)
{
	key->vlan_id = vid;
	key->vlan_tpid = htons(ETH_P_8021Q);
	mask->vlan_id = VLAN_VID_MASK;
	mask->vlan_tpid = htons(0xffff);
}

static void match_tunnel(struct oracle_rule *r, u64 *state)
{
	struct oracle_keys *key = &r->key, *mask = &r->mask;

	ORACLE_USE(r, ENC_CONTROL, enc_control);
	ORACLE_USE(r, ENC_KEYID, enc_keyid);
	key->enc_keyid.keyid = (__force __be32)oracle_random(state);
	mask->enc_keyid.keyid = (__force __be32)~0;
	if (oracle_below(state, 2)) {
		ORACLE_USE(r, ENC_IPV4_ADDRS, enc_ipv4);
		key->enc_control.addr_type = FLOW_DISSECTOR_KEY_IPV4_ADDRS;
		key->enc_ipv4.src = random_ip4(state);
		key->enc_ipv4.dst = random_ip4(state);
		memset(&mask->enc_ipv4, 0xff, sizeof(mask->enc_ipv4));
	} else {
		ORACLE_USE(r, ENC_IPV6_ADDRS, enc_ipv6);
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

	ORACLE_PLACE(r, IPV4_ADDRS, ipv4);
	ORACLE_PLACE(r, IPV6_ADDRS, ipv6);
	ORACLE_PLACE(r, TCP, tcp);
	ORACLE_PLACE(r, PORTS, ports);
	ORACLE_USE(r, META, meta);
	key->meta.ingress_ifindex = in->ifindex;
	memset(&mask->meta.ingress_ifindex, 0xff, sizeof(int));
	ORACLE_USE(r, CONTROL, control);
	mask->control.addr_type = 0xffff;
	ORACLE_USE(r, BASIC, basic);
	mask->basic.n_proto = htons(0xffff);
	mask->basic.ip_proto = 0xff;
	key->basic.ip_proto = r->kind.gre ? IPPROTO_GRE :
			      r->kind.udp ? IPPROTO_UDP : IPPROTO_TCP;
	if (r->kind.from_tunnel)
		match_tunnel(r, state);
	if (r->kind.v6) {
		ORACLE_USE(r, IPV6_ADDRS, ipv6);
		key->control.addr_type = FLOW_DISSECTOR_KEY_IPV6_ADDRS;
		key->basic.n_proto = htons(ETH_P_IPV6);
		random_ip6(&key->ipv6.src, state);
		random_ip6(&key->ipv6.dst, state);
		memset(&mask->ipv6, 0xff, sizeof(mask->ipv6));
	} else {
		ORACLE_USE(r, IPV4_ADDRS, ipv4);
		key->control.addr_type = FLOW_DISSECTOR_KEY_IPV4_ADDRS;
		key->basic.n_proto = htons(ETH_P_IP);
		key->ipv4.src = random_ip4(state);
		key->ipv4.dst = random_ip4(state);
		memset(&mask->ipv4, 0xff, sizeof(mask->ipv4));
	}
	if (!r->kind.gre) {
		ORACLE_USE(r, PORTS, ports);
		key->ports.src = random_port(state);
		key->ports.dst = random_port(state);
		mask->ports.ports = (__force __be32)~0;
	}
	if (!r->kind.gre && !r->kind.udp) {
		ORACLE_USE(r, TCP, tcp);
		mask->tcp.flags = cpu_to_be16(be32_to_cpu(TCP_FLAG_RST | TCP_FLAG_FIN) >> 16);
	}
	/* The keys of tags are filled in, and never said to be used. */
	if (r->kind.in_tags > 0) {
		ORACLE_PLACE(r, VLAN, vlan);
		oracle_match_vlan(&key->vlan, &mask->vlan,
				  oracle_random(state) & VLAN_VID_MASK);
	}
	if (r->kind.in_tags > 1) {
		ORACLE_PLACE(r, CVLAN, cvlan);
		oracle_match_vlan(&key->cvlan, &mask->cvlan,
				  oracle_random(state) & VLAN_VID_MASK);
	}
}

/* A tag that is not 802.1Q is asked for by an action that is left empty. */
static void add_tag(struct oracle_rule *r, u64 *state, bool service)
{
	struct flow_action_entry *act;

	if (service) {
		oracle_add(r, FLOW_ACTION_ACCEPT);
		return;
	}
	act = oracle_add(r, FLOW_ACTION_VLAN_PUSH);
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
		oracle_add(r, FLOW_ACTION_CSUM)->csum_flags = TCA_CSUM_UPDATE_FLAG_IPV4HDR |
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

	oracle_rule_reset(r);
	r->kind = *kind;
	r->odd = odd_kind(kind);

	in = oracle_below(state, s->chip->ports);
	out = kind->hairpin ? in :
	      (in + 1 + oracle_below(state, s->chip->ports - 1)) % s->chip->ports;

	add_matches(r, s, s->port[in], state);
	if (kind->from_tunnel)
		oracle_add(r, FLOW_ACTION_TUNNEL_DECAP);
	if (kind->to_tunnel)
		oracle_add(r, FLOW_ACTION_TUNNEL_ENCAP);
	add_macs(r, state);
	for (i = 0; i < kind->in_tags; i++)
		oracle_add(r, FLOW_ACTION_VLAN_POP);
	for (i = 0; i < kind->out_tags; i++)
		add_tag(r, state, kind->service_tags & BIT(i));
	if (kind->pppoe)
		oracle_add(r, FLOW_ACTION_PPPOE_PUSH)->pppoe.sid = oracle_random(state);
	add_nat(r, state);
	oracle_add(r, FLOW_ACTION_REDIRECT)->dev = kind->to_switch ? s->user : s->port[out];
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
		if (oracle_make_odd(r, s, state, odd))
			r->odd |= BIT_ULL(odd);
	}
}
