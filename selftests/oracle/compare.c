// SPDX-License-Identifier: GPL-2.0-only
/*
 * The same rules to the kernel's driver and to nft_offload: both refuse, or both
 * accept and the entries are the same, but for what stands in the table below.
 */
#include <linux/sched.h>
#include <linux/slab.h>

#include "mtk_eth_soc.h"
#include "compare.h"
#include "generate.h"
#include "ours.h"
#include "report.h"
#include "standin.h"

#define ODD(name) BIT_ULL(ORACLE_ODD_##name)

/* Shown of each kind of failure. */
#define MAX_DUMPS	3

/*
 * All deliberate differences. In each of them the kernel's driver accepts; ours
 * refuses for the given reason, or, where that is NULL, makes another entry. A
 * difference is in the table only if the rule was made odd in one of the ways
 * of the row.
 */
static const struct difference {
	const char *reject;
	u64 odd;
	const char *why;
} differences[] = {
	{ "foreign-ingress", ODD(FOREIGN_INGRESS),
	  "the driver takes flows that arrive at devices it does not have" },
	{ "foreign-egress", ODD(NULL_EGRESS),
	  "the driver takes no device for its third one, if it has two" },
	{ "foreign-egress", ODD(TWO_REDIRECTS),
	  "the driver looks at the last device only" },
	{ "no-redirect", ODD(NO_REDIRECT) | ODD(TRUNCATED),
	  "the driver takes no device for its third one, if it has two" },
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
	{ NULL, ODD(PORT_PAIR),
	  "the driver loses the second port of a change of both at once" },
};

struct counts {
	unsigned int accepted;
	unsigned int refused;
	unsigned int differ[ARRAY_SIZE(differences)];
	unsigned int odd[ORACLE_ODDITIES];
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
	unsigned int bad_verdict;
	unsigned int bad_entry;
	unsigned int bad_bind;
	unsigned int bad_destroy;
	/* The one at hand: too large for the stack. */
	struct oracle_trial trial;
};

static int find_difference(const char *reject, u64 odd)
{
	int i;

	for (i = 0; i < ARRAY_SIZE(differences); i++) {
		const char *name = differences[i].reject;

		if (!(odd & differences[i].odd))
			continue;
		if (reject ? name && !strcmp(reject, name) : !name)
			return i;
	}
	return -1;
}

static void dump_action(const struct flow_action_entry *act)
{
	switch (act->id) {
	case FLOW_ACTION_MANGLE:
		oracle_print("#   mangle header %d offset %u mask %08x value %08x\n",
			     act->mangle.htype, act->mangle.offset,
			     act->mangle.mask, act->mangle.val);
		break;
	case FLOW_ACTION_VLAN_PUSH:
		oracle_print("#   push vlan %u proto %04x priority %u\n", act->vlan.vid,
			     ntohs(act->vlan.proto), act->vlan.prio);
		break;
	case FLOW_ACTION_VLAN_POP:
		oracle_print("#   pop vlan\n");
		break;
	case FLOW_ACTION_PPPOE_PUSH:
		oracle_print("#   push pppoe %u\n", act->pppoe.sid);
		break;
	case FLOW_ACTION_CSUM:
		oracle_print("#   csum %x\n", act->csum_flags);
		break;
	case FLOW_ACTION_REDIRECT:
		oracle_print("#   redirect %s\n", act->dev ? act->dev->name : "to nothing");
		break;
	default:
		oracle_print("#   action %d\n", act->id);
		break;
	}
}

/* The key of @rule, and its mask in @mask; NULL if it is not used. */
static const void *key_of(const struct flow_rule *rule, enum flow_dissector_key_id id,
			  const void **mask)
{
	const struct flow_match *match = &rule->match;

	if (!flow_rule_match_key(rule, id))
		return NULL;
	*mask = skb_flow_dissector_target(match->dissector, id, match->mask);
	return skb_flow_dissector_target(match->dissector, id, match->key);
}

static void dump_vlan(const struct flow_rule *rule, enum flow_dissector_key_id id)
{
	const struct flow_dissector_key_vlan *key, *mask;

	key = key_of(rule, id, (const void **)&mask);
	if (key)
		oracle_print(" vlan %u/%x %04x/%x priority mask %u", key->vlan_id,
			     mask->vlan_id, ntohs(key->vlan_tpid), ntohs(mask->vlan_tpid),
			     mask->vlan_priority);
}

static void dump_matches(const struct flow_rule *rule)
{
	const struct flow_dissector_key_ipv6_addrs *ipv6;
	const struct flow_dissector_key_ipv4_addrs *ipv4;
	const struct flow_dissector_key_control *control;
	const struct flow_dissector_key_basic *basic;
	const struct flow_dissector_key_ports *ports;
	const struct flow_dissector_key_meta *meta;
	const void *mask;

	oracle_print("#  ");
	meta = key_of(rule, FLOW_DISSECTOR_KEY_META, &mask);
	if (meta)
		oracle_print(" ingress %d/%x", meta->ingress_ifindex, *(const int *)mask);
	control = key_of(rule, FLOW_DISSECTOR_KEY_CONTROL, &mask);
	if (control)
		oracle_print(" addresses of type %u", control->addr_type);
	basic = key_of(rule, FLOW_DISSECTOR_KEY_BASIC, &mask);
	if (basic)
		oracle_print(" EtherType %04x protocol %u", ntohs(basic->n_proto),
			     basic->ip_proto);
	ipv4 = key_of(rule, FLOW_DISSECTOR_KEY_IPV4_ADDRS, &mask);
	if (ipv4)
		oracle_print(" %pI4 -> %pI4", &ipv4->src, &ipv4->dst);
	ipv6 = key_of(rule, FLOW_DISSECTOR_KEY_IPV6_ADDRS, &mask);
	if (ipv6)
		oracle_print(" %pI6c -> %pI6c", &ipv6->src, &ipv6->dst);
	ports = key_of(rule, FLOW_DISSECTOR_KEY_PORTS, &mask);
	if (ports)
		oracle_print(" ports %u -> %u", ntohs(ports->src), ntohs(ports->dst));
	dump_vlan(rule, FLOW_DISSECTOR_KEY_VLAN);
	dump_vlan(rule, FLOW_DISSECTOR_KEY_CVLAN);
	oracle_print("\n");
}

static void dump_words(const char *whose, const u32 *words, unsigned int n)
{
	unsigned int i;

	oracle_print("#   %s", whose);
	for (i = 0; i < n; i++)
		oracle_print(" %08x", words[i]);
	oracle_print("\n");
}

void oracle_show(const struct oracle_standin *s, const struct flow_rule *rule,
		 const struct oracle_trial *t, unsigned int number)
{
	const struct flow_action *actions = &rule->action;
	int i;

	oracle_print("# rule %u, keys %llx, odd:", number, rule->match.dissector->used_keys);
	for (i = 0; i < ORACLE_ODDITIES; i++)
		if (t->odd & BIT_ULL(i))
			oracle_print(" %s", oracle_odd_names[i]);
	oracle_print("\n");
	dump_matches(rule);
	for (i = 0; i < actions->num_entries; i++)
		dump_action(&actions->entries[i]);

	switch (t->outcome) {
	case ORACLE_BAD_VERDICT:
		oracle_print("#   %s: driver %d, nft_offload %s\n", s->chip->name, t->err,
			     *t->ours.reject ? t->ours.reject : "accepts");
		break;
	case ORACLE_BAD_BIND:
		oracle_print("#   %s: the driver did not bind what was learned in bucket %u of PPE %u\n",
			     s->chip->name, t->ours.bucket, t->ours.ppe);
		dump_words("nft_offload", t->ours.words, t->ours.count);
		break;
	case ORACLE_BAD_ENTRY:
		oracle_print("#   %s: the entries differ\n", s->chip->name);
		dump_words("driver     ", t->theirs, s->chip->entry_size / sizeof(u32));
		dump_words("nft_offload", t->ours.words, t->ours.count);
		break;
	default:
		break;
	}
}

/*
 * Has the driver's entry committed the way it is on a router: the hardware
 * learns the flow, with the key that ours has found and where ours says that
 * the hardware looks, and the driver binds it. Returns the slot, NULL if it was
 * not bound.
 */
static u32 *bind(struct oracle_standin *s, unsigned long cookie,
		 const struct oracle_entry *ours, u64 *state)
{
	struct mtk_flow_entry *entry = oracle_ref_find(s, cookie);
	u16 slot = ours->bucket + oracle_below(state, ours->ways);
	struct mtk_ppe *ppe;
	u32 *words;

	if (!entry || entry->ppe_index != ours->ppe)
		return NULL;
	ppe = oracle_ref_ppe(s, entry);
	words = oracle_ref_slot(ppe, slot);
	oracle_ref_learn(s, ppe, slot, ours->words + 1, ours->v6 ? 9 : 3, ours->udp,
			 oracle_random(state));
	oracle_ref_check(s, ppe, slot);
	return entry->hash == slot ? words : NULL;
}

static enum oracle_outcome judge(struct oracle_standin *s, unsigned long cookie,
				 struct oracle_trial *t, u32 **slot)
{
	const char *reject = *t->ours.reject ? t->ours.reject : NULL;
	unsigned int size = s->chip->entry_size;

	if (t->err && reject)
		return ORACLE_REFUSED;
	if (t->err)
		return ORACLE_BAD_VERDICT;
	if (reject) {
		t->row = find_difference(reject, t->odd);
		return t->row < 0 ? ORACLE_BAD_VERDICT : ORACLE_DIFFERENT;
	}
	*slot = bind(s, cookie, &t->ours, t->state);
	if (!*slot)
		return ORACLE_BAD_BIND;
	memcpy(t->theirs, *slot, size);
	if (t->ours.count * sizeof(u32) == size && !memcmp(t->theirs, t->ours.words, size))
		return ORACLE_EQUAL;
	t->row = find_difference(NULL, t->odd);
	return t->row < 0 ? ORACLE_BAD_ENTRY : ORACLE_DIFFERENT;
}

void oracle_try(struct oracle_standin *s, const struct oracle_ports *ports,
		struct flow_rule *rule, struct oracle_trial *t)
{
	unsigned long cookie = oracle_random(t->state);
	u32 clock = oracle_random(t->state);
	u32 *slot = NULL;

	oracle_set_clock(s, clock);
	t->err = oracle_ref_replace(s, cookie, rule);
	nft_oracle_encode(s->chip->id, rule, ports, clock, &t->ours);
	t->outcome = judge(s, cookie, t, &slot);
	t->stayed = !t->err && oracle_ref_destroy(s, cookie);
	if (slot && FIELD_GET(MTK_FOE_IB1_STATE, *slot) != MTK_FOE_STATE_INVALID)
		t->stayed = true;
}

static void count_refused(const struct oracle_kind *kind, struct counts *c)
{
	c->gre += kind->gre;
	c->service_tags += !!kind->service_tags;
	c->from_tunnel += kind->from_tunnel;
	c->to_tunnel += kind->to_tunnel;
}

static void count_equal(const struct oracle_kind *kind, struct counts *c)
{
	c->nat[kind->v6][kind->nat]++;
	c->destination_first += kind->destination_first;
	c->encap[kind->in_tags][kind->out_tags][kind->pppoe]++;
	c->dsa[kind->out_tags][kind->pppoe] += kind->to_switch;
}

static void compare_one(struct oracle_standin *s, struct oracle_ports *ports,
			struct oracle_rule *r, unsigned int number, u64 *state,
			struct counts *c)
{
	struct oracle_trial *t = &c->trial;
	unsigned int *bad = NULL;

	oracle_set_switch_port(r->kind.switch_port);
	ports->switch_port = r->kind.switch_port;
	t->odd = r->odd;
	t->state = state;
	oracle_try(s, ports, r->rule, t);
	c->bad_destroy += t->stayed;
	switch (t->outcome) {
	case ORACLE_EQUAL:
		c->accepted++;
		if (!(r->odd & ~ODD(PART_NAT)))
			count_equal(&r->kind, c);
		break;
	case ORACLE_REFUSED:
		c->refused++;
		if (!r->odd)
			count_refused(&r->kind, c);
		break;
	case ORACLE_DIFFERENT:
		c->differ[t->row]++;
		break;
	case ORACLE_BAD_VERDICT:
		bad = &c->bad_verdict;
		break;
	case ORACLE_BAD_ENTRY:
		c->accepted++;
		bad = &c->bad_entry;
		break;
	case ORACLE_BAD_BIND:
		bad = &c->bad_bind;
		break;
	}
	if (bad && (*bad)++ < MAX_DUMPS)
		oracle_show(s, r->rule, t, number);
}

/*
 * That the run had everything in it: each row of the table, each oddity, each
 * kind of NAT, and each way of tags and PPPoE that the driver does.
 */
static bool saw_all(const struct oracle_chip *chip, const struct counts *c)
{
	bool all = true;
	int i, in, out, pppoe;

	for (i = 0; i < ARRAY_SIZE(differences); i++) {
		/* With three devices of its own, the driver knows no device for none. */
		bool third = differences[i].odd & (ODD(NULL_EGRESS) | ODD(NO_REDIRECT));

		if (!c->differ[i] && !(third && chip->ports == 3)) {
			oracle_print("# %s: no rule showed: %s\n", chip->name, differences[i].why);
			all = false;
		}
	}
	for (i = 0; i < ORACLE_ODDITIES; i++) {
		if (!c->odd[i]) {
			oracle_print("# %s: no rule was %s\n", chip->name, oracle_odd_names[i]);
			all = false;
		}
	}
	for (i = 0; i < 16; i++) {
		if (!c->nat[0][i]) {
			oracle_print("# %s: no flow with NAT %x\n", chip->name, i);
			all = false;
		}
	}
	for (in = 0; in < 3; in++) {
		for (out = 0; out < 3; out++) {
			for (pppoe = 0; pppoe < 2; pppoe++) {
				if ((c->encap[in][out][pppoe] && c->dsa[out][pppoe]) ||
				    out + pppoe == 3)
					continue;
				oracle_print("# %s: no flow from %d tags to %d tags, PPPoE %d, or none of them to a switch\n",
					     chip->name, in, out, pppoe);
				all = false;
			}
		}
	}
	if (!c->nat[1][0] || !c->destination_first || !c->gre || !c->service_tags ||
	    !c->from_tunnel || !c->to_tunnel) {
		oracle_print("# %s: no IPv6, no reply of SNAT with DNAT, no GRE, no 802.1ad or no tunnel\n",
			     chip->name);
		all = false;
	}
	return all;
}

static void summary(const struct oracle_chip *chip, const struct counts *c)
{
	unsigned int sum = 0;
	int i;

	for (i = 0; i < ARRAY_SIZE(differences); i++)
		sum += c->differ[i];
	oracle_print("# %s: %u accepted by both, %u refused by both, %u deliberately different:\n",
		     chip->name, c->accepted, c->refused, sum);
	for (i = 0; i < ARRAY_SIZE(differences); i++)
		oracle_print("#   %6u %-16s %s\n", c->differ[i],
			     differences[i].reject ?: "other entry", differences[i].why);
}

static int compare_all(struct oracle_standin *s, u64 seed, unsigned int count,
		       struct counts *c)
{
	struct oracle_ports ports;
	u64 state = seed + s->chip->id;
	struct oracle_rule r;
	unsigned int i, odd;

	oracle_ports_of(s, &ports);
	if (oracle_rule_init(&r))
		return -ENOMEM;
	for (i = 0; i < count; i++) {
		oracle_generate(&r, s, &state);
		for (odd = 0; odd < ORACLE_ODDITIES; odd++)
			c->odd[odd] += !!(r.odd & BIT_ULL(odd));
		compare_one(s, &ports, &r, i, &state, c);
		cond_resched();
	}
	oracle_rule_free(&r);
	return 0;
}

void oracle_compare(const struct oracle_chip *chip, u64 seed, unsigned int count)
{
	struct oracle_standin *s;
	struct counts *c;
	int i;

	if (!nft_oracle_has_chip(chip->id)) {
		for (i = 0; i < ORACLE_POINTS; i++)
			oracle_skip("%s", chip->name);
		return;
	}
	c = kvzalloc_obj(*c);
	s = oracle_standin_new(chip);
	if (!c || !s || compare_all(s, seed, count, c)) {
		for (i = 0; i < ORACLE_POINTS; i++)
			oracle_point(false, "%s: could not be set up", chip->name);
		goto free;
	}
	summary(chip, c);
	oracle_point(!c->bad_verdict, "%s: of %u rules %u were accepted by one only against the table of differences",
		     chip->name, count, c->bad_verdict);
	oracle_point(!c->bad_entry, "%s: %u of %u entries differ", chip->name,
		     c->bad_entry, c->accepted);
	oracle_point(!c->bad_bind, "%s: %u flows were not bound by the driver where nft_offload has them",
		     chip->name, c->bad_bind);
	oracle_point(!c->bad_destroy, "%s: %u flows stayed after DESTROY", chip->name,
		     c->bad_destroy);
	oracle_point(saw_all(chip, c), "%s: the rules had everything in them", chip->name);
free:
	if (s)
		oracle_standin_free(s);
	kvfree(c);
}
