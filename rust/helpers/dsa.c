// SPDX-License-Identifier: GPL-2.0-only

#include <linux/limits.h>
#include <linux/netdevice.h>
#include <linux/rtnetlink.h>
#include <net/dsa.h>

#include "helpers.h"

/*
 * With RTNL held the links between devices stay, and a conduit stays one: its
 * dsa_ptr is set and cleared under it. As long as it is set, the tree has all
 * of its ports.
 */
bool nft_offload_helper_dsa_user_port(struct net_device *dev,
				      struct nft_offload_dsa_user_port *port)
{
#if IS_ENABLED(CONFIG_NET_DSA)
	struct net_device *lower;
	struct list_head *iter;
	struct dsa_port *dp;

	ASSERT_RTNL();
	if (!nft_offload_helper_is_dsa_user(dev))
		return false;

	netdev_for_each_lower_dev(dev, lower, iter) {
		struct dsa_port *cpu_dp = lower->dsa_ptr;

		if (!netdev_uses_dsa(lower))
			continue;
		dsa_tree_for_each_user_port(dp, cpu_dp->dst) {
			if (dp->user != dev)
				continue;
			port->conduit = lower;
			port->index = dp->ds == cpu_dp->ds ? dp->index
							   : UINT_MAX;
			port->tag = cpu_dp->tag_ops->proto;
			return true;
		}
	}
#endif
	return false;
}
