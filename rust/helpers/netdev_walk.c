// SPDX-License-Identifier: GPL-2.0-only

#include <linux/etherdevice.h>
#include <linux/hashtable.h>
#include <linux/if_arp.h>
#include <linux/if_vlan.h>
#include <linux/inetdevice.h>
#include <linux/netdevice.h>
#include <linux/netfilter.h>
#include <linux/rcupdate.h>
#include <linux/unaligned.h>
#include <net/addrconf.h>
#include <net/arp.h>
#include <net/ip6_fib.h>
#include <net/ip_fib.h>
#include <net/ndisc.h>
#include <net/neighbour.h>
#include <net/net_namespace.h>
#include <net/netfilter/nf_tables.h>
#include <net/pkt_cls.h>
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

#ifdef CONFIG_NET_XGRESS
static const struct tcx_entry *tcx_of(const struct net_device *dev, bool egress)
{
	struct bpf_mprog_entry *entry;

	entry = egress ? rcu_dereference(dev->tcx_egress) :
			 rcu_dereference(dev->tcx_ingress);
	return entry ? tcx_entry(entry) : NULL;
}
#endif

/* Whether tc has filters for what @dev receives, of ingress or clsact. */
bool nft_offload_helper_dev_ingress_filters(const struct net_device *dev)
{
#ifdef CONFIG_NET_XGRESS
	const struct tcx_entry *entry = tcx_of(dev, false);

	return entry && rcu_access_pointer(entry->miniq);
#else
	return false;
#endif
}

#ifdef CONFIG_NET_XGRESS
static int count_filter(struct tcf_proto *tp, void *filter,
			struct tcf_walker *walker)
{
	return 0;
}

/*
 * Whether there are filters of chain 0 that are not in hardware: the chain that
 * packets come to at first. Only flower's can be, and only they are counted,
 * which flower allows under RCU.
 */
static bool has_software_filters(const struct mini_Qdisc *miniq)
{
	struct tcf_walker walker = { .fn = count_filter };
	struct tcf_proto *tp;
	int filters = 0;

	for (tp = miniq->filter_list; tp; tp = rcu_dereference(tp->next)) {
		if (strcmp(tp->ops->kind, "flower"))
			return true;
		walker.cookie = 0;
		walker.count = 0;
		tp->ops->walk(tp, &walker, false);
		filters += walker.count;
	}
	return filters > atomic_read(&miniq->block->offloadcnt);
}
#endif

/*
 * Whether tc has filters or programs at ingress or egress of @dev that hardware
 * does not know.
 */
bool nft_offload_helper_dev_tc_filters(const struct net_device *dev, bool egress)
{
#ifdef CONFIG_NET_XGRESS
	const struct tcx_entry *entry = tcx_of(dev, egress);
	const struct mini_Qdisc *miniq;

	if (!entry)
		return false;
	if (entry->bundle.count)
		return true;
	miniq = rcu_dereference(entry->miniq);
	return miniq && has_software_filters(miniq);
#else
	return false;
#endif
}

#if IS_ENABLED(CONFIG_NF_TABLES)
static bool has_chain_with_rules(const struct nf_hook_entries *entries)
{
	struct nf_hook_ops **ops;
	unsigned int i;

	if (!entries)
		return false;

	ops = nf_hook_entries_get_hook_ops(entries);
	for (i = 0; i < entries->num_hook_entries; i++) {
		const struct nft_chain *chain;

		/* Flowtables have hooks of another type. */
		if (ops[i]->hook_ops_type != NF_HOOK_OP_NF_TABLES)
			continue;
		chain = ops[i]->priv;
		if (!list_empty(&chain->rules) ||
		    nft_base_chain(chain)->policy != NF_ACCEPT)
			return true;
	}
	return false;
}
#endif

/* Whether chains of nf_tables at ingress or egress of @dev have rules. */
bool nft_offload_helper_dev_nft_chains(const struct net_device *dev, bool egress)
{
#if IS_ENABLED(CONFIG_NF_TABLES) && defined(CONFIG_NETFILTER_INGRESS)
	if (!egress)
		return has_chain_with_rules(rcu_dereference(dev->nf_hooks_ingress));
#endif
#if IS_ENABLED(CONFIG_NF_TABLES) && defined(CONFIG_NETFILTER_EGRESS)
	if (egress)
		return has_chain_with_rules(rcu_dereference(dev->nf_hooks_egress));
#endif
	return false;
}

/* Whether an XDP program sees what @dev receives. */
bool nft_offload_helper_dev_xdp(struct net_device *dev)
{
	return dev_xdp_prog_count(dev);
}

/* Whether @dev has an address of IPv4, or one of IPv6 that is not link-local. */
bool nft_offload_helper_dev_has_address(const struct net_device *dev)
{
	const struct in_device *in_dev = __in_dev_get_rcu(dev);
#if IS_ENABLED(CONFIG_IPV6)
	const struct inet6_dev *idev = __in6_dev_get(dev);
	const struct inet6_ifaddr *ifa;

	if (idev) {
		list_for_each_entry_rcu(ifa, &idev->addr_list, if_list) {
			if (!(ipv6_addr_type(&ifa->addr) & IPV6_ADDR_LINKLOCAL))
				return true;
		}
	}
#endif
	return in_dev && rcu_access_pointer(in_dev->ifa_list);
}

/* Whether @dev is a VLAN device that sets the priority of some tags. */
bool nft_offload_helper_dev_egress_qos_map(const struct net_device *dev)
{
#if IS_ENABLED(CONFIG_VLAN_8021Q)
	if (is_vlan_dev(dev))
		return vlan_dev_priv(dev)->nr_egress_mappings;
#endif
	return false;
}

struct neigh_query {
	const void *addr;
	const u8 *mac;
	bool v6;
	bool known, same;
};

static int ask_neighbour(struct net_device *dev, struct netdev_nested_priv *priv)
{
	struct neigh_query *query = priv->data;
	struct neighbour *n;
	char ha[MAX_ADDR_LEN] __aligned(2);

	if (query->v6)
		n = __ipv6_neigh_lookup_noref(dev, query->addr);
	else
		n = __ipv4_neigh_lookup_noref(dev, get_unaligned((u32 *)query->addr));
	if (!n || dev->addr_len != ETH_ALEN ||
	    !(READ_ONCE(n->nud_state) & NUD_VALID))
		return 0;

	neigh_ha_snapshot(ha, n, dev);
	query->known = true;
	query->same |= ether_addr_equal_unaligned((u8 *)ha, query->mac);
	return 0;
}

/* Whether routes depend on more than destinations. */
bool nft_offload_helper_has_routing_rules(const struct net *net)
{
	return fib4_has_custom_rules(net) || fib6_has_custom_rules(net);
}

/*
 * Whether @addr is a neighbour at the device @ifindex or at one above it, and
 * has an Ethernet address other than @mac. nf_flowtable looks for the routes of
 * both directions with the mark and the device of one packet. So where rules
 * depend on these, one direction can get a gateway that it does not need.
 */
bool nft_offload_helper_other_neighbour(struct net *net, int ifindex, bool v6,
					const void *addr, const u8 *mac)
{
	struct neigh_query query = { .addr = addr, .mac = mac, .v6 = v6 };
	struct netdev_nested_priv priv = { .data = &query };
	struct net_device *dev;

	rcu_read_lock();
	dev = dev_get_by_index_rcu(net, ifindex);
	if (dev) {
		ask_neighbour(dev, &priv);
		netdev_walk_all_upper_dev_rcu(dev, ask_neighbour, &priv);
	}
	rcu_read_unlock();
	return query.known && !query.same;
}
