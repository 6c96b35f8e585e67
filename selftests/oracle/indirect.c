// SPDX-License-Identifier: GPL-2.0-only

#include <linux/mutex.h>
#include <linux/netdevice.h>
#include <linux/slab.h>
#include <net/flow_offload.h>
#include <net/netfilter/nf_flow_table.h>

#include "indirect.h"

struct binding {
	struct list_head list;
	struct flow_block_cb *block_cb;
	struct nf_flowtable *table;
	const struct net_device *dev;
};

static const struct oracle_taker *taker;

/* In the order they came. Nothing is taken inside of the lock. */
static LIST_HEAD(bindings);
static DEFINE_MUTEX(bindings_lock);

static bool is_first(const struct binding *b)
{
	const struct binding *other;
	bool first = false;

	mutex_lock(&bindings_lock);
	list_for_each_entry(other, &bindings, list) {
		if (other->table == b->table) {
			first = other == b;
			break;
		}
	}
	mutex_unlock(&bindings_lock);
	return first;
}

/* With flow_block_lock held for reading, which keeps binding and flowtable. */
static int block_command(enum tc_setup_type type, void *type_data, void *cb_priv)
{
	struct binding *b = cb_priv;

	if (type != TC_SETUP_CLSFLOWER)
		return -EOPNOTSUPP;
	return taker->command(read_pnet(&b->table->net), type_data, is_first(b));
}

/* Called only if the core takes the binding away itself: when this is unregistered. */
static void release(void *cb_priv)
{
	struct binding *b = cb_priv;

	mutex_lock(&bindings_lock);
	list_del(&b->list);
	mutex_unlock(&bindings_lock);
	kfree(b);
}

static int bind(struct net_device *dev, struct Qdisc *sch, void *cb_priv,
		struct flow_block_offload *bo, struct nf_flowtable *table,
		void (*cleanup)(struct flow_block_cb *block_cb))
{
	struct binding *b;

	/* A replay to a new driver has no block, and perhaps no flowtable any more. */
	if (!bo->block || bo->binder_type != FLOW_BLOCK_BINDER_TYPE_CLSACT_INGRESS ||
	    !taker->wants(dev, bo))
		return -EOPNOTSUPP;

	b = kzalloc_obj(*b);
	if (!b)
		return -ENOMEM;
	b->table = table;
	b->dev = dev;
	b->block_cb = flow_indr_block_cb_alloc(block_command, dev, b, release, bo, dev, sch,
					       table, cb_priv, cleanup);
	if (IS_ERR(b->block_cb)) {
		int err = PTR_ERR(b->block_cb);

		kfree(b);
		return err;
	}
	/* Is in no list of ours, but the core's clean-up deletes it from one. */
	INIT_LIST_HEAD(&b->block_cb->driver_list);
	flow_block_cb_add(b->block_cb, bo);
	mutex_lock(&bindings_lock);
	list_add_tail(&b->list, &bindings);
	mutex_unlock(&bindings_lock);
	return 0;
}

static int unbind(const struct net_device *dev, struct flow_block_offload *bo,
		  struct nf_flowtable *table)
{
	struct binding *b, *found = NULL;

	mutex_lock(&bindings_lock);
	list_for_each_entry(b, &bindings, list) {
		if (b->table == table && b->dev == dev) {
			found = b;
			list_del(&b->list);
			break;
		}
	}
	mutex_unlock(&bindings_lock);
	if (!found)
		return -ENOENT;

	/*
	 * Workers walk the list that it is taken off, and the core does not lock
	 * them out. It frees the block_cb later, when this module may be gone.
	 */
	down_write(&table->flow_block_lock);
	flow_indr_block_cb_remove(found->block_cb, bo);
	found->block_cb->release = NULL;
	up_write(&table->flow_block_lock);
	kfree(found);
	return 0;
}

/* With flow_indr_block_lock held. */
static int setup(struct net_device *dev, struct Qdisc *sch, void *cb_priv,
		 enum tc_setup_type type, void *type_data, void *data,
		 void (*cleanup)(struct flow_block_cb *block_cb))
{
	struct flow_block_offload *bo = type_data;

	if (type != TC_SETUP_FT || !dev || !bo)
		return -EOPNOTSUPP;
	switch (bo->command) {
	case FLOW_BLOCK_BIND:
		return bind(dev, sch, cb_priv, bo, data, cleanup);
	case FLOW_BLOCK_UNBIND:
		return unbind(dev, bo, data);
	default:
		return -EOPNOTSUPP;
	}
}

int oracle_indirect_register(const struct oracle_taker *who)
{
	taker = who;
	return flow_indr_dev_register(setup, &bindings);
}

void oracle_indirect_unregister(void)
{
	flow_indr_dev_unregister(setup, &bindings, release);
}
