// SPDX-License-Identifier: GPL-2.0-only
/*
 * The same rules to the kernel's driver and to nft_offload: both refuse, or both
 * accept and the entries are the same, but for the comparison's table of
 * differences.
 */
#include <linux/sched.h>
#include <linux/slab.h>

#include "mtk_eth_soc.h"
#include "compare.h"
#include "generate.h"
#include "report.h"
#include "standin.h"

/* Shown of each kind of failure. */
#define MAX_DUMPS	3

struct counts {
	unsigned int outcome[ORACLE_OUTCOMES];
	unsigned int stayed;
	unsigned int differ[ORACLE_MAX_DIFFERENCES];
	unsigned int odd[BITS_PER_TYPE(u64)];
	/* The one at hand: too large for the stack. */
	struct oracle_trial trial;
};

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

/* The bytes of all keys that the rule uses, and of their masks. */
static void dump_matches(const struct flow_match *match)
{
#define KEY(id, type) { FLOW_DISSECTOR_KEY_##id, #id, sizeof(struct flow_dissector_key_##type) }
	static const struct {
		enum flow_dissector_key_id id;
		const char *name;
		int size;
	} keys[] = {
		KEY(META, meta), KEY(CONTROL, control), KEY(BASIC, basic),
		KEY(ETH_ADDRS, eth_addrs), KEY(VLAN, vlan), KEY(CVLAN, vlan),
		KEY(IPV4_ADDRS, ipv4_addrs), KEY(IPV6_ADDRS, ipv6_addrs), KEY(PORTS, ports),
		KEY(TCP, tcp), KEY(IP, ip), KEY(ENC_CONTROL, control), KEY(ENC_KEYID, keyid),
		KEY(ENC_IPV4_ADDRS, ipv4_addrs), KEY(ENC_IPV6_ADDRS, ipv6_addrs),
	};
#undef KEY
	int i;

	for (i = 0; i < ARRAY_SIZE(keys); i++) {
		if (!dissector_uses_key(match->dissector, keys[i].id))
			continue;
		oracle_print("#   %s %*phN mask %*phN\n", keys[i].name, keys[i].size,
			     skb_flow_dissector_target(match->dissector, keys[i].id, match->key),
			     keys[i].size,
			     skb_flow_dissector_target(match->dissector, keys[i].id, match->mask));
	}
}

static void dump_words(const char *whose, const u32 *words, unsigned int n)
{
	unsigned int i;

	oracle_print("#   %s", whose);
	for (i = 0; i < n; i++)
		oracle_print(" %08x", words[i]);
	oracle_print("\n");
}

void oracle_show(const struct oracle_standin *s, const struct oracle_trial *t,
		 unsigned int number)
{
	static const char *const wrong[ORACLE_OUTCOMES] = {
		[ORACLE_BAD_VERDICT] = "one accepts",
		[ORACLE_BAD_ENTRY] = "the entries differ",
		[ORACLE_BAD_BIND] = "the driver did not bind what was learned",
	};
	const struct flow_action *actions = &t->rule->action;
	int i;

	oracle_print("# rule %u, keys %llx, odd:", number, t->rule->match.dissector->used_keys);
	for (i = 0; i < t->how->num_odds; i++)
		if (t->odd & BIT_ULL(i))
			oracle_print(" %s", t->how->odd_names[i]);
	oracle_print("\n");
	dump_matches(&t->rule->match);
	for (i = 0; i < actions->num_entries; i++)
		dump_action(&actions->entries[i]);
	if (!wrong[t->outcome])
		return;
	oracle_print("#   %s: %s: driver %d, nft_offload %s, bucket %u of PPE %u\n", s->chip->name,
		     wrong[t->outcome], t->err, *t->ours.reject ? t->ours.reject : "accepts",
		     t->ours.bucket, t->ours.ppe);
	if (t->outcome == ORACLE_BAD_ENTRY)
		dump_words("driver     ", t->theirs, s->chip->entry_size / sizeof(u32));
	if (t->outcome != ORACLE_BAD_VERDICT)
		dump_words("nft_offload", t->ours.words, t->ours.count);
}

/* Looks in the table of differences; @bad if @verdict is not there. */
static enum oracle_outcome look_up(struct oracle_trial *t, const char *verdict,
				   enum oracle_outcome bad)
{
	const struct oracle_difference *row = t->how->differences;

	for (t->row = 0; t->row < t->how->num_differences; t->row++, row++)
		if ((row->odd & t->odd) && !strcmp(verdict, row->verdict))
			return ORACLE_DIFFERENT;
	return bad;
}

/*
 * Has the driver's entry committed the way it is on a router: the hardware
 * learns the flow where ours says that it looks, and the driver binds it.
 * Returns the slot, NULL if it was not bound.
 */
static u32 *bind(struct oracle_standin *s, unsigned long cookie, const struct oracle_trial *t)
{
	struct mtk_flow_entry *entry = oracle_ref_find(s, cookie);
	u16 slot = t->ours.bucket + oracle_below(t->state, t->ours.ways);

	if (!entry || entry->ppe_index != t->ours.ppe || !t->how->bind(s, entry, slot, t))
		return NULL;
	return oracle_ref_slot(oracle_ref_ppe(s, entry), slot);
}

static enum oracle_outcome judge(struct oracle_standin *s, unsigned long cookie,
				 struct oracle_trial *t, u32 **slot)
{
	const char *verdict = *t->ours.reject ? t->ours.reject : "accepts";

	if (t->err && *t->ours.reject)
		return ORACLE_REFUSED;
	if (t->err || *t->ours.reject)
		return look_up(t, verdict, ORACLE_BAD_VERDICT);
	*slot = bind(s, cookie, t);
	if (!*slot)
		return ORACLE_BAD_BIND;
	memcpy(t->theirs, *slot, s->chip->entry_size);
	if (t->ours.count * sizeof(u32) != s->chip->entry_size)
		return ORACLE_BAD_ENTRY;
	verdict = t->how->differ(s->chip, t);
	return verdict ? look_up(t, verdict, ORACLE_BAD_ENTRY) : ORACLE_EQUAL;
}

void oracle_try(struct oracle_standin *s, const struct oracle_ports *ports,
		struct oracle_trial *t)
{
	unsigned long cookie = oracle_random(t->state);
	u32 clock = oracle_random(t->state);
	u32 *slot = NULL;

	oracle_set_clock(s, clock);
	t->err = oracle_ref_replace(s, cookie, t->rule);
	t->how->encode(s, ports, clock, t);
	t->outcome = judge(s, cookie, t, &slot);
	t->stayed = !t->err && oracle_ref_destroy(s, cookie);
	if (slot && FIELD_GET(MTK_FOE_IB1_STATE, *slot) != MTK_FOE_STATE_INVALID)
		t->stayed = true;
}

static void compare_one(struct oracle_standin *s, struct oracle_ports *ports,
			const struct oracle_rule *r, unsigned int number, struct counts *c)
{
	struct oracle_trial *t = &c->trial;
	int i;

	for (i = 0; i < t->how->num_odds; i++)
		c->odd[i] += !!(r->odd & BIT_ULL(i));
	oracle_set_switch_port(r->kind.switch_port);
	ports->switch_port = r->kind.switch_port;
	t->odd = r->odd;
	t->rule = r->rule;
	t->made = r;
	oracle_try(s, ports, t);
	c->stayed += t->stayed;
	t->how->note(r, t);
	if (t->outcome == ORACLE_DIFFERENT)
		c->differ[t->row]++;
	if (c->outcome[t->outcome]++ < MAX_DUMPS && t->outcome >= ORACLE_BAD_VERDICT)
		oracle_show(s, t, number);
}

/* That the run had everything in it: each row of the table, each oddity, each kind of flow. */
static bool saw_all(const struct oracle_chip *chip, const struct oracle_comparison *how,
		    const struct counts *c)
{
	bool all = how->saw_all();
	int i;

	for (i = 0; i < how->num_differences; i++)
		all &= oracle_seen(c->differ[i] || (how->differences[i].two_ports && chip->ports == 3),
				   "rule that shows: %s", how->differences[i].why);
	for (i = 0; i < how->num_odds; i++)
		all &= oracle_seen(c->odd[i], "rule that is %s", how->odd_names[i]);
	return all;
}

static void summary(const struct oracle_chip *chip, const struct oracle_comparison *how,
		    const struct counts *c)
{
	int i;

	oracle_print("# %s, %s: %u entries equal, %u refused by both, %u deliberately different:\n",
		     chip->name, how->what, c->outcome[ORACLE_EQUAL], c->outcome[ORACLE_REFUSED],
		     c->outcome[ORACLE_DIFFERENT]);
	for (i = 0; i < how->num_differences; i++)
		oracle_print("#   %6u %-16s %s\n", c->differ[i], how->differences[i].verdict,
			     how->differences[i].why);
}

static int compare_all(struct oracle_standin *s, u64 seed, unsigned int count,
		       struct counts *c)
{
	u64 state = seed + s->chip->id;
	struct oracle_ports ports;
	struct oracle_rule r;
	unsigned int i;

	oracle_ports_of(s, &ports);
	if (oracle_rule_init(&r))
		return -ENOMEM;
	c->trial.state = &state;
	c->trial.how->note(NULL, NULL);
	for (i = 0; i < count; i++) {
		c->trial.how->generate(&r, s, &state);
		compare_one(s, &ports, &r, i, c);
		cond_resched();
	}
	oracle_rule_free(&r);
	return 0;
}

void oracle_compare(const struct oracle_chip *chip, const struct oracle_comparison *how,
		    u64 seed, unsigned int count)
{
	const char *name = chip->name, *what = how->what;
	struct oracle_standin *s = NULL;
	struct counts *c;
	int i;

	if (!nft_oracle_has_chip(chip->id)) {
		for (i = 0; i < ORACLE_POINTS; i++)
			oracle_skip("%s", name);
		return;
	}
	c = kvzalloc_obj(*c);
	if (c) {
		c->trial.how = how;
		s = oracle_standin_new(chip);
	}
	if (!s || compare_all(s, seed, count, c)) {
		for (i = 0; i < ORACLE_POINTS; i++)
			oracle_point(false, "%s: could not be set up", name);
		goto free;
	}
	summary(chip, how, c);
	oracle_point(!c->outcome[ORACLE_BAD_VERDICT],
		     "%s: of %u %s %u are accepted by one only, and the table does not say so",
		     name, count, what, c->outcome[ORACLE_BAD_VERDICT]);
	oracle_point(!c->outcome[ORACLE_BAD_ENTRY],
		     "%s: %u entries of %s differ, and the table does not say so",
		     name, c->outcome[ORACLE_BAD_ENTRY], what);
	oracle_point(!c->outcome[ORACLE_BAD_BIND],
		     "%s: %u flows of %s were not bound by the driver where nft_offload has them",
		     name, c->outcome[ORACLE_BAD_BIND], what);
	oracle_point(!c->stayed, "%s: %u flows of %s stayed after DESTROY", name, c->stayed, what);
	oracle_point(saw_all(chip, how, c), "%s: the %s had everything in them", name, what);
free:
	if (s)
		oracle_standin_free(s);
	kvfree(c);
}
