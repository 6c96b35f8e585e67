// SPDX-License-Identifier: GPL-2.0-only

#include <linux/etherdevice.h>
#include <linux/netdevice.h>
#include <linux/netlink.h>
#include <linux/rhashtable.h>
#include <linux/sched.h>
#include <linux/string.h>
#include <net/flow_offload.h>
#include <net/netfilter/nf_flow_table.h>

#include "helpers.h"

/* So many directions are looked at in one step. */
#define FLOWS_AT_A_TIME 256

/*
 * driver_list is not used, but nf_flow_table_indr_cleanup() deletes it from
 * whatever list it is in.
 */
void nft_offload_helper_block_cb_add(struct flow_block_cb *block_cb,
				     struct flow_block_offload *bo)
{
	INIT_LIST_HEAD(&block_cb->driver_list);
	flow_block_cb_add(block_cb, bo);
}

/*
 * Takes @block_cb off the list that the flowtable's workers walk. They do so
 * with flow_block_lock held for reading, and the indirect path does not take
 * it for the driver, so it is taken here. The core frees @block_cb after the
 * driver has answered its request @bo; with no release callback left it has no
 * reason to call into this module again. Without a request @block_cb is freed
 * here. The caller holds flow_indr_block_lock.
 */
void nft_offload_helper_block_cb_detach(struct flow_block_cb *block_cb,
					struct flow_block_offload *bo,
					struct nf_flowtable *flowtable)
{
	struct flow_block_offload own;

	INIT_LIST_HEAD(&own.cb_list);
	down_write(&flowtable->flow_block_lock);
	flow_indr_block_cb_remove(block_cb, bo ?: &own);
	block_cb->release = NULL;
	up_write(&flowtable->flow_block_lock);
	if (!bo)
		flow_block_cb_free(block_cb);
}

/*
 * A block of tc is different: the core holds its cb_lock for writing, and after
 * the driver has answered it sends a DESTROY for each rule to @block_cb, and
 * then releases it.
 */
void nft_offload_helper_tc_block_cb_detach(struct flow_block_cb *block_cb,
					   struct flow_block_offload *bo)
{
	flow_indr_block_cb_remove(block_cb, bo);
}

/* @message has to be static. */
void nft_offload_helper_set_extack(struct netlink_ext_ack *extack,
				   const char *message)
{
	if (extack)
		extack->_msg = message;
}

struct net *nft_offload_helper_flowtable_net(const struct nf_flowtable *ft)
{
	return read_pnet(&ft->net);
}

bool nft_offload_helper_flowtable_counter(const struct nf_flowtable *ft)
{
	return ft->flags & NF_FLOWTABLE_COUNTER;
}

void nft_offload_helper_flowtable_cleanup(struct net *net, int ifindex)
{
	struct net_device *dev = dev_get_by_index(net, ifindex);

	if (!dev)
		return;

	nf_flow_table_cleanup(dev);
	dev_put(dev);
}

static_assert(NFT_OFFLOAD_ENCAPS == NF_FLOW_TABLE_ENCAP_MAX);

static struct nft_offload_direction
direction_of(const struct flow_offload *flow, enum flow_offload_tuple_dir dir)
{
	const struct flow_offload_tuple *to = &flow->tuplehash[dir].tuple;
	const struct flow_offload_tuple *from = &flow->tuplehash[!dir].tuple;
	struct nft_offload_direction direction = {
		.cookie = (unsigned long)to,
		.iif = to->iifidx,
		.pending = test_bit(NF_FLOW_PENDING, &flow->flags),
		.mtu = to->mtu,
		.has_path = to->xmit_type == FLOW_OFFLOAD_XMIT_DIRECT,
		.v6 = to->l3proto == AF_INET6,
	};
	int i;

	if (!direction.has_path)
		return direction;

	direction.ifindex = to->out.ifidx;
	ether_addr_copy(direction.smac, to->out.h_source);
	ether_addr_copy(direction.dmac, to->out.h_dest);
	nft_offload_copy_addr(direction.src, &to->src_v6, direction.v6);
	nft_offload_copy_addr(direction.dst, &to->dst_v6, direction.v6);
	nft_offload_copy_addr(direction.new_src, &from->dst_v6, direction.v6);
	nft_offload_copy_addr(direction.new_dst, &from->src_v6, direction.v6);
	direction.encaps = min_t(int, from->encap_num, NFT_OFFLOAD_ENCAPS);
	for (i = 0; i < direction.encaps; i++) {
		direction.encap[i].id = from->encap[i].id;
		direction.encap[i].proto = from->encap[i].proto;
	}
	return direction;
}

/* The largest packet that the route of a direction takes, 0 if it is not known. */
unsigned int nft_offload_helper_flow_mtu(const struct flow_offload_tuple *tuple)
{
	return tuple->mtu;
}

/*
 * Ends the flow if @pred, which must not sleep, holds. The driver may still have
 * a flow that ends already; flow_offload_teardown() is not for such a flow, as by
 * now its connection may have another one, whose mark it would take off.
 */
static bool end_flow(struct flow_offload *flow, nft_offload_flow_pred pred, void *arg)
{
	struct nft_offload_direction original, reply;

	original = direction_of(flow, FLOW_OFFLOAD_DIR_ORIGINAL);
	reply = direction_of(flow, FLOW_OFFLOAD_DIR_REPLY);
	if (!pred(arg, &original, &reply))
		return false;
	if (!test_bit(NF_FLOW_TEARDOWN, &flow->flags))
		flow_offload_teardown(flow);
	return true;
}

/* At most FLOWS_AT_A_TIME, and until @most have ended. Returns whether there are more. */
static bool end_some(struct rhashtable_iter *iter, unsigned int most,
		     nft_offload_flow_pred pred, void *arg)
{
	unsigned int seen = 0, ended = 0;

	while (seen++ < FLOWS_AT_A_TIME && ended < most) {
		struct flow_offload_tuple_rhash *hash = rhashtable_walk_next(iter);

		/* If the table has grown, flows that were seen come again. */
		if (IS_ERR(hash) && PTR_ERR(hash) == -EAGAIN)
			continue;
		if (IS_ERR_OR_NULL(hash))
			return false;
		if (hash->tuple.dir != FLOW_OFFLOAD_DIR_ORIGINAL)
			continue;
		ended += end_flow(container_of(hash, struct flow_offload,
					       tuplehash[FLOW_OFFLOAD_DIR_ORIGINAL]),
				  pred, arg);
	}
	return true;
}

/*
 * Ends the flows for which @pred holds, also of those that end already, in steps
 * of at most @most. After each step @step is called, which may sleep and says
 * whether to go on. Returns whether all flows were looked at.
 */
bool nft_offload_helper_flowtable_end(struct nf_flowtable *ft, unsigned int most,
				      nft_offload_flow_pred pred,
				      nft_offload_flow_step step, void *arg)
{
	struct rhashtable_iter iter;
	bool more = true, on = true;

	rhashtable_walk_enter(&ft->rhashtable, &iter);
	while (more && on) {
		rhashtable_walk_start(&iter);
		more = end_some(&iter, most, pred, arg);
		rhashtable_walk_stop(&iter);
		on = step(arg);
		cond_resched();
	}
	rhashtable_walk_exit(&iter);
	return !more;
}

void nft_offload_helper_stats_update(struct flow_stats *stats, u64 bytes,
				     u64 packets, u64 lastused)
{
	/* The counters are read when they are asked for. */
	flow_stats_update(stats, bytes, packets, 0, lastused,
			  FLOW_ACTION_HW_STATS_IMMEDIATE);
}
