// SPDX-License-Identifier: GPL-2.0-only
/*
 * What REPLACE, DESTROY and STATS cost the kernel's driver and nft_offload, for
 * the same rules in the same run. To be run where the time stamp counter counts
 * instructions: QEMU with -icount shift=0.
 */
#include <linux/mutex.h>
#include <linux/sched.h>
#include <linux/slab.h>
#include <linux/sort.h>
#include <linux/timex.h>
#include <linux/vmalloc.h>

#include "mtk_eth_soc.h"
#include "generate.h"
#include "ours.h"
#include "report.h"
#include "standin.h"

/* Calls of which the median is taken. */
#define SAMPLES		1000
#define MOST_FLOWS	16384

static const struct {
	const char *name;
	struct oracle_kind kind;
} kinds[] = {
	{ "ipv4-routed", { } },
	{ "ipv4-snat", { .nat = 0x3 } },
	{ "ipv4-dnat", { .nat = 0xc } },
	{ "ipv4-snat-dnat", { .nat = 0xf } },
	{ "ipv4-snat-udp", { .nat = 0x3, .udp = true } },
	{ "ipv4-snat-vlan", { .nat = 0x3, .in_tags = 1, .out_tags = 1 } },
	{ "ipv4-snat-vlan2", { .nat = 0x3, .in_tags = 2, .out_tags = 2 } },
	{ "ipv4-snat-pppoe", { .nat = 0x3, .pppoe = true } },
	{ "ipv4-snat-vlan-pppoe", { .nat = 0x3, .out_tags = 1, .pppoe = true } },
	{ "ipv4-snat-dsa", { .nat = 0x3, .to_switch = true, .switch_port = 4 } },
	{ "ipv6-routed", { .v6 = true } },
	{ "ipv6-vlan", { .v6 = true, .in_tags = 1, .out_tags = 1 } },
	{ "ipv6-vlan2", { .v6 = true, .in_tags = 2, .out_tags = 2 } },
	{ "ipv6-pppoe", { .v6 = true, .pppoe = true } },
	{ "ipv6-vlan-pppoe", { .v6 = true, .out_tags = 1, .pppoe = true } },
	{ "ipv6-dsa", { .v6 = true, .to_switch = true, .switch_port = 4 } },
};

static const unsigned int flow_numbers[] = { 1, 1000, 16000 };

enum operation {
	DRIVER_REPLACE,
	/* What nft_offload does in REPLACE, too: binding the flow. */
	DRIVER_COMMIT,
	DRIVER_STATS,
	DRIVER_DESTROY,
	/* Of REPLACE: from the rule to the flow. */
	OURS_PARSE,
	OURS_REPLACE,
	OURS_STATS,
	OURS_DESTROY,
	OPS
};

struct samples {
	u32 taken[SAMPLES];
	unsigned int n;
};

struct bench {
	const struct oracle_chip *chip;
	struct oracle_standin *s;
	struct oracle_ports ports;
	struct oracle_rule rule;
	void *table;
	u64 seed;
	/* The overhead of a measurement. */
	u32 empty;
	struct samples samples[OPS];
	/* Whether the flow is bound. */
	bool driver[MOST_FLOWS];
	bool ours[MOST_FLOWS];
};

/* The module's engine has a lock, as the driver has. */
static DEFINE_MUTEX(lock);

static void take(struct bench *b, enum operation op, u64 start, u64 end)
{
	struct samples *s = &b->samples[op];

	/* The latest ones: those with most flows. */
	s->taken[s->n++ % SAMPLES] = end - start - b->empty;
}

static int compare_u32(const void *a, const void *b)
{
	u32 x = *(const u32 *)a, y = *(const u32 *)b;

	return x < y ? -1 : x > y;
}

/* Interrupts make some measurements longer; half of them have none. */
static u32 median(struct samples *s)
{
	unsigned int n = min(s->n, SAMPLES);

	if (!n)
		return 0;
	sort(s->taken, n, sizeof(u32), compare_u32, NULL);
	return s->taken[n / 2];
}

static unsigned long cookie_of(unsigned int flow)
{
	/* As far apart as flows in the kernel's cache of them. */
	return 0xffff888000000000UL + flow * 256UL;
}

static void make_rule(struct bench *b, const struct oracle_kind *kind,
		      unsigned int flow)
{
	u64 state = b->seed + ((u64)flow << 32);

	oracle_generate_kind(&b->rule, b->s, kind, &state);
	oracle_set_switch_port(kind->switch_port);
	b->ports.switch_port = kind->switch_port;
}

/* Entries of MT7621 must not cross 1024 bytes; the driver overlooks slot 115. */
static bool usable(const struct oracle_chip *chip, unsigned int slot)
{
	unsigned int first = slot * chip->entry_size;

	if (chip->id != 0x7621 || slot % 128 == 115)
		return true;
	return first / 1024 == (first + chip->entry_size - 1) / 1024;
}

/* Where the hardware learns a flow: the first slot that is not bound; -1 if there is none. */
static int free_slot(struct bench *b, struct mtk_ppe *ppe, const struct oracle_entry *e)
{
	unsigned int way;

	for (way = 0; way < e->ways; way++) {
		u32 word0 = *oracle_ref_slot(ppe, e->bucket + way);

		if (FIELD_GET(MTK_FOE_IB1_STATE, word0) != MTK_FOE_STATE_BIND &&
		    usable(b->chip, e->bucket + way))
			return e->bucket + way;
	}
	return -1;
}

static bool driver_add(struct bench *b, unsigned int flow)
{
	unsigned long cookie = cookie_of(flow);
	struct mtk_flow_entry *entry;
	struct oracle_entry e;
	struct mtk_ppe *ppe;
	u64 start, end;
	int err, slot;

	start = get_cycles();
	err = oracle_ref_replace(b->s, cookie, b->rule.rule);
	end = get_cycles();
	if (err)
		return false;
	take(b, DRIVER_REPLACE, start, end);

	nft_oracle_encode(b->chip->id, b->rule.rule, &b->ports, 0, &e);
	entry = oracle_ref_find(b->s, cookie);
	ppe = oracle_ref_ppe(b->s, entry);
	slot = free_slot(b, ppe, &e);
	if (slot < 0)
		return false;
	oracle_ref_learn(b->s, ppe, slot, e.words + 1, e.v6 ? 9 : 3, e.udp, 0);
	start = get_cycles();
	oracle_ref_check(b->s, ppe, slot);
	end = get_cycles();
	if (entry->hash != slot)
		return false;
	take(b, DRIVER_COMMIT, start, end);
	return true;
}

static bool ours_add(struct bench *b, unsigned int flow)
{
	u64 start, end;
	bool ok;

	start = get_cycles();
	nft_oracle_parse(b->table, b->rule.rule, &b->ports);
	end = get_cycles();
	take(b, OURS_PARSE, start, end);
	start = get_cycles();
	mutex_lock(&lock);
	ok = nft_oracle_replace(b->table, cookie_of(flow), b->rule.rule, &b->ports);
	mutex_unlock(&lock);
	end = get_cycles();
	if (ok)
		take(b, OURS_REPLACE, start, end);
	return ok;
}

/*
 * Whether the driver still knows where a flow that it has bound is: it forgets
 * that when it binds another one of the same bucket. Then it has no counters of
 * the flow, and DESTROY leaves the entry in the table.
 */
static bool driver_knows(struct bench *b, unsigned int flow)
{
	return b->driver[flow] && oracle_ref_find(b->s, cookie_of(flow))->hash != 0xffff;
}

static void ask(struct bench *b, unsigned int flow)
{
	u64 start, end, packets, bytes;

	if (driver_knows(b, flow)) {
		start = get_cycles();
		oracle_ref_stats(b->s, cookie_of(flow), &packets, &bytes);
		end = get_cycles();
		take(b, DRIVER_STATS, start, end);
	}
	if (b->ours[flow]) {
		start = get_cycles();
		mutex_lock(&lock);
		nft_oracle_stats(b->table, cookie_of(flow));
		mutex_unlock(&lock);
		end = get_cycles();
		take(b, OURS_STATS, start, end);
	}
}

static void drop(struct bench *b, unsigned int flow, bool measure)
{
	bool known = driver_knows(b, flow);
	u64 start, end;

	start = get_cycles();
	oracle_ref_destroy(b->s, cookie_of(flow));
	end = get_cycles();
	if (known && measure)
		take(b, DRIVER_DESTROY, start, end);

	start = get_cycles();
	mutex_lock(&lock);
	nft_oracle_destroy(b->table, cookie_of(flow));
	mutex_unlock(&lock);
	end = get_cycles();
	if (b->ours[flow] && measure)
		take(b, OURS_DESTROY, start, end);
}

/* Takes what the driver has left behind out of its tables, as ageing would. */
static void clear(struct bench *b)
{
	unsigned int i;

	for (i = 0; i < b->chip->ppe_num; i++)
		memset(b->s->eth->ppe[i]->foe_table, 0,
		       MTK_PPE_ENTRIES * b->chip->entry_size);
}

static void report(struct bench *b, const char *kind, unsigned int flows)
{
	static const char *const names[OPS] = {
		"driver_replace", "driver_commit", "driver_stats", "driver_destroy",
		"ours_parse", "ours_replace", "ours_stats", "ours_destroy",
	};
	int op;

	oracle_print("chip=%s kind=%s flows=%u", b->chip->name, kind, flows);
	for (op = 0; op < OPS; op++)
		oracle_print(" %s=%u", names[op], median(&b->samples[op]));
	oracle_print("\n");
}

static void run_kind(struct bench *b, int kind, unsigned int flows)
{
	unsigned int i, round, rounds = flows == 1 ? SAMPLES : 1;

	for (i = 0; i < OPS; i++)
		b->samples[i].n = 0;
	for (round = 0; round < rounds; round++) {
		for (i = 0; i < flows; i++) {
			make_rule(b, &kinds[kind].kind, i + round);
			b->driver[i] = driver_add(b, i);
			b->ours[i] = ours_add(b, i);
			cond_resched();
		}
		for (i = 0; i < min(flows, SAMPLES); i++)
			ask(b, i);
		for (i = 0; i < flows; i++) {
			drop(b, i, i < SAMPLES);
			cond_resched();
		}
		if (flows > 1)
			clear(b);
	}
	report(b, kinds[kind].name, flows);
}

/* How many flows of random connections get in. */
static void fill(struct bench *b)
{
	unsigned int i, driver = 0, ours = 0, lost = 0;
	unsigned int driver_first = MOST_FLOWS, ours_first = MOST_FLOWS;
	static const struct oracle_kind nat = { .nat = 0xf };

	for (i = 0; i < MOST_FLOWS; i++) {
		make_rule(b, &nat, i);
		b->driver[i] = driver_add(b, i);
		b->ours[i] = ours_add(b, i);
		driver += b->driver[i];
		ours += b->ours[i];
		if (!b->driver[i] && driver_first == MOST_FLOWS)
			driver_first = i;
		if (!b->ours[i] && ours_first == MOST_FLOWS)
			ours_first = i;
		cond_resched();
	}
	for (i = 0; i < MOST_FLOWS; i++) {
		lost += b->driver[i] && !driver_knows(b, i);
		drop(b, i, false);
		cond_resched();
	}
	clear(b);
	oracle_print("chip=%s offered=%u driver_slots=%u driver_forgot=%u ours_slots=%u driver_before_refusal=%u driver_bound=%u ours_before_refusal=%u ours_bound=%u\n",
		     b->chip->name, MOST_FLOWS, b->chip->ppe_num * MTK_PPE_ENTRIES, lost,
		     nft_oracle_slots(b->table), driver_first, driver, ours_first, ours);
}

/* What both take beside the tables that the engine reads. */
static void memory(struct bench *b)
{
	size_t fixed = sizeof(struct mtk_ppe) +
		       MTK_PPE_ENTRIES / b->chip->ways * sizeof(struct hlist_head);
	size_t flow = kmalloc_size_roundup(sizeof(struct mtk_flow_entry)) +
		      sizeof(struct rhash_lock_head *);

	if (b->chip->accounting)
		fixed += MTK_PPE_ENTRIES * sizeof(struct mtk_foe_accounting);
	fixed *= b->chip->ppe_num;
	oracle_print("chip=%s driver_bytes=%zu driver_bytes_per_flow=%zu ours_bytes=%llu ours_bytes_per_flow=0\n",
		     b->chip->name, fixed, flow, nft_oracle_memory(b->table));
}

void oracle_bench(const struct oracle_chip *chip, u64 seed)
{
	struct bench *b;
	u64 start, end;
	int i, n;

	if (!nft_oracle_has_chip(chip->id))
		return;
	b = kvzalloc_obj(*b);
	if (!b)
		return;
	b->chip = chip;
	b->seed = seed;
	b->s = oracle_standin_new(chip);
	if (!b->s)
		goto free;
	b->table = nft_oracle_table_new(chip->id, b->s->regs);
	if (!b->table || oracle_rule_init(&b->rule))
		goto free;
	oracle_ports_of(b->s, &b->ports);
	start = get_cycles();
	end = get_cycles();
	b->empty = end - start;

	memory(b);
	fill(b);
	for (n = 0; n < ARRAY_SIZE(flow_numbers); n++)
		for (i = 0; i < ARRAY_SIZE(kinds); i++)
			run_kind(b, i, flow_numbers[n]);
	oracle_rule_free(&b->rule);
free:
	if (b->table)
		nft_oracle_table_free(b->table);
	if (b->s)
		oracle_standin_free(b->s);
	kvfree(b);
}
