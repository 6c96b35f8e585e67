// SPDX-License-Identifier: GPL-2.0-only

#include <linux/mutex.h>
#include <linux/netdevice.h>
#include <linux/seq_file.h>
#include <net/flow_offload.h>

#include "compare.h"
#include "generate.h"
#include "indirect.h"
#include "modes.h"
#include "report.h"
#include "standin.h"

#define MAX_SHOWN	3

static struct oracle_standin *standin;
/* The names of its ports. */
static char *const *names;
static int num_names;

/* All that follows, and the driver: commands come on all CPUs. */
static DEFINE_MUTEX(capture_lock);
static u64 state;
static struct oracle_trial trial;
static unsigned int rules, differ, outcomes[ORACLE_OUTCOMES];

/*
 * Drivers that registered later were asked before: nft_offload, which is loaded
 * after this module, has taken the device if there is something in the list.
 */
static bool capture_wants(const struct net_device *dev, const struct flow_block_offload *bo)
{
	return !list_empty(&bo->cb_list);
}

/* The only thing odd about a rule of the kernel's that the driver does not see. */
static u64 odd_of(struct flow_rule *rule, const struct oracle_ports *ports)
{
	struct flow_match_meta meta;
	int i;

	if (!flow_rule_match_key(rule, FLOW_DISSECTOR_KEY_META))
		return 0;
	flow_rule_match_meta(rule, &meta);
	for (i = 0; i < ports->count; i++)
		if (ports->ifindex[i] == meta.key->ingress_ifindex)
			return 0;
	return BIT_ULL(ORACLE_ODD_FOREIGN_INGRESS);
}

static void compare(struct net *net, struct flow_rule *rule)
{
	struct net_device *dev[ORACLE_PORTS];
	struct oracle_ports ports;
	int i;

	/* As they are now: devices come, go and move. */
	for (i = 0; i < ORACLE_PORTS; i++) {
		dev[i] = i < num_names ? dev_get_by_name(net, names[i]) : NULL;
		oracle_set_port(standin, i, dev[i]);
	}
	oracle_ports_of(standin, &ports);
	trial.how = &oracle_routed;
	trial.rule = rule;
	trial.odd = odd_of(rule, &ports);
	trial.state = &state;
	oracle_try(standin, &ports, &trial);
	rules++;
	outcomes[trial.outcome]++;
	if (trial.outcome >= ORACLE_BAD_VERDICT && differ++ < MAX_SHOWN)
		oracle_show(standin, &trial, rules);
	if (trial.stayed) {
		differ++;
		oracle_print("# rule %u stayed after DESTROY\n", rules);
	}
	for (i = 0; i < ORACLE_PORTS; i++) {
		oracle_set_port(standin, i, NULL);
		dev_put(dev[i]);
	}
}

static int capture_command(struct net *net, struct flow_cls_offload *cls, bool first)
{
	if (first && cls->command == FLOW_CLS_REPLACE) {
		mutex_lock(&capture_lock);
		compare(net, flow_cls_offload_flow_rule(cls));
		mutex_unlock(&capture_lock);
	}
	return -EOPNOTSUPP;
}

static const struct oracle_taker capture_taker = {
	.wants = capture_wants,
	.command = capture_command,
};

int oracle_capture_show(struct seq_file *m, void *v)
{
	mutex_lock(&capture_lock);
	seq_printf(m, "rules %u\nequal %u\nrefused %u\ndifferent %u\ndiffer %u\n",
		   rules, outcomes[ORACLE_EQUAL], outcomes[ORACLE_REFUSED],
		   outcomes[ORACLE_DIFFERENT], differ);
	oracle_report(m);
	mutex_unlock(&capture_lock);
	return 0;
}

int oracle_capture_start(const struct oracle_chip *chip, char *const *ports, int num_ports)
{
	int err;

	names = ports;
	num_names = num_ports;
	standin = oracle_standin_bare(chip, NULL, NULL);
	if (!standin)
		return -ENOMEM;
	err = oracle_indirect_register(&capture_taker);
	if (err)
		oracle_standin_free(standin);
	return err;
}

void oracle_capture_stop(void)
{
	oracle_indirect_unregister();
	oracle_standin_free(standin);
}
