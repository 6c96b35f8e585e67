// SPDX-License-Identifier: GPL-2.0-only

#include <linux/hashtable.h>
#include <linux/if_arp.h>
#include <linux/if_vlan.h>
#include <linux/netdevice.h>
#include <linux/rcupdate.h>
#include <net/net_namespace.h>
#include <net/sch_generic.h>
#include <net/tcx.h>

#include "helpers.h"

/*
 * What follows is for readers under RCU. Devices, their links to others, qdiscs
 * and channels of PPP are all taken off their lists a grace period before they
 * are freed; so are the modules that their ops are in.
 */

/* The device after @dev, the first one if that is NULL. */
struct net_device *nft_offload_helper_next_dev(struct net *net,
					       struct net_device *dev)
{
	struct net_device *first;

	if (dev)
		return next_net_device_rcu(dev);

	for_each_netdev_rcu(net, first)
		return first;
	return NULL;
}

/* The next device that @dev is linked to as upper one; @iter is NULL at first. */
struct net_device *nft_offload_helper_next_lower(struct net_device *dev,
						 struct list_head **iter)
{
	if (!*iter)
		*iter = &dev->adj_list.lower;
	return netdev_next_lower_dev_rcu(dev, iter);
}

/* The ID of a VLAN device, negative if @dev is none. */
int nft_offload_helper_dev_vlan(const struct net_device *dev)
{
#if IS_ENABLED(CONFIG_VLAN_8021Q)
	if (is_vlan_dev(dev))
		return vlan_dev_priv(dev)->vlan_id;
#endif
	return -1;
}

/*
 * PPP devices are linked to none below. So this asks as nf_flowtable does when
 * it looks for the way of a flow.
 */
struct net_device *nft_offload_helper_dev_pppoe(struct net_device *dev,
						u16 *session)
{
	struct net_device_path_ctx ctx = { .dev = dev };
	struct net_device_path path = {};

	if (dev->type != ARPHRD_PPP || !dev->netdev_ops->ndo_fill_forward_path ||
	    dev->netdev_ops->ndo_fill_forward_path(&ctx, &path) < 0 ||
	    path.type != DEV_PATH_PPPOE)
		return NULL;

	*session = path.encap.id;
	return (struct net_device *)ctx.dev;
}

/*
 * The kind of a qdisc of @dev that @is_wanted: of the root or of any below. All
 * but the root are in the hash; one that is moved there meanwhile can be missed.
 */
const char *
nft_offload_helper_dev_find_qdisc(struct net_device *dev,
				  bool (*is_wanted)(void *ctx, const char *kind),
				  void *ctx)
{
#ifdef CONFIG_NET_SCHED
	struct Qdisc *q = rcu_dereference(dev->qdisc);
	int bucket;

	if (q && is_wanted(ctx, q->ops->id))
		return q->ops->id;

	hash_for_each_rcu(dev->qdisc_hash, bucket, q, hash) {
		if (is_wanted(ctx, q->ops->id))
			return q->ops->id;
	}
#endif
	return NULL;
}

/* Whether tc has filters for what @dev receives, of ingress or clsact. */
bool nft_offload_helper_dev_ingress_filters(const struct net_device *dev)
{
#ifdef CONFIG_NET_XGRESS
	struct bpf_mprog_entry *entry = rcu_dereference(dev->tcx_ingress);

	return entry && rcu_access_pointer(tcx_entry(entry)->miniq);
#else
	return false;
#endif
}
