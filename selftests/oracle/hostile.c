// SPDX-License-Identifier: GPL-2.0-only

#include <linux/completion.h>
#include <linux/cpumask.h>
#include <linux/kthread.h>
#include <linux/netdevice.h>
#include <linux/slab.h>
#include <net/flow_offload.h>
#include <net/net_namespace.h>
#include <net/netfilter/nf_flow_table.h>

#include "generate.h"
#include "hostile.h"
#include "report.h"
#include "standin.h"

#define COOKIES		64
#define REBIND		997

/* What the generator asks of a chip and of its ports: no engine is behind it. */
static struct oracle_chip chip;
static struct oracle_standin standin = { .chip = &chip };

static struct nf_flowtable_type type = {
	.family = NFPROTO_INET,
	.owner = THIS_MODULE,
};

static struct {
	atomic_t replaced, refused, destroyed, stats, absent, other, rebinds;
} counts;

struct worker {
	struct nf_flowtable *table;
	struct completion done;
	struct oracle_rule rule;
	u64 state;
	unsigned int count;
	bool rebinds;
};

/* What the flowtable does: all callbacks are asked, and one of them has to say yes. */
static int command(struct nf_flowtable *table, struct flow_cls_offload *cls)
{
	struct flow_block_cb *block_cb;
	int err = -EOPNOTSUPP, answer;

	down_read(&table->flow_block_lock);
	list_for_each_entry(block_cb, &table->flow_block.cb_list, list) {
		answer = block_cb->cb(TC_SETUP_CLSFLOWER, cls, block_cb->cb_priv);
		if (!answer)
			err = 0;
		else if (err && answer != -EEXIST)
			err = answer;
	}
	up_read(&table->flow_block_lock);
	return err;
}

static void count_answer(int err, atomic_t *good)
{
	switch (err) {
	case 0:
		atomic_inc(good);
		break;
	case -ENOENT:
		atomic_inc(&counts.absent);
		break;
	case -EOPNOTSUPP:
	case -ENOSPC:
		atomic_inc(&counts.refused);
		break;
	default:
		atomic_inc(&counts.other);
		break;
	}
}

static void try_one(struct worker *w)
{
	struct netlink_ext_ack extack = {};
	struct flow_cls_offload cls = {
		/* Not in network byte order, as the kernel's flowtable has it. */
		.common.protocol = (__force __be16)ETH_P_ALL,
		.common.extack = &extack,
		.cookie = 1 + oracle_below(&w->state, COOKIES),
	};

	switch (oracle_below(&w->state, 8)) {
	case 0:
		cls.command = FLOW_CLS_DESTROY;
		count_answer(command(w->table, &cls), &counts.destroyed);
		break;
	case 1:
		cls.command = FLOW_CLS_STATS;
		count_answer(command(w->table, &cls), &counts.stats);
		break;
	case 2:
		/* Commands that are for others, and some that nobody knows. */
		cls.command = FLOW_CLS_STATS + 1 + oracle_below(&w->state, 4);
		count_answer(command(w->table, &cls), &counts.other);
		break;
	default:
		oracle_generate(&w->rule, &standin, &w->state);
		if (!oracle_below(&w->state, 3))
			oracle_scramble(&w->rule, &standin, &w->state);
		cls.command = FLOW_CLS_REPLACE;
		cls.rule = w->rule.rule;
		count_answer(command(w->table, &cls), &counts.replaced);
		break;
	}
}

static void rebind(struct nf_flowtable *table, struct net_device *dev)
{
	if (nf_flow_table_offload_setup(table, dev, FLOW_BLOCK_UNBIND) ||
	    nf_flow_table_offload_setup(table, dev, FLOW_BLOCK_BIND))
		atomic_inc(&counts.other);
	else
		atomic_inc(&counts.rebinds);
}

static int work(void *data)
{
	struct worker *w = data;
	unsigned int i;

	for (i = 0; i < w->count; i++) {
		try_one(w);
		if (w->rebinds && i % REBIND == REBIND - 1)
			rebind(w->table, standin.port[oracle_below(&w->state, chip.ports)]);
		cond_resched();
	}
	kthread_complete_and_exit(&w->done, 0);
}

static int run(struct nf_flowtable *table, u64 seed, unsigned int count)
{
	struct worker *workers;
	struct task_struct *task;
	int cpu, n = 0, err = 0;

	workers = kvcalloc(num_online_cpus(), sizeof(*workers), GFP_KERNEL);
	if (!workers)
		return -ENOMEM;
	for_each_online_cpu(cpu) {
		struct worker *w = &workers[n];

		if (n == num_online_cpus())
			break;
		err = oracle_rule_init(&w->rule);
		if (err)
			break;
		w->table = table;
		w->state = seed + n;
		w->count = count;
		w->rebinds = !n;
		init_completion(&w->done);
		task = kthread_create(work, w, "oracle_hostile/%d", cpu);
		if (IS_ERR(task)) {
			oracle_rule_free(&w->rule);
			err = PTR_ERR(task);
			break;
		}
		kthread_bind(task, cpu);
		wake_up_process(task);
		n++;
	}
	oracle_print("cpus %d\n", n);
	while (n--) {
		wait_for_completion(&workers[n].done);
		oracle_rule_free(&workers[n].rule);
	}
	kvfree(workers);
	return err;
}

static void end_all(struct nf_flowtable *table)
{
	struct flow_cls_offload cls = { .command = FLOW_CLS_DESTROY };

	for (cls.cookie = 1; cls.cookie <= COOKIES; cls.cookie++)
		command(table, &cls);
}

static int bind(struct nf_flowtable *table, const char *ports)
{
	char name[IFNAMSIZ];
	size_t len;
	int err;

	for (; *ports; ports += len, ports += *ports == ',') {
		struct net_device *dev;

		len = strcspn(ports, ",");
		if (chip.ports == ORACLE_PORTS || len >= IFNAMSIZ)
			return -EINVAL;
		memcpy(name, ports, len);
		name[len] = '\0';
		dev = dev_get_by_name(&init_net, name);
		if (!dev)
			return -ENODEV;
		err = nf_flow_table_offload_setup(table, dev, FLOW_BLOCK_BIND);
		if (err < 0) {
			dev_put(dev);
			return err;
		}
		standin.port[chip.ports++] = dev;
	}
	return chip.ports ? 0 : -EINVAL;
}

int oracle_hostile(const char *ports, u64 seed, unsigned int count)
{
	struct nf_flowtable *table;
	int err, i;

	table = kzalloc_obj(*table);
	if (!table)
		return -ENOMEM;
	table->type = &type;
	table->flags = NF_FLOWTABLE_HW_OFFLOAD | NF_FLOWTABLE_COUNTER;
	write_pnet(&table->net, &init_net);
	err = nf_flow_table_init(table);
	if (err)
		goto free;
	/* Devices that are nobody's port. */
	standin.foreign = init_net.loopback_dev;
	standin.user = init_net.loopback_dev;
	err = bind(table, ports);
	if (!err)
		err = run(table, seed, count);
	end_all(table);
	for (i = 0; i < chip.ports; i++) {
		nf_flow_table_offload_setup(table, standin.port[i], FLOW_BLOCK_UNBIND);
		dev_put(standin.port[i]);
	}
	nf_flow_table_free(table);
	oracle_print("replaced %d\nrefused %d\ndestroyed %d\nstats %d\nabsent %d\nrebinds %d\nother %d\n",
		     atomic_read(&counts.replaced), atomic_read(&counts.refused),
		     atomic_read(&counts.destroyed), atomic_read(&counts.stats),
		     atomic_read(&counts.absent), atomic_read(&counts.rebinds),
		     atomic_read(&counts.other));
free:
	kfree(table);
	return err;
}
