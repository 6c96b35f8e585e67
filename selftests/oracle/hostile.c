// SPDX-License-Identifier: GPL-2.0-only

#include <linux/completion.h>
#include <linux/cpumask.h>
#include <linux/jiffies.h>
#include <linux/kthread.h>
#include <linux/netdevice.h>
#include <linux/rtnetlink.h>
#include <linux/rwsem.h>
#include <linux/slab.h>
#include <net/flow_offload.h>
#include <net/net_namespace.h>
#include <net/netfilter/nf_conntrack.h>
#include <net/netfilter/nf_conntrack_core.h>
#include <net/netfilter/nf_conntrack_zones.h>
#include <net/netfilter/nf_flow_table.h>
#include <net/sch_generic.h>

#include "generate.h"
#include "modes.h"
#include "report.h"
#include "standin.h"

#define COOKIES		64
#define REBIND		997
/* Flows of a storm: a quarter of what a PPE has room for. */
#define STORM_COOKIES	4096

/* What the generators ask of a chip and of its ports: no engine is behind it. */
static struct oracle_chip chip;
static struct oracle_standin standin = { .chip = &chip };

static struct nf_flowtable_type type = {
	.family = NFPROTO_INET,
	.owner = THIS_MODULE,
};

/*
 * The flows that the flowtable would have: a cookie of a flowtable is the
 * address of a tuple, and a driver may follow it to the connection.
 */
static struct flow_offload *flows;

static bool make_flows(void)
{
	struct nf_conn *ct;
	int i;

	flows = kvcalloc(STORM_COOKIES, sizeof(*flows), GFP_KERNEL);
	if (!flows)
		return false;
	ct = nf_ct_tmpl_alloc(&init_net, &nf_ct_zone_dflt, GFP_KERNEL);
	if (!ct) {
		kvfree(flows);
		return false;
	}
	for (i = 0; i < STORM_COOKIES; i++) {
		flows[i].ct = ct;
		flows[i].tuplehash[FLOW_OFFLOAD_DIR_REPLY].tuple.dir = FLOW_OFFLOAD_DIR_REPLY;
	}
	return true;
}

static void free_flows(void)
{
	nf_ct_tmpl_free(flows->ct);
	kvfree(flows);
}

/* Flow @n's cookie, from 1 on; every other one is of the replies. */
static unsigned long cookie_of(unsigned int n)
{
	return (unsigned long)&flows[n - 1].tuplehash[n & 1].tuple;
}

enum answer { REPLACED, REFUSED, DESTROYED, STATS, ABSENT, REBINDS, OTHER, ANSWERS };

static const char *const answer_names[ANSWERS] = {
	"replaced", "refused", "destroyed", "stats", "absent", "rebinds", "other",
};

/* What flowtables and tc got for answers. */
static atomic_t of_table[ANSWERS], of_tc[ANSWERS];

/* A block of tc that all ports share. Its lock is taken inside of RTNL. */
static struct flow_block block;
static DECLARE_RWSEM(block_lock);

/* Nobody may bind to an egress side, or to a block that is not there. */
static char other_block;
static atomic_t odd_binds;

struct worker {
	struct nf_flowtable *table;
	struct completion done;
	struct oracle_rule rule;
	u64 state;
	u64 seed;
	unsigned int count;
	unsigned long end;
	bool storm;
	bool rebinds;
};

/* All callbacks are asked, and one of them has to say yes. */
static int ask(struct list_head *callbacks, enum tc_setup_type setup, struct flow_cls_offload *cls)
{
	struct flow_block_cb *block_cb;
	int err = -EOPNOTSUPP, answer;

	list_for_each_entry(block_cb, callbacks, list) {
		answer = block_cb->cb(setup, cls, block_cb->cb_priv);
		if (!answer)
			err = 0;
		else if (err && answer != -EEXIST)
			err = answer;
	}
	return err;
}

static int ask_as_table(struct nf_flowtable *table, struct flow_cls_offload *cls)
{
	int err;

	down_read(&table->flow_block_lock);
	err = ask(&table->flow_block.cb_list, TC_SETUP_CLSFLOWER, cls);
	up_read(&table->flow_block_lock);
	return err;
}

static int ask_as_tc(enum tc_setup_type setup, struct flow_cls_offload *cls)
{
	int err;

	rtnl_lock();
	down_read(&block_lock);
	err = ask(&block.cb_list, setup, cls);
	up_read(&block_lock);
	rtnl_unlock();
	return err;
}

/* The rule that the kernel makes for flow @n: each time the same. */
static void make_valid(struct worker *w, unsigned int n)
{
	u64 state = w->seed ^ (u64)n << 32, bits = oracle_random(&state);
	struct oracle_kind kind = {
		.v6 = bits & 1,
		.udp = bits & 2,
		.nat = bits & 1 ? 0 : (bits >> 2 & 5) * 3,
		.in_tags = bits >> 5 & 1,
		.out_tags = bits >> 6 & 1,
		.pppoe = bits >> 7 & 1,
	};

	oracle_generate_kind(&w->rule, &standin, &kind, &state);
}

/* Makes the next command for flow or filter @n, and returns how it is counted if it is done. */
static enum answer next_command(struct worker *w, bool as_tc, unsigned int n,
				struct flow_cls_offload *cls)
{
	switch (oracle_below(&w->state, w->storm ? 3 : 8)) {
	case 0:
		cls->command = FLOW_CLS_DESTROY;
		return DESTROYED;
	case 1:
		cls->command = FLOW_CLS_STATS;
		return STATS;
	case 2:
		if (!w->storm) {
			/* Commands that are for others, and some that nobody knows. */
			cls->command = FLOW_CLS_STATS + 1 + oracle_below(&w->state, 4);
			return OTHER;
		}
		fallthrough;
	default:
		cls->command = FLOW_CLS_REPLACE;
		break;
	}
	if (w->storm)
		make_valid(w, n);
	else if (as_tc)
		oracle_bridge_generate(&w->rule, &standin, &w->state);
	else
		oracle_generate(&w->rule, &standin, &w->state);
	if (!w->storm && !oracle_below(&w->state, 3))
		oracle_scramble(&w->rule, &standin, &w->state);
	cls->rule = w->rule.rule;
	return REPLACED;
}

static void try(struct worker *w, bool as_tc)
{
	unsigned int n = 1 + oracle_below(&w->state, w->storm ? STORM_COOKIES : COOKIES);
	enum tc_setup_type setup = TC_SETUP_CLSFLOWER;
	struct netlink_ext_ack extack = {};
	struct flow_cls_offload cls = {
		/* Not in network byte order, as the kernel's flowtable has it. */
		.common.protocol = (__force __be16)ETH_P_ALL,
		.common.extack = &extack,
		.cookie = as_tc ? n : cookie_of(n),
	};
	enum answer answer = next_command(w, as_tc, n, &cls);
	int err;

	if (as_tc) {
		cls.common.protocol = htons(ETH_P_ALL);
		cls.common.prio = oracle_random(&w->state);
		if (oracle_below(&w->state, 2))
			cls.common.extack = NULL;
		/* For another chain, and rules of another classifier, are some. */
		if (!oracle_below(&w->state, 16))
			cls.common.chain_index = oracle_random(&w->state);
		if (!oracle_below(&w->state, 16))
			setup = oracle_below(&w->state, 2) ? TC_SETUP_CLSMATCHALL :
				TC_SETUP_CLSU32;
	}
	err = as_tc ? ask_as_tc(setup, &cls) : ask_as_table(w->table, &cls);
	if (err == -ENOENT)
		answer = ABSENT;
	else if (err == -EOPNOTSUPP || err == -ENOSPC)
		answer = REFUSED;
	else if (err)
		answer = OTHER;
	atomic_inc(as_tc ? &of_tc[answer] : &of_table[answer]);
}

/* If a driver ends while it is bound, which is after its last command. */
static void forget(struct flow_block_cb *block_cb)
{
	rtnl_lock();
	down_write(&block_lock);
	list_del(&block_cb->driver_list);
	list_del(&block_cb->list);
	flow_block_cb_free(block_cb);
	up_write(&block_lock);
	rtnl_unlock();
}

/* What tc does where a device comes to a block, or leaves it, under RTNL. */
static bool bind_tc(struct net_device *dev, enum flow_block_command what)
{
	struct flow_block_offload bo = {
		.command = what,
		.binder_type = FLOW_BLOCK_BINDER_TYPE_CLSACT_INGRESS,
		.block = &block,
		.block_shared = true,
		.net = dev_net(dev),
		.cb_list_head = &block.cb_list,
		.cb_list = LIST_HEAD_INIT(bo.cb_list),
	};
	struct flow_cls_offload cls = { .command = FLOW_CLS_DESTROY };
	struct flow_block_cb *block_cb, *next;
	bool any;

	down_write(&block_lock);
	flow_indr_dev_setup_offload(dev, &noop_qdisc, TC_SETUP_BLOCK, &block, &bo, forget);
	any = !list_empty(&bo.cb_list);
	if (what == FLOW_BLOCK_BIND) {
		list_splice(&bo.cb_list, &block.cb_list);
	} else {
		for (cls.cookie = 1; cls.cookie <= COOKIES; cls.cookie++)
			ask(&bo.cb_list, TC_SETUP_CLSFLOWER, &cls);
		list_for_each_entry_safe(block_cb, next, &bo.cb_list, list) {
			list_del(&block_cb->list);
			flow_block_cb_free(block_cb);
		}
	}
	up_write(&block_lock);
	return any;
}

/* Is refused, or at least nothing comes of it. */
static void bind_oddly(struct net_device *dev, u64 *state)
{
	struct flow_block_offload bo = {
		.command = FLOW_BLOCK_BIND,
		.binder_type = FLOW_BLOCK_BINDER_TYPE_CLSACT_INGRESS,
		.net = dev_net(dev),
		.cb_list = LIST_HEAD_INIT(bo.cb_list),
	};
	struct Qdisc *sch = &noop_qdisc;

	switch (oracle_below(state, 3)) {
	case 0:
		break;
	case 1:
		bo.block = &block;
		bo.binder_type += 1 + oracle_below(state, 4);
		break;
	default:
		/* A chain of nf_tables has no qdisc. */
		bo.block = &block;
		sch = NULL;
	}
	flow_indr_dev_setup_offload(dev, sch, TC_SETUP_BLOCK, &other_block, &bo, forget);
	if (!list_empty(&bo.cb_list))
		atomic_inc(&odd_binds);
	bo.command = FLOW_BLOCK_UNBIND;
	flow_indr_dev_setup_offload(dev, sch, TC_SETUP_BLOCK, &other_block, &bo, forget);
}

static void rebind_tc(struct net_device *dev, u64 *state)
{
	rtnl_lock();
	bind_oddly(dev, state);
	atomic_inc(bind_tc(dev, FLOW_BLOCK_UNBIND) && bind_tc(dev, FLOW_BLOCK_BIND) ?
		   &of_tc[REBINDS] : &of_tc[OTHER]);
	rtnl_unlock();
}

static void rebind(struct nf_flowtable *table, struct net_device *dev)
{
	int err = nf_flow_table_offload_setup(table, dev, FLOW_BLOCK_UNBIND) ?:
		  nf_flow_table_offload_setup(table, dev, FLOW_BLOCK_BIND);

	atomic_inc(err ? &of_table[OTHER] : &of_table[REBINDS]);
}

static int work(void *data)
{
	struct worker *w = data;
	struct net_device *dev;
	unsigned int i;

	for (i = 0; w->storm ? time_before(jiffies, w->end) : i < w->count; i++) {
		try(w, !w->storm && oracle_below(&w->state, 2));
		if (!w->storm && w->rebinds && i % REBIND == REBIND - 1) {
			dev = standin.port[oracle_below(&w->state, chip.ports)];
			rebind(w->table, dev);
			rebind_tc(dev, &w->state);
		}
		cond_resched();
	}
	kthread_complete_and_exit(&w->done, 0);
}

static int run(struct nf_flowtable *table, u64 seed, unsigned int count, unsigned int seconds)
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
		w->seed = seed;
		w->count = count;
		w->storm = seconds;
		w->end = jiffies + seconds * HZ;
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
	unsigned int n;

	for (n = 1; n <= STORM_COOKIES; n++) {
		cls.cookie = cookie_of(n);
		ask_as_table(table, &cls);
	}
}

static int bind(struct nf_flowtable *table, const char *port)
{
	struct net_device *dev = dev_get_by_name(&init_net, port);
	int err;

	if (!dev)
		return -ENODEV;
	err = nf_flow_table_offload_setup(table, dev, FLOW_BLOCK_BIND);
	if (err < 0) {
		dev_put(dev);
		return err;
	}
	standin.port[chip.ports++] = dev;
	rtnl_lock();
	bind_tc(dev, FLOW_BLOCK_BIND);
	rtnl_unlock();
	return 0;
}

static void print_answers(const char *who, const atomic_t *answers)
{
	int i;

	for (i = 0; i < ANSWERS; i++)
		oracle_print("%s%s %d\n", who, answer_names[i], atomic_read(&answers[i]));
}

int oracle_hostile(char *const *ports, int num_ports, u64 seed, unsigned int count,
		   unsigned int seconds)
{
	struct nf_flowtable *table;
	int err, i;

	INIT_LIST_HEAD(&block.cb_list);
	if (!make_flows())
		return -ENOMEM;
	table = kzalloc_obj(*table);
	if (!table) {
		free_flows();
		return -ENOMEM;
	}
	table->type = &type;
	table->flags = NF_FLOWTABLE_HW_OFFLOAD | NF_FLOWTABLE_COUNTER;
	write_pnet(&table->net, &init_net);
	err = nf_flow_table_init(table);
	if (err)
		goto free;
	/* Devices that are nobody's port. */
	standin.foreign = init_net.loopback_dev;
	standin.user = init_net.loopback_dev;
	for (i = 0; i < num_ports && !err; i++)
		err = bind(table, ports[i]);
	if (!err)
		err = run(table, seed, count, seconds);
	end_all(table);
	for (i = 0; i < chip.ports; i++) {
		rtnl_lock();
		bind_tc(standin.port[i], FLOW_BLOCK_UNBIND);
		rtnl_unlock();
		nf_flow_table_offload_setup(table, standin.port[i], FLOW_BLOCK_UNBIND);
		dev_put(standin.port[i]);
	}
	nf_flow_table_free(table);
	print_answers("", of_table);
	print_answers("tc_", of_tc);
	oracle_print("odd_binds %d\n", atomic_read(&odd_binds));
free:
	kfree(table);
	free_flows();
	return err;
}
