// SPDX-License-Identifier: GPL-2.0-only

#include <linux/etherdevice.h>
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

static ATOMIC_NOTIFIER_HEAD(fwd_events);

static void notify(const struct nft_offload_fwd_event *event)
{
	atomic_notifier_call_chain(&fwd_events, 0, (void *)event);
}

static void set_device(struct nft_offload_fwd_event *event, const struct net_device *dev)
{
	while (is_vlan_dev(dev))
		dev = vlan_dev_real_dev(dev);
	event->net = dev_net(dev);
	event->ifindex = READ_ONCE(dev->ifindex);
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
	event->v6 = family == AF_INET6;
	set_device(event, neigh->dev);
	memcpy(event->addr, neigh->primary_key, neigh->tbl->key_len);
	neigh_ha_snapshot((char *)event->mac, neigh, neigh->dev);
	return true;
}

static int netevent(struct notifier_block *nb, unsigned long type, void *data)
{
	struct nft_offload_fwd_event event = {};

	if (type == NETEVENT_NEIGH_UPDATE && neighbour_event(data, &event))
		notify(&event);
	return NOTIFY_DONE;
}

static struct notifier_block netevent_nb = { .notifier_call = netevent };

static int switchdev_event(struct notifier_block *nb, unsigned long type, void *data)
{
	struct nft_offload_fwd_event event = { .kind = NFT_OFFLOAD_FWD_FDB };
	struct switchdev_notifier_fdb_info *fdb = data;

	/* Without CONFIG_NET_SWITCHDEV nobody calls this. */
	if (type != SWITCHDEV_FDB_ADD_TO_DEVICE || fdb->is_local)
		return NOTIFY_DONE;

	set_device(&event, switchdev_notifier_info_to_dev(data));
	ether_addr_copy(event.mac, fdb->addr);
	notify(&event);
	return NOTIFY_DONE;
}

static struct notifier_block switchdev_nb = { .notifier_call = switchdev_event };

struct fwd_events_net {
	struct notifier_block fib;
	struct notifier_block nexthops;
	struct net *net;
	/* The routes there are already are told first, and are no news. */
	bool ready;
	bool registered;
};

static unsigned int fwd_events_net_id;

static int fib_event(struct notifier_block *nb, unsigned long type, void *data)
{
	struct fwd_events_net *here = container_of(nb, struct fwd_events_net, fib);
	struct nft_offload_fwd_event event = { .kind = NFT_OFFLOAD_FWD_ROUTE };
	struct fib_notifier_info *info = data;

	if (!READ_ONCE(here->ready))
		return NOTIFY_DONE;
	if (info->family != AF_INET && info->family != AF_INET6)
		return NOTIFY_DONE;

	event.net = here->net;
	event.v6 = info->family == AF_INET6;
	switch (type) {
	case FIB_EVENT_ENTRY_REPLACE:
	case FIB_EVENT_ENTRY_APPEND:
	case FIB_EVENT_ENTRY_ADD:
	case FIB_EVENT_ENTRY_DEL:
		if (event.v6) {
			struct fib6_entry_notifier_info *entry = data;

			memcpy(event.addr, &entry->rt->fib6_dst.addr, sizeof(struct in6_addr));
			event.len = entry->rt->fib6_dst.plen;
		} else {
			struct fib_entry_notifier_info *entry = data;
			__be32 dst = htonl(entry->dst);

			memcpy(event.addr, &dst, sizeof(dst));
			event.len = entry->dst_len;
		}
		break;
	case FIB_EVENT_RULE_ADD:
	case FIB_EVENT_RULE_DEL:
		/* Which packets a rule is for may depend on more than their addresses. */
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

	/* One that goes takes its routes along, which is told as that of routes. */
	if (READ_ONCE(here->ready) &&
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

int nft_offload_helper_fwd_events_start(void)
{
	int err;

	err = register_netevent_notifier(&netevent_nb);
	if (err)
		return err;
	err = register_switchdev_notifier(&switchdev_nb);
	if (err)
		goto no_switchdev;
	err = register_pernet_subsys(&fwd_events_net_ops);
	if (err)
		goto no_pernet;
	return 0;

no_pernet:
	unregister_switchdev_notifier(&switchdev_nb);
no_switchdev:
	unregister_netevent_notifier(&netevent_nb);
	return err;
}

void nft_offload_helper_fwd_events_stop(void)
{
	unregister_pernet_subsys(&fwd_events_net_ops);
	unregister_switchdev_notifier(&switchdev_nb);
	unregister_netevent_notifier(&netevent_nb);
}

static void tell_neighbour(struct neighbour *neigh, void *data)
{
	struct notifier_block *nb = data;
	struct nft_offload_fwd_event event = {};

	if (neighbour_event(neigh, &event))
		nb->notifier_call(nb, 0, &event);
}

/* Every neighbour there is already is told first. */
int nft_offload_helper_fwd_events_register(struct notifier_block *nb)
{
	int err;

	err = atomic_notifier_chain_register(&fwd_events, nb);
	if (err)
		return err;
	neigh_for_each(&arp_tbl, tell_neighbour, nb);
#if IS_BUILTIN(CONFIG_IPV6)
	/* Were it a module, it could not be unloaded as long as this one is there. */
	neigh_for_each(&nd_tbl, tell_neighbour, nb);
#endif
	return 0;
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
	for_each_net(net)
		settle_rules(net);
	up_read(&net_rwsem);
	/* Flows go the wrong way as long as this waits. */
	synchronize_rcu_expedited();
}
