// SPDX-License-Identifier: GPL-2.0-only

#include <linux/etherdevice.h>
#include <linux/if_arp.h>
#include <linux/netdevice.h>
#include <linux/rcupdate.h>
#include <linux/string.h>
#include <net/net_namespace.h>
#include <net/rtnetlink.h>

#include "helpers.h"

int nft_offload_helper_dev_ifindex(const struct net_device *dev)
{
	return READ_ONCE(dev->ifindex);
}

unsigned int nft_offload_helper_dev_mtu(const struct net_device *dev)
{
	return READ_ONCE(dev->mtu);
}

/* To be called with RTNL, under which devices are stacked. */
bool nft_offload_helper_dev_perm_addr(const struct net_device *dev, u8 *addr)
{
	if (dev->addr_len != ETH_ALEN || !is_valid_ether_addr(dev->perm_addr))
		return false;
	/* A macvlan or an ipvlan may have got the address of the device below. */
	if (!list_empty(&dev->adj_list.lower))
		return false;

	ether_addr_copy(addr, dev->perm_addr);
	return true;
}

bool nft_offload_helper_dev_forwards(const struct net_device *dev)
{
	return netif_running(dev) && netif_carrier_ok(dev);
}

bool nft_offload_helper_dev_is_ppp(const struct net_device *dev)
{
	return READ_ONCE(dev->type) == ARPHRD_PPP;
}

struct net *nft_offload_helper_dev_net(const struct net_device *dev)
{
	return dev_net(dev);
}

/* @name has room for IFNAMSIZ bytes, all of which are written if there is a device. */
bool nft_offload_helper_dev_name_of(struct net *net, int ifindex, char *name)
{
	struct net_device *dev;

	rcu_read_lock();
	dev = dev_get_by_index_rcu(net, ifindex);
	if (dev)
		strscpy_pad(name, dev->name, IFNAMSIZ);
	rcu_read_unlock();
	return dev;
}

void nft_offload_helper_dev_hold(struct net_device *dev,
				 netdevice_tracker *tracker)
{
	netdev_hold(dev, tracker, GFP_KERNEL);
}

void nft_offload_helper_dev_put(struct net_device *dev,
				netdevice_tracker *tracker)
{
	netdev_put(dev, tracker);
}

struct net_device *nft_offload_helper_notifier_dev(void *info)
{
	return netdev_notifier_info_to_dev(info);
}

/* Of NETDEV_CHANGEUPPER, which is about the lower device. */
struct net_device *nft_offload_helper_notifier_upper(void *info)
{
	struct netdev_notifier_changeupper_info *change = info;

	return change->upper_dev;
}

/* Without RTNL the name may be changing meanwhile, and be a mixture then. */
void nft_offload_helper_dev_copy_name(const struct net_device *dev, char *name)
{
	strscpy_pad(name, dev->name, IFNAMSIZ);
}

/*
 * @addr is where a namespace was once. Returns the one that is there now, with a
 * reference, or NULL.
 */
struct net *nft_offload_helper_net_get(const void *addr)
{
	struct net *net, *found = NULL;

	rcu_read_lock();
	for_each_net_rcu(net) {
		if (net == addr) {
			found = maybe_get_net(net);
			break;
		}
	}
	rcu_read_unlock();
	return found;
}

void nft_offload_helper_net_put(struct net *net)
{
	put_net(net);
}

/* The kind is what user space knows these devices by ("ip link show type"). */
static bool is_kind(const struct net_device *dev, const char *kind)
{
	return dev->rtnl_link_ops && !strcmp(dev->rtnl_link_ops->kind, kind);
}

bool nft_offload_helper_is_dsa_user(const struct net_device *dev)
{
	return is_kind(dev, "dsa");
}

bool nft_offload_helper_dev_is_ifb(const struct net_device *dev)
{
	return is_kind(dev, "ifb");
}
