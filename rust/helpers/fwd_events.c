// SPDX-License-Identifier: GPL-2.0-only

#include <linux/atomic.h>
#include <linux/etherdevice.h>
#include <linux/if_macvlan.h>
#include <linux/if_vlan.h>
#include <linux/mutex.h>
#include <linux/netdevice.h>
#include <linux/notifier.h>
#include <linux/rcupdate.h>
#include <linux/rtnetlink.h>
#include <linux/string.h>
#include <net/arp.h>
#include <net/fib_notifier.h>
#include <net/fib_rules.h>
#include <net/ip6_fib.h>
#include <net/ip_fib.h>
#include <net/ndisc.h>
#include <net/neighbour.h>
#include <net/net_namespace.h>
#include <net/netevent.h>
#include <net/netns/generic.h>
#include <net/nexthop.h>
#include <net/switchdev.h>

#include "fwd_events.h"
#include "helpers.h"

static ATOMIC_NOTIFIER_HEAD(fwd_events);

struct fwd_events_net {
	struct notifier_block fib;
	struct notifier_block nexthops;
	struct net *net;
	/* Devices that flowtables have here. */
	atomic_t watchers;
	/* The routes there are already are told first, and are no news. */
	bool ready;
	bool registered;
};

static unsigned int fwd_events_net_id;

static bool is_watched(const struct net *net)
{
	const struct fwd_events_net *here = net_generic(net, fwd_events_net_id);

	return atomic_read(&here->watchers);
}

static void notify(const struct nft_offload_fwd_event *event)
{
	atomic_notifier_call_chain(&fwd_events, 0, (void *)event);
}

/* An event of a device, or of a lower one. */
static int notify_device(struct net_device *dev, struct netdev_nested_priv *priv)
{
	struct nft_offload_fwd_event *event = priv->data;

	event->ifindex = READ_ONCE(dev->ifindex);
	notify(event);
	return 0;
}

/* Flows leave by the lowest devices, so these are what an event of @dev is about. */
static void notify_lower(struct net_device *dev, struct nft_offload_fwd_event *event)
{
	struct netdev_nested_priv priv = { .data = event };

	event->net = dev_net(dev);
	notify_device(dev, &priv);
	rcu_read_lock();
	netdev_walk_all_lower_dev_rcu(dev, notify_device, &priv);
	/* One that is being removed is not linked to the device below any more. */
	if (is_vlan_dev(dev))
		notify_device(vlan_dev_real_dev(dev), &priv);
	rcu_read_unlock();
}

/* Whether the neighbour is one whose Ethernet address is known. */
static bool neighbour_event(struct neighbour *neigh, struct nft_offload_fwd_event *event)
{
	int family = neigh->tbl->family;

	if (family != AF_INET && family != AF_INET6)
		return false;
	if (neigh->dev->addr_len != ETH_ALEN || !(READ_ONCE(neigh->nud_state) & NUD_VALID))
		return false;

	event->kind = NFT_OFFLOAD_FWD_NEIGHBOUR;
	event->net = dev_net(neigh->dev);
	event->ifindex = READ_ONCE(neigh->dev->ifindex);
	nft_offload_copy_addr(event->addr, neigh->primary_key, family == AF_INET6);
	neigh_ha_snapshot((char *)event->mac, neigh, neigh->dev);
	return true;
}

static int netevent(struct notifier_block *nb, unsigned long type, void *data)
{
	struct nft_offload_fwd_event event = {};
	struct neighbour *neigh = data;

	if (type == NETEVENT_NEIGH_UPDATE && is_watched(dev_net(neigh->dev)) &&
	    neighbour_event(neigh, &event))
		notify(&event);
	return NOTIFY_DONE;
}

static struct notifier_block netevent_nb = { .notifier_call = netevent };

/* Without CONFIG_NET_SWITCHDEV nobody calls this. */
static int switchdev_event(struct notifier_block *nb, unsigned long type, void *data)
{
	struct nft_offload_fwd_event event = { .kind = NFT_OFFLOAD_FWD_FDB };
	struct switchdev_notifier_fdb_info *fdb = data;
	struct net_device *dev;

	if (type != SWITCHDEV_FDB_ADD_TO_DEVICE || fdb->is_local)
		return NOTIFY_DONE;
	dev = switchdev_notifier_info_to_dev(data);
	if (!is_watched(dev_net(dev)))
		return NOTIFY_DONE;

	event.net = dev_net(dev);
	ether_addr_copy(event.mac, fdb->addr);
	notify(&event);
	return NOTIFY_DONE;
}

static struct notifier_block switchdev_nb = { .notifier_call = switchdev_event };

/* VLANs of a bridge's ports, with RTNL held. */
static int switchdev_port_event(struct notifier_block *nb, unsigned long type, void *data)
{
	struct nft_offload_fwd_event event = { .kind = NFT_OFFLOAD_FWD_VLAN };
	struct switchdev_notifier_port_obj_info *info = data;

	if (type != SWITCHDEV_PORT_OBJ_ADD && type != SWITCHDEV_PORT_OBJ_DEL)
		return NOTIFY_DONE;
	if (info->obj->id != SWITCHDEV_OBJ_ID_PORT_VLAN ||
	    !is_watched(dev_net(info->obj->orig_dev)))
		return NOTIFY_DONE;
	/* A VLAN that is new has no flows. */
	if (type == SWITCHDEV_PORT_OBJ_ADD && !SWITCHDEV_OBJ_PORT_VLAN(info->obj)->changed)
		return NOTIFY_DONE;

	event.vid = SWITCHDEV_OBJ_PORT_VLAN(info->obj)->vid;
	notify_lower(info->obj->orig_dev, &event);
	return NOTIFY_DONE;
}

static struct notifier_block switchdev_port_nb = { .notifier_call = switchdev_port_event };

static int netdev_event(struct notifier_block *nb, unsigned long type, void *data)
{
	struct nft_offload_fwd_event event = { .kind = NFT_OFFLOAD_FWD_DEVICE };
	struct net_device *dev = netdev_notifier_info_to_dev(data);

	switch (type) {
	case NETDEV_CHANGE:
		if (netif_carrier_ok(dev))
			return NOTIFY_DONE;
		break;
	case NETDEV_CHANGEADDR:
	case NETDEV_DOWN:
	case NETDEV_UNREGISTER:
	case NETDEV_CHANGEUPPER:
		break;
	case NETDEV_CHANGEMTU:
		/* A flowtable keeps the MTU that it found when the flow came. */
		event.kind = NFT_OFFLOAD_FWD_ALL;
		break;
	default:
		return NOTIFY_DONE;
	}
	if (!is_watched(dev_net(dev)))
		return NOTIFY_DONE;

	/* A flowtable does not know that packets came by a macvlan, but only by what port. */
	if (netif_is_macvlan(dev)) {
		event.kind = NFT_OFFLOAD_FWD_ALL;
		notify_lower(macvlan_dev_real_dev(dev), &event);
	} else {
		notify_lower(dev, &event);
	}
	return NOTIFY_DONE;
}

static struct notifier_block netdev_nb = { .notifier_call = netdev_event };

static int fib_event(struct notifier_block *nb, unsigned long type, void *data)
{
	struct fwd_events_net *here = container_of(nb, struct fwd_events_net, fib);
	struct nft_offload_fwd_event event = { .kind = NFT_OFFLOAD_FWD_ROUTE };
	struct fib_notifier_info *info = data;
	const __be32 any = 0;

	if (!READ_ONCE(here->ready) || !atomic_read(&here->watchers))
		return NOTIFY_DONE;
	if (info->family != AF_INET && info->family != AF_INET6)
		return NOTIFY_DONE;

	event.net = here->net;
	/* All packets of the family, unless the event names a prefix. */
	if (info->family == AF_INET) {
		nft_offload_copy_addr(event.addr, &any, false);
		event.len = 96;
	}
	switch (type) {
	case FIB_EVENT_ENTRY_REPLACE:
	case FIB_EVENT_ENTRY_APPEND:
	case FIB_EVENT_ENTRY_ADD:
	case FIB_EVENT_ENTRY_DEL:
		if (info->family == AF_INET6) {
			struct fib6_entry_notifier_info *entry = data;

			nft_offload_copy_addr(event.addr, &entry->rt->fib6_dst.addr, true);
			event.len = entry->rt->fib6_dst.plen;
		} else {
			struct fib_entry_notifier_info *entry = data;
			__be32 dst = htonl(entry->dst);

			nft_offload_copy_addr(event.addr, &dst, false);
			event.len += entry->dst_len;
		}
		break;
	case FIB_EVENT_RULE_ADD:
	case FIB_EVENT_RULE_DEL:
		/* Which packets a rule is for may depend on more than their addresses. */
		break;
	case FIB_EVENT_NH_ADD:
	case FIB_EVENT_NH_DEL:
		/* A leg of some multipath routes; the notifier does not say which. */
		break;
	default:
		return NOTIFY_DONE;
	}
	notify(&event);
	return NOTIFY_DONE;
}

static int nexthop_event(struct notifier_block *nb, unsigned long type, void *data)
{
	struct fwd_events_net *here = container_of(nb, struct fwd_events_net, nexthops);
	struct nft_offload_fwd_event event = { .kind = NFT_OFFLOAD_FWD_NEXTHOP, .net = here->net };

	/* One that is removed takes its routes along, of which the FIB notifier tells. */
	if (READ_ONCE(here->ready) && atomic_read(&here->watchers) &&
	    (type == NEXTHOP_EVENT_REPLACE || type == NEXTHOP_EVENT_BUCKET_REPLACE))
		notify(&event);
	return NOTIFY_DONE;
}

static int __net_init fwd_events_net_init(struct net *net)
{
	struct fwd_events_net *here = net_generic(net, fwd_events_net_id);

	here->net = net;
	here->fib.notifier_call = fib_event;
	/* Fails only while routes change without end; no reason to have no namespace. */
	here->registered = !register_fib_notifier(net, &here->fib, NULL, NULL);
	here->nexthops.notifier_call = nexthop_event;
	if (!here->registered || register_nexthop_notifier(net, &here->nexthops, NULL))
		pr_warn_once("nft_offload: changes of routes go unnoticed: load the module again when they are fewer\n");
	WRITE_ONCE(here->ready, true);
	return 0;
}

static void __net_exit fwd_events_net_exit(struct net *net)
{
	struct fwd_events_net *here = net_generic(net, fwd_events_net_id);

	unregister_nexthop_notifier(net, &here->nexthops);
	if (here->registered)
		unregister_fib_notifier(net, &here->fib);
}

static struct pernet_operations fwd_events_net_ops = {
	.init = fwd_events_net_init,
	.exit = fwd_events_net_exit,
	.id = &fwd_events_net_id,
	.size = sizeof(struct fwd_events_net),
};

/* Namespaces are first: the other notifiers look up what is kept for them. */
int nft_offload_helper_fwd_events_start(void)
{
	int err;

	err = register_pernet_subsys(&fwd_events_net_ops);
	if (err)
		return err;
	err = register_netevent_notifier(&netevent_nb);
	if (err)
		goto no_netevent;
	err = register_switchdev_notifier(&switchdev_nb);
	if (err)
		goto no_switchdev;
	err = register_switchdev_blocking_notifier(&switchdev_port_nb);
	if (err)
		goto no_switchdev_port;
	err = register_netdevice_notifier(&netdev_nb);
	if (err)
		goto no_netdev;
	return 0;

no_netdev:
	unregister_switchdev_blocking_notifier(&switchdev_port_nb);
no_switchdev_port:
	unregister_switchdev_notifier(&switchdev_nb);
no_switchdev:
	unregister_netevent_notifier(&netevent_nb);
no_netevent:
	unregister_pernet_subsys(&fwd_events_net_ops);
	return err;
}

void nft_offload_helper_fwd_events_stop(void)
{
	unregister_netdevice_notifier(&netdev_nb);
	unregister_switchdev_blocking_notifier(&switchdev_port_nb);
	unregister_switchdev_notifier(&switchdev_nb);
	unregister_netevent_notifier(&netevent_nb);
	unregister_pernet_subsys(&fwd_events_net_ops);
}

static void notify_neighbour(struct neighbour *neigh, void *net)
{
	struct nft_offload_fwd_event event = {};

	if (dev_net(neigh->dev) == net && neighbour_event(neigh, &event))
		notify(&event);
}

/*
 * Events of @net are told from now on, and each neighbour that is there already:
 * without its address, a later change of that could not be noticed.
 */
void nft_offload_helper_fwd_events_watch(struct net *net)
{
	struct fwd_events_net *here = net_generic(net, fwd_events_net_id);

	atomic_inc(&here->watchers);
	neigh_for_each(&arp_tbl, notify_neighbour, net);
#if IS_BUILTIN(CONFIG_IPV6)
	/* Were it a module, it could not be unloaded as long as this one is there. */
	neigh_for_each(&nd_tbl, notify_neighbour, net);
#endif
}

void nft_offload_helper_fwd_events_unwatch(struct net *net)
{
	struct fwd_events_net *here = net_generic(net, fwd_events_net_id);

	atomic_dec(&here->watchers);
}

int nft_offload_helper_fwd_events_register(struct notifier_block *nb)
{
	return atomic_notifier_chain_register(&fwd_events, nb);
}

/* Nobody is told any more when it returns. */
void nft_offload_helper_fwd_events_unregister(struct notifier_block *nb)
{
	atomic_notifier_chain_unregister(&fwd_events, nb);
}

/* Rules are under RTNL in 7.2, and have a lock of their own since. */
static void settle_rules(struct net *net)
{
#ifndef kernel_7_2
#ifdef CONFIG_IP_MULTIPLE_TABLES
	mutex_lock(&net->ipv4.rules_ops->lock);
	mutex_unlock(&net->ipv4.rules_ops->lock);
#endif
#ifdef CONFIG_IPV6_MULTIPLE_TABLES
	mutex_lock(&net->ipv6.fib6_rules_ops->lock);
	mutex_unlock(&net->ipv6.fib6_rules_ops->lock);
#endif
#endif
}

/*
 * The kernel tells of new routes, rules and nexthops before they are in place, with a lock
 * held that it gives back after that: IPv6 routes have a spinlock, the others RTNL or as above.
 * All that was told before is in place when this returns, and no packet is under way that
 * has looked for its way before. Takes RTNL.
 */
void nft_offload_helper_fwd_events_synchronize(void)
{
	struct net *net;

	rtnl_lock();
	rtnl_unlock();
	/* A namespace leaves the list before it loses its rules. */
	down_read(&net_rwsem);
	for_each_net(net) {
		if (is_watched(net))
			settle_rules(net);
	}
	up_read(&net_rwsem);
	/* Flows go the wrong way as long as this waits. */
	synchronize_rcu_expedited();
}
