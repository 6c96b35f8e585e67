// SPDX-License-Identifier: GPL-2.0-only
/* What the kernel's flowtable never asks for. */
#include <linux/etherdevice.h>
#include <linux/if_vlan.h>
#include <linux/in.h>
#include <linux/ip.h>

#include "generate.h"
#include "standin.h"

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

	oracle_add(r, id);
	at = oracle_below(state, r->rule->action.num_entries);
	move_last(r, at);
	return &r->rule->action.entries[at];
}

static bool odd_mask(struct oracle_rule *r, u64 *state)
{
	u8 *const bytes[] = {
		(u8 *)&r->mask.meta.ingress_ifindex,
		&r->mask.basic.ip_proto,
		(u8 *)&r->mask.basic.n_proto + 1,
		(u8 *)&r->mask.ipv6 + oracle_below(state, r->kind.v6 ? 32 : 8),
		(u8 *)&r->mask.ports + oracle_below(state, 4),
	};

	*bytes[oracle_below(state, ARRAY_SIZE(bytes))] &= ~BIT(oracle_below(state, 8));
	return true;
}

/* Each returns whether the rule could be made odd this way. */

/* That the keys of tags are used, as `tc flower` says it. */
static bool odd_vlan_keys(struct oracle_rule *r)
{
	if (r->kind.in_tags > 0)
		ORACLE_USE(r, VLAN, vlan);
	if (r->kind.in_tags > 1)
		ORACLE_USE(r, CVLAN, cvlan);
	return r->kind.in_tags;
}

static bool odd_vlan_match(struct oracle_rule *r, u64 *state)
{
	u32 what = oracle_below(state, 3);

	if (!odd_vlan_keys(r) || (what == 2 && r->kind.in_tags < 2))
		return false;
	if (what == 0)
		r->mask.vlan.vlan_priority = 7;
	else if (what == 1)
		r->mask.vlan.vlan_id = 0xff;
	else
		oracle_unuse(r, FLOW_DISSECTOR_KEY_VLAN);
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
	u32 what;

	act = some(r, state, FLOW_ACTION_MANGLE, FLOW_ACT_MANGLE_HDR_TYPE_ETH);
	if (!act)
		return false;
	what = oracle_below(state, 3);
	if (what == 0)
		act->mangle.offset = 1 + oracle_below(state, 3);
	else if (what == 1)
		act->mangle.offset = 12;
	else
		act->mangle.mask = 0x00ff00ff;
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
	u32 what = oracle_below(state, 4);

	if (!act)
		return false;
	if (what < 2)
		act->mangle.offset = 2 << what;
	else if (what == 2)
		act->mangle.mask ^= 0x00010000;
	else
		act->mangle.htype = r->kind.udp ? FLOW_ACT_MANGLE_HDR_TYPE_TCP :
				    FLOW_ACT_MANGLE_HDR_TYPE_UDP;
	return true;
}

static bool odd_family_mangle(struct oracle_rule *r, u64 *state)
{
	u32 val = oracle_random(state);

	oracle_mangle(r, r->kind.v6 ? FLOW_ACT_MANGLE_HDR_TYPE_IP4 :
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
		oracle_add(r, FLOW_ACTION_VLAN_PUSH)->vlan.proto = htons(ETH_P_8021Q);
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
		*oracle_add(r, FLOW_ACTION_PPPOE_PUSH) = saved;
		move_last(r, act - r->rule->action.entries);
		return true;
	}
	if (r->kind.out_tags != 1)
		return false;
	remove(r, act);
	*oracle_add(r, FLOW_ACTION_PPPOE_PUSH) = saved;
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
	if (odd == ORACLE_ODD_NO_REDIRECT)
		remove(r, act);
	else if (odd == ORACLE_ODD_TWO_REDIRECTS)
		insert(r, state, FLOW_ACTION_REDIRECT)->dev =
			oracle_below(state, 4) ?
			s->port[oracle_below(state, s->chip->ports)] : s->foreign;
	else
		act->dev = odd == ORACLE_ODD_FOREIGN_EGRESS ? s->foreign : NULL;
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
		ORACLE_USE(r, ETH_ADDRS, eth);
		oracle_random_mac(r->key.eth.src, state);
		oracle_random_mac(r->key.eth.dst, state);
		memset(&r->mask.eth, 0xff, sizeof(r->mask.eth));
		oracle_unuse(r, FLOW_DISSECTOR_KEY_PORTS);
		oracle_unuse(r, FLOW_DISSECTOR_KEY_IPV4_ADDRS);
		oracle_unuse(r, FLOW_DISSECTOR_KEY_IPV6_ADDRS);
		oracle_unuse(r, FLOW_DISSECTOR_KEY_TCP);
		/* Only the way out is left. */
		while (actions->num_entries > 1)
			remove(r, &actions->entries[0]);
	}
	return true;
}

static bool odd_other_key(struct oracle_rule *r, u64 *state)
{
	static const enum flow_dissector_key_id ids[] = {
		FLOW_DISSECTOR_KEY_ICMP, FLOW_DISSECTOR_KEY_ARP, FLOW_DISSECTOR_KEY_CT,
	};

	return oracle_use(r, ids[oracle_below(state, ARRAY_SIZE(ids))],
			  offsetof(struct oracle_keys, icmp));
}

bool oracle_make_odd(struct oracle_rule *r, struct oracle_standin *s, u64 *state,
		     enum oracle_odd odd)
{
	struct flow_action_entry *act;

	switch (odd) {
	case ORACLE_ODD_NO_META:
		return oracle_unuse(r, FLOW_DISSECTOR_KEY_META);
	case ORACLE_ODD_NO_CONTROL:
		return oracle_unuse(r, FLOW_DISSECTOR_KEY_CONTROL);
	case ORACLE_ODD_NO_BASIC:
		return oracle_unuse(r, FLOW_DISSECTOR_KEY_BASIC);
	case ORACLE_ODD_NO_ADDRS:
		oracle_unuse(r, FLOW_DISSECTOR_KEY_IPV4_ADDRS);
		return oracle_unuse(r, FLOW_DISSECTOR_KEY_IPV6_ADDRS);
	case ORACLE_ODD_NO_PORTS:
		return oracle_unuse(r, FLOW_DISSECTOR_KEY_PORTS);
	case ORACLE_ODD_MASK:
		return odd_mask(r, state);
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
		ORACLE_USE(r, TCP, tcp);
		r->key.tcp.flags = htons(oracle_below(state, 0x1000));
		r->mask.tcp.flags = htons(0x0010 | oracle_below(state, 0x1000));
		return true;
	case ORACLE_ODD_TTL:
		ORACLE_USE(r, IP, ip);
		r->mask.ip.ttl = 0xff;
		return true;
	case ORACLE_ODD_TOS:
		ORACLE_USE(r, IP, ip);
		r->key.ip.tos = oracle_random(state);
		r->mask.ip.tos = 0xff;
		return true;
	case ORACLE_ODD_TUNNEL_KEY:
		return ORACLE_USE(r, ENC_KEYID, enc_keyid);
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
	ORACLE_PLACE(r, META, meta);
	ORACLE_PLACE(r, CONTROL, control);
	ORACLE_PLACE(r, BASIC, basic);
	ORACLE_PLACE(r, ETH_ADDRS, eth);
	ORACLE_PLACE(r, VLAN, vlan);
	ORACLE_PLACE(r, CVLAN, cvlan);
	ORACLE_PLACE(r, IPV4_ADDRS, ipv4);
	ORACLE_PLACE(r, IPV6_ADDRS, ipv6);
	ORACLE_PLACE(r, PORTS, ports);
	ORACLE_PLACE(r, TCP, tcp);
	ORACLE_PLACE(r, IP, ip);
	ORACLE_PLACE(r, ENC_CONTROL, enc_control);
	ORACLE_PLACE(r, ENC_KEYID, enc_keyid);
	ORACLE_PLACE(r, ENC_IPV4_ADDRS, enc_ipv4);
	ORACLE_PLACE(r, ENC_IPV6_ADDRS, enc_ipv6);
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
